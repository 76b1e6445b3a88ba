import Core
import Dispatch
import Gateway
import Logging
import SIP
import Synchronization
import Testing
import Transport

/// The signalling loop of the tests.
final class TestLoop: SerialExecutor {
  private let queue = DispatchQueue(label: "signalling")

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }
  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
  func checkIsolated() { dispatchPrecondition(condition: .onQueue(queue)) }
}

/// Records in memory, in the order saved.
final class RecordBook: CallRecordSink {
  private let state = Mutex<(saved: [CallRecord], isOpen: Bool)>(([], true))

  func save(_ record: CallRecord) async {
    while record.endedAt != nil, !state.withLock({ $0.isOpen }) { try? await Task.sleep(for: .milliseconds(1)) }
    state.withLock { $0.saved.append(record) }
  }

  /// Holds back final records until told otherwise.
  func setOpen(_ open: Bool) { state.withLock { $0.isOpen = open } }
  var saved: [CallRecord] { state.withLock { $0.saved } }
  var final: [CallRecord] { saved.filter { $0.endedAt != nil } }
}

struct NothingCame: Error, CustomStringConvertible {
  let description: String
}

/// A gateway between scripted user agents, on a clock of its own; its media is real, on 127.0.0.1.
final class World: Sendable {
  static let password = "secret"
  static let certificate = try? DTLSCertificate.make()

  let gateway: Gateway
  let records = RecordBook()
  let media: MediaPlane
  let metrics = MetricsRegistry()
  private let loop = TestLoop()
  private let clock: Clock
  private let post: Post

  final class Clock: Sendable {
    private let time = Mutex(Instant(nanoseconds: 1_000_000_000_000))
    var now: Instant { time.withLock { $0 } }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
  }

  final class Post: Sendable {
    let sent = Mutex<[(message: SIPMessage, to: Destination)]>([])
    let gateway = Mutex<Gateway?>(nil)
  }

