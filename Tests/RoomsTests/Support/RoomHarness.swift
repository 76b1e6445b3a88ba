import Core
import LiveKitProtocol
import Logging
import SDP
import SFU
import Synchronization
import Testing

@testable import Rooms

/// Rooms under a clock that tests turn, with media workers that only remember their orders.
final class RoomHarness {
  let clock = ManualClock()
  let media: [FakeMedia]
  let context: RoomContext
  let core: RoomCore
  private let recorded = Mutex<[RoomEvent]>([])
  private let tokens = Mutex<[AccessClaims]>([])

  var events: [RoomEvent] { recorded.withLock { $0 } }
  var mintedTokens: [AccessClaims] { tokens.withLock { $0 } }

  init(workers: Int = 1, _ configure: (inout RoomConfiguration) -> Void = { _ in }) {
    var configuration = RoomConfiguration()
    configure(&configuration)
    media = (0..<workers).map { _ in FakeMedia() }
    let clock = clock
    nonisolated(unsafe) weak var weakSelf: RoomHarness?
    context = RoomContext(
      configuration: configuration,
      dependencies: RoomDependencies(
        media: media, requestWake: { _ in },
        onEvent: { event in weakSelf?.recorded.withLock { $0.append(event) } },
        mintToken: { claims in
          weakSelf?.tokens.withLock { $0.append(claims) }
          return "token of \(claims.identity)"
        },
        now: { clock.now }, wallTime: { WallTime(milliseconds: 1_700_000_000_000 + clock.now.nanoseconds / 1_000_000) },
        seed: 7),
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    core = RoomCore(context)
    weakSelf = self
  }

  /// Lets media workers and clients answer until nobody has anything to say.
  func settle() {
    var quiet = false
    while !quiet {
      quiet = true
      context.flush()
      for worker in media {
        let events = worker.takeEvents()
        if !events.isEmpty { quiet = false }
        for event in events { core.receive(event) }
      }
      for client in clients where client.step(core) { quiet = false }
    }
  }

  /// Passes time in steps of 10 ms.
  func advance(_ duration: Duration) {
    let end = clock.now + duration
    while clock.now < end {
      clock.advance(min(.milliseconds(10), end - clock.now))
      context.fireTimers()
      settle()
    }
  }

  private(set) var clients: [TestClient] = []

  @discardableResult
  func join(
    _ identity: String, room: String = "hall", _ configure: (inout JoinRequest) -> Void = { _ in }
  ) throws -> TestClient {
    var grant = VideoGrant()
    grant.roomJoin = true
    grant.room = room
    var info = Livekit_ClientInfo()
    info.sdk = .python
    info.protocol = 17
    var request = JoinRequest(
      claims: AccessClaims(issuer: "key", identity: identity, video: grant), clientInfo: info,
      remote: IPAddress(v4: 0x7F00_0001))
    configure(&request)
    let client = TestClient(identity: identity, isSinglePeerConnection: request.isSinglePeerConnection)
    clients.append(client)
    client.session = try core.join(request, sink: client)
    settle()
    return client
  }

  /// Connects again with a new socket, as after a loss.
  @discardableResult
  func resume(_ old: TestClient, room: String = "hall", sid: String? = nil) throws -> TestClient {
    try join(old.identity, room: room) { request in
      request.reconnect = JoinRequest.Reconnect(participantSID: sid ?? old.sid)
      request.isSinglePeerConnection = old.isSinglePeerConnection
    }
  }

  func room(_ name: String = "hall") throws -> Room { try #require(core.room(name)) }

  /// As if media of the track had come.
  func startMedia(_ sid: String, room name: String = "hall") throws {
    let room = try self.room(name)
    let track = try #require(room.present.compactMap { $0.publishing.track(sid) }.first)
    core.receive(.router(room.mediaID, .producerStarted(track.producer)))
    settle()
  }

  func send(_ message: Livekit_SignalRequest.OneOf_Message, from client: TestClient) {
    var request = Livekit_SignalRequest()
    request.message = message
    core.receive(request, from: client.session)
    settle()
  }

  /// Announces a track, offers it and lets its media come; its SID.
  @discardableResult
  func publish(
    _ client: TestClient, cid: String, type: Livekit_TrackType = .audio,
    _ configure: (inout Livekit_AddTrackRequest) -> Void = { _ in }
  ) throws -> String {
    var request = Livekit_AddTrackRequest()
    request.cid = cid
    request.type = type
    request.source = type == .audio ? .microphone : .camera
    configure(&request)
    send(.addTrack(request), from: client)
    let sid = try #require(client.published[cid])
    try client.addTrack(cid, type)
    client.offerPublisher(core)
    settle()
    try startMedia(sid, room: try #require(client.roomName))
    advance(.milliseconds(400))
    return sid
  }
}

/// A monotonic clock that stands until it is told otherwise.
final class ManualClock: Sendable {
  private let time = Mutex(Instant(nanoseconds: 1_000_000_000))
  var now: Instant { time.withLock { $0 } }
  func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// A value with some of its fields set.
func make<Value>(_ value: Value, _ change: (inout Value) -> Void) -> Value {
  var value = value
  change(&value)
  return value
}
