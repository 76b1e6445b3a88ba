import AsyncHTTPClient
import Core
import Foundation
import Hummingbird
import LiveKitProtocol
import Logging
import NIOCore
import NIOPosix
import NetworkSupport
import Rooms
import ServiceLifecycle
import Store
import Synchronization
import Testing

@testable import API

/// Answers as it is told, and remembers what it was sent.
private final class FakeSender: WebhookSender {
  struct Post: Sendable {
    let body: String
    let url: String
    let authorization: String
  }

  private struct State {
    var posts: [Post] = []
    var answers: [Int?] = []
    var running: [String: Int] = [:]
    var mostRunning = 0
    var isOverlapping = false
  }

  private let state = Mutex(State())
  /// How long each request takes.
  let delay: Duration
  init(delay: Duration = .zero) { self.delay = delay }

  /// The next answers in order; afterwards 200.
  func answer(_ statuses: [Int?]) { state.withLock { $0.answers = statuses } }
  var posts: [Post] { state.withLock { $0.posts } }
  var ids: [String] { posts.map { Self.field("id", of: $0.body) } }
  var events: [String] { posts.map { Self.field("event", of: $0.body) } }
  /// Whether two requests of one room were under way at the same time.
  var isOverlapping: Bool { state.withLock { $0.isOverlapping } }
  var mostRunning: Int { state.withLock { $0.mostRunning } }

  static func field(_ name: String, of body: String) -> String {
    let object = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
    return object?[name] as? String ?? ""
  }

  static func room(_ body: String) -> String {
    let object = try? JSONSerialization.jsonObject(with: Data(body.utf8)) as? [String: Any]
    return (object?["room"] as? [String: Any])?["name"] as? String ?? ""
  }

  func send(_ body: String, to url: String, authorization: String, timeout: Duration) async -> WebhookOutcome {
    let queue = url + " " + Self.room(body)
    let status = state.withLock { state -> Int? in
      state.posts.append(Post(body: body, url: url, authorization: authorization))
      state.running[queue, default: 0] += 1
      if state.running[queue]! > 1 { state.isOverlapping = true }
      state.mostRunning = max(state.mostRunning, state.running.values.reduce(0, +))
      return state.answers.isEmpty ? 200 : state.answers.removeFirst()
    }
    if delay > .zero { try? await Task.sleep(for: delay) }
    state.withLock { $0.running[queue, default: 0] -= 1 }
    return WebhookOutcome(status: status, problem: status == 200 ? "" : "no")
  }

  func shutdown() async {}
}

@Suite struct WebhookOutboxTests {
  private let url = "http://receiver.example/hook"

  private func room(_ name: String) -> Livekit_Room {
    var room = Livekit_Room()
    room.sid = "RM_\(name)"
    room.name = name
    room.creationTime = 1_800_000_000
    return room
  }

  private func participant(_ identity: String) -> Livekit_ParticipantInfo {
    var participant = Livekit_ParticipantInfo()
    participant.sid = "PA_\(identity)"
    participant.identity = identity
    return participant
  }

  /// Runs an outbox on a store of its own; ends it as SIGTERM would.
  private func run(
    _ sender: any WebhookSender, urls: [String]? = nil, in directory: WebhookDirectory? = nil,
    change: (inout WebhookConfiguration) -> Void = { _ in },
    _ body: (WebhookOutbox, Store) async throws -> Void
  ) async throws {
    let directory = try directory ?? WebhookDirectory()
    let store = try Store(directory: directory.path)
    var configuration = WebhookConfiguration(urls: urls ?? [url], key: "devkey", secret: Secret("devsecret"))
    configuration.firstRetry = .milliseconds(20)
    configuration.lastRetry = .milliseconds(80)
    configuration.pollInterval = .milliseconds(10)
    change(&configuration)
    var quiet = Logger(label: "test")
    quiet.logLevel = .critical
    let outbox = WebhookOutbox(
      configuration: configuration, store: store, sender: sender, metrics: MetricsRegistry(), logger: quiet)
    let services = ServiceGroup(configuration: .init(services: [.init(service: outbox)], logger: quiet))
    async let running: Void = services.run()
    do {
      try await body(outbox, store)
    } catch {
      await services.triggerGracefulShutdown()
      throw error
    }
    await services.triggerGracefulShutdown()
    try await running
  }

