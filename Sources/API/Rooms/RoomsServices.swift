import Core
import HTTPTypes
package import Hummingbird
package import LiveKitProtocol
package import Logging
package import Rooms

/// What the faces of the rooms work on: `/rtc`, its validation and the server API.
package struct RoomsServices: Sendable {
  /// On the event loop that carries the connections.
  package let rooms: RoomService
  package let tokens: TokenVerifier
  package let logger: Logger
  package let limits: SignalLimits
  /// LiveKit's SIP service; nil: not served.
  package let sip: SIPServices?
  /// Nil: nothing is recorded.
  package let egress: (any EgressControl)?
  let replies = TwirpReplies()

  package init(
    rooms: RoomService, tokens: TokenVerifier, egress: (any EgressControl)? = nil,
    limits: SignalLimits = SignalLimits(), sip: SIPServices? = nil, logger: Logger
  ) {
    self.rooms = rooms
    self.tokens = tokens
    self.limits = limits
    self.egress = egress
    self.sip = sip
    self.logger = logger
  }

  /// The upgrades by path, for `HTTPServer`.
  package var webSockets: [String: WebSocketRoute] {
    [
      "/rtc": .signalling(self, isSinglePeerConnection: false),
      "/rtc/v1": .signalling(self, isSinglePeerConnection: true),
    ]
  }
}

/// Bounds of one signalling socket.
package struct SignalLimits: Sendable {
  /// Bytes of one message from a client.
  package var maximumMessageSize = 2 << 20
  /// Bytes that may wait for a slow client before it is cut.
  package var maximumBacklog = 8 << 20
  /// How long bytes may wait without any progress before the client is cut.
  package var sendTimeout: Duration = .seconds(20)
  /// Between our WebSocket pings; proxies need them, clients do not.
  package var pingInterval: Duration = .seconds(10)
  /// How long a closing handshake may take.
  package var closeTimeout: Duration = .seconds(3)
  /// Sustained messages a second of one client; a faster one is read more slowly.
  package var messagesPerSecond = 200
  /// Messages that it may send at once.
  package var messageBurst = 1000

  package init() {}
}

/// What every answer to a browser of another origin carries: access is by token alone, never by cookie.
enum CrossOrigin {
  static let allowOrigin = ("Access-Control-Allow-Origin", "*")

  // Cannot fail: the texts are tokens.
  private static let methods = HTTPField.Name("Access-Control-Allow-Methods")!
  private static let headers = HTTPField.Name("Access-Control-Allow-Headers")!
  private static let maximumAge = HTTPField.Name("Access-Control-Max-Age")!

  static func open(_ response: inout Response) {
    response.headers[.accessControlAllowOrigin] = "*"
  }

  /// The answer to a preflight request.
  static var preflight: Response {
    Response(
      status: .noContent,
      headers: [
        .accessControlAllowOrigin: "*", methods: "GET, POST, OPTIONS",
        headers: "Authorization, Content-Type, X-Livekit-Request-Id", maximumAge: "86400",
      ])
  }
}

/// Adds `/rtc/validate`, `/rtc/v1/validate`, `/twirp/livekit.…`, `/whip/…` and `/whep/…` to the router, and plain
/// answers where only an upgrade makes sense.
package func addRooms<Context: RequestContext & RemoteAddressed>(to router: Router<Context>, services: RoomsServices) {
  for (path, isSingle) in [("/rtc", false), ("/rtc/v1", true)] {
    router.get(RouterPath(path + "/validate")) { request, context in
      await validate(request, from: context.remoteAddress, isSinglePeerConnection: isSingle, services)
    }
    router.get(RouterPath(path)) { _, _ in
      var response = Response.text("This is a WebSocket: upgrade the connection.\n", status: .notFound)
      CrossOrigin.open(&response)
      return response
    }
    router.on(RouterPath(path + "/validate"), method: .options) { _, _ in CrossOrigin.preflight }
  }
  // Clients and load balancers look here. Where there are pages, they come first.
  router.get("/") { _, _ in Response.text("OK\n") }
  addTwirp(to: router, services: services)
  addEndpoints(to: router, services: services)
}

/// Clients ask here why an upgrade failed: a browser shows a script no status of a WebSocket.
private func validate(
  _ request: Request, from remote: Core.SocketAddress?, isSinglePeerConnection: Bool, _ services: RoomsServices
) async -> Response {
  var response: Response
  do throws(JoinRefusal) {
    let join = try SignalQuery(
      query: request.uri.query ?? "", authorization: request.headers[.authorization],
      isSinglePeerConnection: isSinglePeerConnection
    ).join(tokens: services.tokens, remote: remote?.ip.unmapped, now: .now())
    try await services.rooms.validate(join)
    response = .text("success")
  } catch {
    response = .text(error.text, status: .init(code: error.status))
  }
  CrossOrigin.open(&response)
  return response
}
