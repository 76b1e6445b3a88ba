import Core
import HTTPTypes
import NIOCore
import NIOHTTP1
import Rooms
import SIPTransport

extension WebSocketRoute {
  /// LiveKit's signalling at `/rtc` (two peer connections) or `/rtc/v1` (one).
  ///
  /// The join is decided before the upgrade, so that a refusal is an HTTP status with a text; its first message waits in
  /// the socket until the upgrade is written.
  static func signalling(_ services: RoomsServices, isSinglePeerConnection: Bool) -> WebSocketRoute {
    WebSocketRoute(
      refusalHeaders: [CrossOrigin.allowOrigin],
      authorize: { request in
        request.channel.eventLoop.makeCompletedFuture {
          do throws(JoinRefusal) {
            try SignalSocket.open(request, isSinglePeerConnection: isSinglePeerConnection, services)
          } catch {
            throw Refusal(.init(statusCode: error.status), error.text)
          }
        }
      },
      adopt: { request in
        let channel = request.channel
        return channel.eventLoop.makeCompletedFuture {
          let socket = try channel.pipeline.syncOperations.handler(type: SignalSocket.self)
          // The HTTP encoder leaves the channel behind this call; bytes may only follow then.
          channel.eventLoop.assumeIsolated().execute { socket.upgraded() }
        }
      })
  }
}

extension SignalSocket {
  /// Decides the join; puts the socket at the end of the channel, where it waits for the upgrade.
  static func open(
    _ request: WebSocketRoute.Request, isSinglePeerConnection: Bool, _ services: RoomsServices
  ) throws(JoinRefusal) {
    let query = request.head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).dropFirst().first
    let parameters = SignalQuery(
      query: query ?? "", authorization: request.head.headers.first(name: "Authorization"),
      isSinglePeerConnection: isSinglePeerConnection)
    let join = try parameters.join(
      tokens: services.tokens, remote: Core.SocketAddress(request.channel.remoteAddress)?.ip.unmapped, now: .now())
    let socket = SignalSocket(channel: request.channel, services: services)
    socket.speaksJSON = parameters.wantsJSON
    let outcome = services.rooms.assumeIsolated { rooms -> Result<SessionID, JoinRefusal> in
      do throws(JoinRefusal) { return .success(try rooms.join(join, sink: socket)) } catch { return .failure(error) }
    }
    socket.session = try outcome.get()
    do {
      try request.channel.pipeline.syncOperations.addHandler(socket)
    } catch {
      // The channel has closed meanwhile; nobody else will tell the room.
      socket.left()
      throw .init(status: 500, text: "the connection is closed")
    }
  }
}