  init(
    trunk: Trunk = Trunk(name: "carrier", host: "127.0.0.9", codecs: [.pcmu, .pcma]),
    ports: ClosedRange<UInt16> = 30_000...39_999, _ configure: (inout GatewayConfiguration) -> Void = { _ in }
  ) async throws {
    var configuration = GatewayConfiguration()
    configuration.domain = "parley.test"
    configuration.realm = "parley.test"
    configure(&configuration)
    var media = MediaConfiguration()
    media.listenAddresses = [IPAddress(v4: 0x7F00_0001)]
    media.ports = ports
    let clock = Clock()
    let post = Post()
    self.clock = clock
    self.post = post
    self.media = try MediaPlane(configuration: media, certificate: try #require(Self.certificate)) { leg, event in
      let gateway = post.gateway.withLock { $0 }
      Task { await gateway?.media(leg, event) }
    }
    gateway = Gateway(
      executor: loop, configuration: configuration, directory: Directory(),
      dependencies: GatewayDependencies(
        send: { message, destination in post.sent.withLock { $0.append((message, destination)) } },
        requestWake: { _ in }, contact: { _ in ("127.0.0.1", 5060) }, records: records, media: self.media,
        now: { clock.now }),
      metrics: GatewayMetrics(registry: metrics),
      logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    post.gateway.withLock { $0 = gateway }
    await gateway.update(Self.directory(trunk), trunkAddresses: Self.addresses(trunk))
  }

  static func addresses(_ trunk: Trunk) -> [String: [IPAddress]] {
    [trunk.name: IPAddress(trunk.host).map { [$0] } ?? []]
  }

  static func directory(_ trunk: Trunk, handling: [String: CallHandling] = [:]) -> Directory {
    let users = ["1001", "1002", "1003"].map { name in
      var user = User(
        name: name, display: "", ha1MD5: ha1(name, .md5), ha1SHA256: ha1(name, .sha256))
      user.handling = handling[name] ?? CallHandling()
      return user
    }
    return Directory(
      users: users, trunks: [trunk],
      numbers: [
        NumberRule(number: "+15550100", to: .user("1002")), NumberRule(number: "600", to: .echo),
      ],
      routes: [RouteRule(position: 1, match: "9(\\d+)", to: .trunk(trunk.name), number: "$1")])
  }

  private static func ha1(_ name: String, _ algorithm: DigestAlgorithm) -> String {
    DigestHash.ha1(username: name, realm: "parley.test", password: password, algorithm: algorithm)
  }

  deinit { media.stop() }

  // MARK: Time

  var now: Instant { clock.now }

  /// Lets time pass and the gateway act on it.
  func advance(_ duration: Duration) async throws {
    try await settle()
    clock.advance(duration)
    await gateway.advance()
    try await settle()
  }

  /// Waits until the gateway has handled what it was told.
  func settle() async throws {
    for _ in 0..<10_000 {
      if await gateway.busyMailboxes == 0 { return }
      try await Task.sleep(for: .milliseconds(1))
    }
    throw NothingCame(description: "the gateway does not come to rest")
  }

  // MARK: Messages

  func deliver(_ message: SIPMessage, _ flow: Flow) async { await gateway.receive(message, from: flow) }

  /// Takes the first message to `remote` that fits.
  func take<T>(_ remote: SocketAddress, _ what: String, _ pick: @Sendable (SIPMessage) -> T?) async throws -> T {
    for attempt in 0..<5_000 {
      let found: T? = post.sent.withLock { sent in
        for index in sent.indices where sent[index].to.remote == remote {
          if let value = pick(sent[index].message) {
            sent.remove(at: index)
            return value
          }
        }
        return nil
      }
      if let found { return found }
      if attempt > 20, await gateway.busyMailboxes == 0, attempt > 200 { break }
      try await Task.sleep(for: .milliseconds(1))
    }
    let seen = post.sent.withLock { $0.map { Self.summary($0.message) + " → \($0.to.remote)" } }
    throw NothingCame(description: "no \(what) for \(remote); sent: \(seen)")
  }

  /// The oldest message to `remote` that was not taken.
  func takeAny(_ remote: SocketAddress) async -> SIPMessage? {
    post.sent.withLock { sent in
      sent.firstIndex { $0.to.remote == remote }.map { sent.remove(at: $0).message }
    }
  }

  /// Messages sent and not taken yet, as `INVITE` or `200 INVITE`.
  func untaken(_ remote: SocketAddress) -> [String] {
    post.sent.withLock { $0.filter { $0.to.remote == remote }.map { Self.summary($0.message) } }
  }

  func clear() { post.sent.withLock { $0.removeAll() } }

  static func summary(_ message: SIPMessage) -> String {
    switch message {
    case .request(let request): request.method.rawValue
    case .response(let response): "\(response.status) \(response.headers.cSeq?.method.rawValue ?? "")"
    }
  }

  // MARK: Ends

  /// Every call is over with one final record, and nothing of it is left.
  func expectNothingLeft(calls: Int? = nil, _ comment: Comment? = nil, _ here: SourceLocation = #_sourceLocation)
    async throws
  {
    try await settle()
    for _ in 0..<12 { try await advance(.seconds(20)) }
    let holdings = await gateway.holdings
    #expect(holdings == GatewayHoldings(), comment, sourceLocation: here)
    var legs = 0
    for host in media.hosts { legs += await host.legCount }
    #expect(legs == 0, comment, sourceLocation: here)
    let saved = records.saved
    let ids = Set(saved.map(\.id))
    for id in ids {
      let own = saved.filter { $0.id == id }
      #expect(own.count { $0.endedAt != nil } == 1, comment, sourceLocation: here)
      #expect(own.last?.endedAt != nil, comment, sourceLocation: here)
      #expect(own.last?.outcome != .inProgress, comment, sourceLocation: here)
    }
    if let calls { #expect(ids.count == calls, comment, sourceLocation: here) }
  }

  /// The value of a metric, with its labels as written.
  func metric(_ name: String) -> String? {
    metrics.prometheusText().split(separator: "\n").first { $0.hasPrefix(name + " ") }.map {
      String($0.dropFirst(name.count + 1))
    }
  }
}
