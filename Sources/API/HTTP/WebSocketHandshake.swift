import Core
import Crypto
import NIOHTTP1

/// The server's half of the opening handshake (RFC 6455 §4.2), as pure functions.
enum WebSocketHandshake {
  /// Whether the request wants to become a WebSocket. Anything else with an `Upgrade` header is plain HTTP to us.
  static func isUpgrade(_ head: HTTPRequestHead) -> Bool {
    head.method == .GET && head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" }
      && head.headers[canonicalForm: "connection"].contains { $0.lowercased() == "upgrade" }
  }

  /// The path without its query.
  static func path(_ head: HTTPRequestHead) -> String {
    String(head.uri.prefix { $0 != "?" })
  }

  /// One slash where a request target begins with several, as clients make it that append a path to a base URL with a
  /// slash at its end. Two would otherwise begin an authority (RFC 3986 §4.2).
  static func collapsingLeadingSlashes(_ target: String) -> String {
    guard target.hasPrefix("//") else { return target }
    return "/" + target.drop { $0 == "/" }
  }

  /// The headers of the 101 response.
  ///
  /// - Throws: what to answer instead.
  static func accept(
    _ head: HTTPRequestHead, routes: [String: WebSocketRoute]
  ) throws(WebSocketRoute.Refusal) -> (route: WebSocketRoute, headers: HTTPHeaders) {
    let path = path(head)
    guard let route = routes[path] else {
      throw .init(.notFound, "No WebSocket is served at \(path.prefix(100)).")
    }
    guard head.version == .http1_1 else { throw .init(.badRequest, "A WebSocket needs HTTP/1.1.") }
    guard head.headers.first(name: "Sec-WebSocket-Version") == "13" else {
      throw .init(.upgradeRequired, "Only WebSocket version 13 is spoken here (RFC 6455).")
    }
    let keys = head.headers["Sec-WebSocket-Key"]
    guard keys.count == 1, Base64.decode(keys[0])?.count == 16 else {
      throw .init(.badRequest, "Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 §4.1).")
    }
    var headers = HTTPHeaders([
      ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", acceptValue(key: keys[0])),
    ])
    if let wanted = route.subprotocol {
      let offered = head.headers[canonicalForm: "sec-websocket-protocol"]
      guard offered.contains(where: { $0 == wanted }) else {
        let got = offered.isEmpty ? "none" : offered.joined(separator: ", ").prefix(100)
        throw .init(
          .badRequest, "The WebSocket subprotocol \"\(wanted)\" is required at \(path), the request offers \(got).")
      }
      headers.add(name: "Sec-WebSocket-Protocol", value: wanted)
    }
    return (route, headers)
  }

  /// RFC 6455 §4.2.2, item 5.4.
  static func acceptValue(key: String) -> String {
    Base64.encode(Array(Insecure.SHA1.hash(data: Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))))
  }
}
