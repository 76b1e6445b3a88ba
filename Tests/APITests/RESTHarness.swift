import Core
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import SIP
import Store
import Synchronization

@testable import API

/// The REST routes on a store of its own, asked without sockets.
final class RESTHarness: Sendable {
  let store: Store
  let control: FakeGateway
  let metrics = MetricsRegistry()
  let operations: [RESTOperation]
  private let responder: any HTTPResponder<TestContext>
  private let directory: String

  static let secret = "a long and random secret"
  static let realm = "example"

  init() throws {
    directory =
      FileManager.default.temporaryDirectory.appendingPathComponent("parley-\(RandomToken.hex(bytes: 8))").path
    store = try Store(directory: directory)
    control = FakeGateway()
    let router = Router(context: TestContext.self)
    operations = addREST(
      to: router,
      services: RESTServices(
        store: store, control: control, metrics: metrics, realm: Self.realm,
        keys: ["operations": Secret(Self.secret), "other": Secret("another secret of some length")]))
    responder = router.buildResponder()
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let text: String

    /// The body as a JSON object.
    var json: [String: Any] {
      (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
    }
    var errorCode: String? { (json["error"] as? [String: Any])?["code"] as? String }
    var message: String { (json["error"] as? [String: Any])?["message"] as? String ?? "" }
    func list(_ name: String) -> [[String: Any]] { json[name] as? [[String: Any]] ?? [] }
  }

  enum Login {
    case none
    case key
    case header(String)
    case basic(String, String)

    var field: String? {
      switch self {
      case .none: nil
      case .key: "Bearer \(RESTHarness.secret)"
      case .header(let text): text
      case .basic(let user, let password): "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
      }
    }
  }

  func ask(
    _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, login: Login = .key,
    from address: String = "192.0.2.9:4000", headers: HTTPFields = [:]
  ) async throws -> Answer {
    var fields = headers
    fields[.authorization] = login.field
    let request = Request(
      head: HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path, headerFields: fields),
      body: RequestBody(buffer: ByteBuffer(string: body ?? "")))
    var context = TestContext(source: TestSource())
    context.remoteAddress = SocketAddress(address)
    let response: Response
    do {
      response = try await responder.respond(to: request, context: context)
    } catch let error as any HTTPResponseError {
      response = try error.response(from: request, context: context)
    }
    let collected = Collected()
    try await response.body.write(collected)
    return Answer(
      status: response.status.code, headers: response.headers,
      text: String(decoding: collected.bytes.withLock { $0 }, as: UTF8.self))
  }

  /// Adds a user whose password is the name and `-password`.
  func addUser(_ name: String, enabled: Bool = true) async throws {
    func hash(_ algorithm: DigestAlgorithm) -> String {
      DigestHash.ha1(username: name, realm: Self.realm, password: "\(name)-password", algorithm: algorithm)
    }
    try await store.write(
      User(name: name, display: "Name", ha1MD5: hash(.md5), ha1SHA256: hash(.sha256), enabled: enabled))
  }
}

/// Takes a response's body.
private final class Collected: ResponseBodyWriter {
  let bytes = Mutex<[UInt8]>([])
  func write(_ buffer: ByteBuffer) async throws { bytes.withLock { $0 += buffer.readableBytesView } }
  consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}

struct TestSource: RequestContextSource {
  let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

struct TestContext: RequestContext, RemoteAddressed {
  typealias Source = TestSource

  var coreContext: CoreRequestContextStorage
  var remoteAddress: Core.SocketAddress?
  init(source: TestSource) { coreContext = .init(source: source) }
}

/// A gateway that says what it was told to say.
final class FakeGateway: GatewayControl {
  struct State {
    var isReady = true
    var calls: [CallRecord] = []
    var hungUp: [String] = []
    var registrations: [RegistrationInfo] = []
    var trunks: [TrunkInfo] = []
  }

  let state = Mutex(State())

  var isReady: Bool { get async { state.withLock { $0.isReady } } }
  func liveCalls() async -> [CallRecord] { state.withLock { $0.calls } }
  func hangUp(callID: String) async -> Bool {
    state.withLock { state in
      guard state.calls.contains(where: { $0.id == callID }) else { return false }
      state.hungUp.append(callID)
      return true
    }
  }
  func registrations() async -> [RegistrationInfo] { state.withLock { $0.registrations } }
  func trunkStates() async -> [TrunkInfo] { state.withLock { $0.trunks } }
}

extension CallRecord {
  /// An answered call of user 1001 to a trunk, every field set.
  static func sample(
    _ id: String, startedAt: Int64 = 1_763_672_000_000, from: String = "1001", to: String = "+15550199"
  )
    -> CallRecord
  {
    var caller = LegRecord(
      index: 0, kind: .user, party: from, sipCallID: "a", remoteAddress: "192.0.2.7:1", transport: "WSS",
      startedAt: WallTime(milliseconds: startedAt))
    caller.answeredAt = WallTime(milliseconds: startedAt + 3000)
    caller.endedAt = WallTime(milliseconds: startedAt + 9000)
    caller.status = 200
    caller.codec = "opus"
    caller.media.roundTrip = 20
    var callee = caller
    callee.index = 1
    callee.kind = .trunk
    callee.party = "carrier"
    var call = CallRecord(
      id: id, from: from, fromDisplay: "Ada", to: to, direction: .outbound,
      startedAt: WallTime(milliseconds: startedAt), outcome: .answered, legs: [caller, callee])
    call.ringingAt = WallTime(milliseconds: startedAt + 1000)
    call.answeredAt = WallTime(milliseconds: startedAt + 3000)
    call.endedAt = WallTime(milliseconds: startedAt + 9000)
    call.endedBy = .caller
    call.status = 200
    return call
  }
}