  @Test func tellsWhatHappenedAsLiveKitDoes() async throws {
    let sender = FakeSender()
    try await run(sender) { outbox, _ in
      outbox.post(.participantJoined(room("lobby"), participant("ada")))
      try await until("one") { sender.posts.count == 1 }
    }
    let post = try #require(sender.posts.first)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(post.body.utf8)) as? [String: Any])
    #expect(object["event"] as? String == "participant_joined")
    #expect((object["id"] as? String)?.hasPrefix("EV_") == true)
    // 64-bit numbers are texts in protobuf JSON, and nothing is written for zero.
    #expect(Int64(object["createdAt"] as? String ?? "") ?? 0 > 1_700_000_000)
    #expect(object["numDropped"] == nil && object["track"] == nil)
    let told = try #require(object["room"] as? [String: Any])
    #expect(told["creationTime"] as? String == "1800000000" && told["name"] as? String == "lobby")
    #expect((object["participant"] as? [String: Any])?["identity"] as? String == "ada")

    let claims = try TokenVerifier(keys: ["devkey": Secret("devsecret")]).verify(post.authorization, now: .now())
    #expect(claims.sha256 == Base64.encode(sha256(post.body)))
  }

  @Test func keepsTheOrderOfARoomThroughFailures() async throws {
    let sender = FakeSender()
    sender.answer([500, nil, 200, 503, 200])
    try await run(sender) { outbox, store in
      outbox.post(.roomStarted(room("lobby")))
      outbox.post(.participantJoined(room("lobby"), participant("ada")))
      outbox.post(.participantLeft(room("lobby"), participant("ada")))
      outbox.post(.roomFinished(room("lobby")))
      try await until("all") { try await store.waitingWebhooks() == 0 && sender.posts.count >= 7 }
    }
    #expect(
      sender.events == [
        "room_started", "room_started", "room_started", "participant_joined", "participant_joined",
        "participant_left", "room_finished",
      ])
    // The same bytes and the same id each time.
    #expect(Set(sender.posts.prefix(3).map(\.body)).count == 1)
    #expect(!sender.isOverlapping)
  }

  @Test func oneStuckRoomOrReceiverHoldsUpNoOther() async throws {
    let sender = FakeSender(delay: .milliseconds(5))
    try await run(sender, urls: [url, "http://other.example/"]) { outbox, store in
      for number in 0..<40 {
        for name in ["a", "b", "c"] { outbox.post(.participantJoined(room(name), participant("p\(number)"))) }
      }
      try await until("all") { try await store.waitingWebhooks() == 0 && sender.posts.count == 240 }
    }
    #expect(!sender.isOverlapping)
    #expect(sender.mostRunning > 1)
    for name in ["a", "b", "c"] {
      for url in [url, "http://other.example/"] {
        let seen = sender.posts.filter { $0.url == url && FakeSender.room($0.body) == name }.map(\.body)
        #expect(seen.count == 40)
        let isOrdered = seen.enumerated().allSatisfy { $1.contains("\"p\($0)\"") }
        #expect(isOrdered)
      }
    }
  }

  @Test func aRefusalIsFinal() async throws {
    let sender = FakeSender()
    sender.answer([403])
    try await run(sender) { outbox, store in
      outbox.post(.roomStarted(room("lobby")))
      outbox.post(.roomFinished(room("lobby")))
      try await until("both") { try await store.waitingWebhooks() == 0 && sender.posts.count == 2 }
      let failed = try await store.webhooks(state: .failed)
      #expect(failed.map(\.record.event) == ["room_started"] && failed.first?.status == 403)
      // And comes again when somebody asks for it, while the server runs.
      #expect(try await store.replayWebhooks(WebhookSelection(failedOnly: true)) == 1)
      try await until("again") { sender.posts.count == 3 }
    }
    #expect(sender.events.last == "room_started")
    #expect(sender.ids.last == sender.ids.first)
  }

  @Test func givesUpAfterItsTime() async throws {
    let sender = FakeSender()
    sender.answer(Array(repeating: 500, count: 100))
    try await run(sender, change: { $0.giveUp = .milliseconds(200) }) { outbox, store in
      outbox.post(.roomStarted(room("lobby")))
      try await until("failed") { try await store.webhooks(state: .failed).count == 1 }
    }
    // 20 + 40 + 80 + 80 ms: five attempts.
    #expect(sender.posts.count == 5)
  }

  @Test func whatWaitedGoesOutAfterTheNextStart() async throws {
    let directory = try WebhookDirectory()
    let down = FakeSender()
    down.answer(Array(repeating: nil, count: 1000))
    try await run(down, in: directory, change: { $0.firstRetry = .seconds(1) }) { outbox, store in
      outbox.post(.roomStarted(room("lobby")))
      try await until("tried") { try await store.webhooks().first?.attempts == 1 }
      // In memory when the end comes.
      outbox.post(.roomFinished(room("lobby")))
    }
    let up = FakeSender()
    try await run(up, in: directory) { _, store in
      try await until("both") { try await store.waitingWebhooks() == 0 && up.posts.count == 2 }
    }
    #expect(up.events == ["room_started", "room_finished"])
    #expect(up.ids.first == down.ids.first)
  }

  @Test func waitsDoubleUpToTheirBound() {
    let configuration = WebhookConfiguration(urls: [], key: "", secret: Secret(""))
    #expect((1...5).map { configuration.wait(afterAttempts: $0) } == [1, 2, 4, 8, 16].map { .seconds($0) })
    #expect(configuration.wait(afterAttempts: 10_000) == .seconds(300))
    var random = SeededRandom(seed: 1)
    for _ in 0..<100 {
      let wait = configuration.jittered(.seconds(10), using: &random)
      #expect(wait >= .seconds(10) && wait <= .seconds(12))
    }
  }

  @Test(arguments: [
    (nil, true), (500, true), (503, true), (408, true), (429, true), (400, false), (401, false), (302, false),
  ])
  func knowsWhatMayPass(status: Int?, isTransient: Bool) {
    #expect(WebhookOutcome(status: status, problem: "").isTransient == isTransient)
  }

  // MARK: Over HTTP

  @Test func postsOverHTTP() async throws {
    let seen = Mutex<[(HTTPFields, String)]>([])
    let router = Router(context: HTTPRequestContext.self)
    router.post("/hook") { request, _ in
      let body = try await request.body.collect(upTo: 1 << 20)
      seen.withLock { $0.append((request.headers, String(buffer: body))) }
      return HTTPResponse.Status.noContent
    }
    router.post("/moved") { _, _ in Response(status: .found, headers: [.location: "/hook"]) }
    try await PlainServer.run(router) { address in
      let sender = HTTPWebhookSender()
      let outcome = await sender.send(
        "{\"é\":1}", to: "http://\(address)/hook", authorization: "TOKEN", timeout: .seconds(5))
      #expect(outcome == WebhookOutcome(status: 204, problem: ""))
      let (headers, body) = try #require(seen.withLock { $0.first })
      #expect(headers[.contentType] == "application/webhook+json" && headers[.authorization] == "TOKEN")
      #expect(body == "{\"é\":1}")

      // A redirect is not followed.
      let moved = await sender.send("{}", to: "http://\(address)/moved", authorization: "TOKEN", timeout: .seconds(5))
      #expect(moved.status == 302 && !moved.isSuccess && seen.withLock { $0.count } == 1)
      let nobody = await sender.send("{}", to: "http://127.0.0.1:1/", authorization: "TOKEN", timeout: .seconds(5))
      #expect(nobody.status == nil && !nobody.problem.isEmpty)
      await sender.shutdown()
    }
  }
}

/// A directory that goes with its last reference.
private final class WebhookDirectory: Sendable {
  let path: String
  init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("parley-\(RandomToken.hex(bytes: 8))").path
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// One HTTP server with the given routes.
private enum PlainServer {
  static func run(
    _ router: Router<HTTPRequestContext>, _ body: (Core.SocketAddress) async throws -> Void
  ) async throws {
    var quiet = Logger(label: "test")
    quiet.logLevel = .critical
    let server = HTTPServer(
      configuration: .init(listeners: [.init(address: Core.SocketAddress("127.0.0.1:0")!)]), router: router,
      group: MultiThreadedEventLoopGroup.singleton, logger: quiet)
    let services = ServiceGroup(configuration: .init(services: [.init(service: server)], logger: quiet))
    async let running: Void = services.run()
    let address = try await server.bound()[0].address
    do {
      try await body(address)
    } catch {
      await services.triggerGracefulShutdown()
      throw error
    }
    await services.triggerGracefulShutdown()
    try await running
  }
}
