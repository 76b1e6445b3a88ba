import Core
import HTTPTypes
import LiveKitProtocol
import Logging
import NIOCore
import NetworkSupport
import Rooms
import SwiftProtobuf
import Synchronization

@testable import API

/// An HTTP server with rooms whose media worker does nothing: what clients and servers see before any media flows.
final class RoomsTestServer: Sendable {
  static let key = "devkey"
  static let secret = Secret("devsecret")

  let http: HTTPTestServer
  let events: Events

  private init(http: HTTPTestServer, events: Events) {
    self.http = http
    self.events = events
  }

  final class Events: Sendable {
    private let list = Mutex<[RoomEvent]>([])
    func append(_ event: RoomEvent) { list.withLock { $0.append(event) } }
    var names: [String] { list.withLock { $0.compactMap { Livekit_WebhookEvent($0, id: "", at: .now())?.event } } }
  }

  private struct IdleMedia: RoomMediaPort {
    func perform(_ commands: [RoomMediaCommand]) {}
  }

  static func run(
    configuration: RoomConfiguration = .init(), limits: SignalLimits = .init(),
    http: HTTPServerConfiguration.Limits = .init(), _ body: (RoomsTestServer) async throws -> Void
  ) async throws {
    let events = Events()
    var quiet = Logger(label: "test")
    quiet.logLevel = .critical
    try await HTTPTestServer.run(
      limits: http,
      rooms: { loop in
        let holder = Holder()
        let rooms = RoomService(
          executor: loop.executor, configuration: configuration,
          dependencies: RoomDependencies(
            media: [IdleMedia()],
            requestWake: { deadline in
              let delay = max(.zero, deadline - Instant.now())
              loop.scheduleTask(in: .nanoseconds(delay.nanoseconds)) { holder.rooms?.assumeIsolated { $0.advance() } }
            },
            onEvent: { events.append($0) },
            mintToken: { claims in
              TokenSigner(key: key, secret: secret).sign(claims, now: .now(), lifetime: .seconds(600))
            }),
          logger: quiet)
        holder.set(rooms)
        return RoomsServices(
          rooms: rooms, tokens: TokenVerifier(keys: [key: secret]), limits: limits, logger: quiet)
      }
    ) { server in
      try await body(RoomsTestServer(http: server, events: events))
    }
  }

  private final class Holder: Sendable {
    private let service = Mutex<RoomService?>(nil)
    var rooms: RoomService? { service.withLock { $0 } }
    func set(_ rooms: RoomService) { service.withLock { $0 = rooms } }
  }

  // MARK: Tokens

  static func token(
    _ identity: String, room: String = "lobby", lifetime: Duration = .seconds(600),
    _ change: (inout AccessClaims) -> Void = { _ in }
  ) -> String {
    var claims = AccessClaims(identity: identity)
    claims.video.roomJoin = true
    claims.video.room = room
    change(&claims)
    return TokenSigner(key: key, secret: secret).sign(claims, now: .now(), lifetime: lifetime)
  }

  /// A server's token with the given rights.
  static func serverToken(_ grant: (inout VideoGrant) -> Void) -> String {
    var claims = AccessClaims(identity: "")
    grant(&claims.video)
    return TokenSigner(key: key, secret: secret).sign(claims, now: .now(), lifetime: .seconds(600))
  }

  // MARK: Sockets

  static func upgrade(_ path: String, authorization: String? = nil) -> String {
    HTTPTestServer.upgrade(path, ["Sec-WebSocket-Protocol": nil, "Authorization": authorization])
  }

  /// What an upgrade is answered.
  func answer(_ path: String, authorization: String? = nil) async throws -> HTTPTestServer.Response {
    let client = try await RawClient.connect(to: http.plain)
    defer { Task { await client.close() } }
    try await client.send(Self.upgrade(path, authorization: authorization))
    return try await HTTPTestServer.response(from: client)
  }

  func socket(_ path: String, authorization: String? = nil, tls: Bool = false) async throws -> SignalClient {
    let client = try await RawClient.connect(to: tls ? http.secure : http.plain, tls: tls)
    try await client.send(Self.upgrade(path, authorization: authorization))
    let answer = try await HTTPTestServer.response(from: client, hasBody: false)
    guard answer.status == 101 else { throw RawClient.Failure(description: "status \(answer.status)") }
    return SignalClient(client: client)
  }

  /// Joins over `/rtc` and takes the join response.
  func join(_ identity: String, room: String = "lobby", query: String = "&protocol=17") async throws -> (
    SignalClient, Livekit_JoinResponse
  ) {
    let client = try await socket("/rtc?access_token=\(Self.token(identity, room: room))" + query)
    let first = try await client.next()
    guard case .join(let join)? = first.message else { throw RawClient.Failure(description: "no join: \(first)") }
    return (client, join)
  }

  // MARK: Server calls

  struct Reply {
    let status: Int
    let headers: [String: String]
    let body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
  }

  func call(
    _ method: String, _ body: [UInt8], type: String = "application/json", token: String?, id: String? = nil,
    service: String = "RoomService"
  ) async throws -> Reply {
    let client = try await RawClient.connect(to: http.plain)
    defer { Task { await client.close() } }
    var headers = ["Content-Type": type, "Content-Length": "\(body.count)"]
    headers["Authorization"] = token.map { "Bearer \($0)" }
    headers["X-Livekit-Request-Id"] = id
    try await client.send(
      Array(HTTPTestServer.request("POST", "/twirp/livekit.\(service)/\(method)", headers).utf8) + body)
    let response = try await HTTPTestServer.response(from: client)
    return Reply(status: response.status, headers: response.headers, body: response.body)
  }

  func call(_ method: String, json: String, token: String?, id: String? = nil) async throws -> Reply {
    try await call(method, Array(json.utf8), token: token, id: id)
  }
}

/// A client of the signalling socket.
struct SignalClient {
  let client: RawClient

  func send(_ message: Livekit_SignalRequest.OneOf_Message) async throws {
    var request = Livekit_SignalRequest()
    request.message = message
    try await client.send(RawClient.frame(opcode: 2, try request.serializedBytes()))
  }

  func sendJSON(_ text: String) async throws { try await client.send(RawClient.frame(opcode: 1, Array(text.utf8))) }

  /// The next message, whatever its kind of frame; pings are skipped.
  func next() async throws -> Livekit_SignalResponse {
    while true {
      let frame = try await client.receiveFrame()
      switch frame.opcode {
      case 1: return try Livekit_SignalResponse(jsonUTF8Bytes: frame.payload)
      case 2: return try Livekit_SignalResponse(serializedBytes: frame.payload)
      case 9: continue
      default: throw RawClient.Failure(description: "frame of opcode \(frame.opcode) \(frame.closeCode ?? 0)")
      }
    }
  }

  /// Skips messages until one is as wanted.
  func first<T>(_ take: (Livekit_SignalResponse.OneOf_Message) -> T?) async throws -> T {
    while true {
      if let message = try await next().message, let found = take(message) { return found }
    }
  }
}
