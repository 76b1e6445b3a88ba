import HTTPTypes
import Hummingbird
import LiveKitProtocol

/// The header fields of WHIP and WHEP beside HTTP's usual ones.
enum EndpointHeaders {
  // Cannot fail: the texts are tokens.
  static let acceptPost = HTTPField.Name("Accept-Post")!
  static let acceptPatch = HTTPField.Name("Accept-Patch")!
  private static let link = HTTPField.Name("Link")!
  private static let allowMethods = HTTPField.Name("Access-Control-Allow-Methods")!
  private static let allowHeaders = HTTPField.Name("Access-Control-Allow-Headers")!
  private static let exposeHeaders = HTTPField.Name("Access-Control-Expose-Headers")!
  private static let maximumAge = HTTPField.Name("Access-Control-Max-Age")!

  /// What every answer carries, so that pages of any origin can read it: access is by token alone.
  static func open(_ response: inout Response) {
    CrossOrigin.open(&response)
    response.headers[exposeHeaders] = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After"
  }

  /// The answer to OPTIONS.
  static func options(_ methods: String, _ accept: (HTTPField.Name, String)) -> Response {
    var response = Response(status: .noContent)
    response.headers[.allow] = methods
    response.headers[allowMethods] = methods
    response.headers[allowHeaders] = "Authorization, Content-Type, If-Match"
    response.headers[maximumAge] = "86400"
    response.headers[accept.0] = accept.1
    return response
  }

  /// RFC 9725 §4.6: one `Link` for each URL of a STUN or TURN server.
  static func add(_ servers: [Livekit_ICEServer], to headers: inout HTTPFields) {
    for server in servers {
      for url in server.urls {
        var value = "<\(url)>; rel=\"ice-server\""
        if !server.username.isEmpty {
          value +=
            "; username=\(quoted(server.username)); credential=\(quoted(server.credential)); credential-type=\"password\""
        }
        headers.append(HTTPField(name: link, value: value))
      }
    }
  }

  /// A quoted-string (RFC 9110 §5.6.4).
  static func quoted(_ text: String) -> String {
    "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
  }

  /// The opaque part of an `If-Match`: its entity tag without quotes, or `*`. Of a list the first; weak ones never match.
  static func entityTag(_ field: String?) -> String? {
    guard let first = field?.split(separator: ",").first else { return nil }
    let text = first.drop { $0 == " " }
    if text.hasPrefix("*") { return "*" }
    guard text.hasPrefix("\"") else { return String(text) }
    return String(text.dropFirst().prefix { $0 != "\"" })
  }
}
