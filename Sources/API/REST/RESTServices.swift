package import Core
import HTTPTypes
package import Hummingbird
package import Store

/// What the REST interface works on.
package struct RESTServices: Sendable {
  package var store: Store
  package var control: any GatewayControl
  /// Nil where nothing is recorded.
  package var recordings: (any RecordingControl)?
  package var metrics: MetricsRegistry
  /// The digest realm of the users' passwords.
  package var realm: String
  /// API key → secret, besides those in the store.
  package var keys: [String: Secret]
  /// Phones in rooms; nil: not served.
  package var phones: (any SIPControl)?
  /// Nil: nothing is spoken.
  package var speech: (any SpeechControl)?
  /// Recording of rooms; nil: not served.
  package var egress: (any EgressControl)?

  package init(
    store: Store, control: any GatewayControl, recordings: (any RecordingControl)? = nil, metrics: MetricsRegistry,
    realm: String, keys: [String: Secret],
    phones: (any SIPControl)? = nil
  ) {
    self.store = store
    self.control = control
    self.metrics = metrics
    self.realm = realm
    self.keys = keys
    self.recordings = recordings
    self.phones = phones
  }
}

/// A request context that knows its peer. Failed log-ins are counted by it, and loopback may read the metrics.
package protocol RemoteAddressed {
  var remoteAddress: Core.SocketAddress? { get }
}

/// Adds `/v1/…`, `/metrics`, `/healthz` and `/readyz` to the router, with their authentication.
/// - Returns: what was added, as the OpenAPI document has to list it.
@discardableResult
package func addREST<Context: RequestContext & RemoteAddressed>(
  to router: Router<Context>, services: RESTServices
) -> [RESTOperation] {
  let guardian = RESTGuard(services: services)
  var routes = RESTRoutes<Context>(router: router, services: services, guardian: guardian)
  routes.addOperations()
  routes.addCalls()
  routes.addUsers()
  routes.addTrunks()
  routes.addNumbers()
  routes.addRoutes()
  routes.addHistory()
  routes.addCallHandling()
  routes.addInvitations()
  routes.addWebhooks()
  routes.addRecordings()
  routes.addRoomRecordings()
  routes.addRoomTrunks()
  routes.addDispatchRules()
  routes.addPhones()
  routes.addSpeech()
  routes.addFallback()
  return routes.operations
}

/// One method of one path, in OpenAPI's spelling: `GET /v1/calls/{id}`.
package struct RESTOperation: Sendable, Hashable {
  package let method: String
  package let path: String
}

/// Registers routes and keeps the list of them.
struct RESTRoutes<Context: RequestContext & RemoteAddressed> {
  let router: Router<Context>
  let services: RESTServices
  let guardian: RESTGuard
  private(set) var operations: [RESTOperation] = []

  init(router: Router<Context>, services: RESTServices, guardian: RESTGuard) {
    self.router = router
    self.services = services
    self.guardian = guardian
  }

  /// Who may use a route.
  enum Access: Sendable {
    case everybody
    case apiKey
    /// Loopback, or an API key.
    case local
    /// A user with the password of the telephone.
    case user
  }

  /// What a handler gets.
  struct Call: Sendable {
    let request: Request
    let context: Context
    /// Whose password was given, on routes for users.
    let user: String

    /// A `{name}` of the path, percent-decoded.
    func parameter(_ name: Substring) throws(RESTError) -> String {
      guard let raw = context.parameters.get(String(name)), let text = percentDecoded(raw) else {
        throw .invalid("The path's {\(name)} is not properly percent-encoded UTF-8.")
      }
      return text
    }

    /// A query parameter, percent-decoded; nil if it is not there.
    func query(_ name: Substring) -> String? { request.uri.queryParameters[name].map(String.init) }

    /// The names of all query parameters must be among these, so that a mistyped filter is told, not ignored.
    func allowQuery(_ names: String...) throws(RESTError) {
      for (name, _) in request.uri.queryParameters where !names.contains(String(name)) {
        throw .invalid("\(name) is no parameter of this request. There are: \(names.joined(separator: ", ")).")
      }
    }

    /// The body as a JSON object.
    func body() async throws -> JSONInput {
      var request = request
      let bytes: ByteBuffer
      do {
        bytes = try await request.collectBody(upTo: 65_536)
      } catch {
        throw RESTError(.contentTooLarge, "too-large", "The body has more than 65536 bytes.")
      }
      return try JSONInput(bytes)
    }
  }

  mutating func on(
    _ method: HTTPRequest.Method, _ path: String, _ access: Access,
    _ handler: @escaping @Sendable (Call) async throws -> Response
  ) {
    operations.append(RESTOperation(method: method.rawValue, path: path))
    let guardian = guardian
    router.on(RouterPath(path), method: method) { request, context in
      do {
        var user = ""
        switch access {
        case .everybody: break
        case .apiKey: try await guardian.requireKey(request, from: context.remoteAddress)
        case .local:
          if context.remoteAddress?.ip.unmapped.isLoopback != true {
            try await guardian.requireKey(request, from: context.remoteAddress)
          }
        case .user: user = try await guardian.requireUser(request, from: context.remoteAddress)
        }
        return try await handler(Call(request: request, context: context, user: user))
      } catch {
        return RESTError(error).response
      }
    }
  }

  /// Whatever else is asked of `/v1`: JSON instead of the pages' 404, and nothing told to strangers.
  func addFallback() {
    let guardian = guardian
    for method: HTTPRequest.Method in [.get, .post, .put, .patch, .delete, .head, .options] {
      router.on("/v1/**", method: method) { request, context in
        do {
          try await guardian.requireKey(request, from: context.remoteAddress)
          throw RESTError.missing(
            "There is no \(method.rawValue) \(request.uri.path). See signaling/rest/openapi.yaml.")
        } catch {
          return RESTError(error).response
        }
      }
    }
  }
}
