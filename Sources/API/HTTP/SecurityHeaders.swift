import HTTPTypes
package import Hummingbird
import HummingbirdCore

/// Headers that keep a browser from doing with our answers what they are not meant for. A route's own headers win.
package struct SecurityHeaders<Context: RequestContext>: RouterMiddleware {
  /// Our own scripts and styles only; SIP and rooms may live on another port, so any WebSocket may be opened.
  package static var defaultPolicy: String {
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' data: blob:; "
      + "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
  }

  private let policy: String

  package init(contentSecurityPolicy: String = Self.defaultPolicy) {
    policy = contentSecurityPolicy
  }

  @concurrent package func handle(
    _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      var response = try await next(request, context)
      add(to: &response.headers)
      return response
    } catch let error as any HTTPResponseError {
      var response = try error.response(from: request, context: context)
      add(to: &response.headers)
      return response
    }
  }

  private func add(to headers: inout HTTPFields) {
    for (name, value) in [
      (HTTPField.Name.contentSecurityPolicy, policy), (.xContentTypeOptions, "nosniff"),
      (Self.referrerPolicy, "same-origin"),
    ] where headers[name] == nil {
      headers[name] = value
    }
  }

  private static var referrerPolicy: HTTPField.Name {
    // Cannot fail: the text is a token.
    HTTPField.Name("Referrer-Policy")!
  }
}
