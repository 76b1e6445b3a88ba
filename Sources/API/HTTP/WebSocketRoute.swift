package import NIOCore
package import NIOHTTP1
package import SIPTransport

/// What happens to a WebSocket upgrade of one path.
package struct WebSocketRoute: Sendable {
  /// The answer to an upgrade that is not granted.
  package struct Refusal: Error, Sendable, Equatable {
    package var status: HTTPResponseStatus
    /// The response's body, a sentence.
    package var message: String

    package init(_ status: HTTPResponseStatus, _ message: String) {
      self.status = status
      self.message = message
    }
  }

  /// The request that asks for the upgrade.
  package struct Request: Sendable {
    package let head: HTTPRequestHead
    package let channel: any Channel
    package let isSecure: Bool
  }

  /// The subprotocol that the client must offer and that is agreed on; nil when none is spoken.
  package var subprotocol: String?
  /// Header fields of every refusal; browsers of other origins may read it with Access-Control-Allow-Origin only.
  package var refusalHeaders: [(String, String)]
  /// Asked before the upgrade, on the channel's event loop; a failure with `Refusal` is the answer.
  package var authorize: @Sendable (Request) -> EventLoopFuture<Void>
  /// Takes the upgraded channel over, on its event loop: adds handlers that speak WebSocket frames in bare bytes.
  package var adopt: @Sendable (Request) -> EventLoopFuture<Void>

  package init(
    subprotocol: String? = nil, refusalHeaders: [(String, String)] = [],
    authorize: @escaping @Sendable (Request) -> EventLoopFuture<Void> = {
      $0.channel.eventLoop.makeSucceededVoidFuture()
    },
    adopt: @escaping @Sendable (Request) -> EventLoopFuture<Void>
  ) {
    self.subprotocol = subprotocol
    self.refusalHeaders = refusalHeaders
    self.authorize = authorize
    self.adopt = adopt
  }

  /// SIP over WebSocket (RFC 7118).
  package static func sip(_ stack: SIPTransportStack) -> WebSocketRoute {
    WebSocketRoute(
      subprotocol: "sip",
      authorize: { request in
        request.channel.eventLoop.makeCompletedFuture {
          guard stack.admitsWebSocket(from: request.channel.remoteAddress) else {
            throw Refusal(.serviceUnavailable, "Too many connections. Try again later.")
          }
        }
      },
      adopt: { stack.configureWebSocket($0.channel, secure: $0.isSecure) })
  }
}
