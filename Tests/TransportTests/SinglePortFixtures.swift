import Core
import Testing
import TestSupport

@testable import Transport

/// The peers of one worker on a single port: tests await into it.
actor PortBench {
  nonisolated let worker: MediaWorker
  nonisolated var unownedExecutor: UnownedSerialExecutor { worker.asUnownedSerialExecutor() }
  private(set) var transports: [SinglePortTransport] = []
  private(set) var inboxes: [Inbox] = []
  private(set) var events: [[WebRTCTransportEvent]] = []

  init(_ worker: MediaWorker) { self.worker = worker }

  func make(_ port: SinglePort, towards: IPAddress = Bench.loopback) throws -> Int {
    let transport = try port.makeTransport(on: worker, towards: towards)
    let inbox = Inbox()
    transport.receiver = inbox
    let index = transports.count
    events.append([])
    transport.onEvent = { event in self.assumeIsolated { $0.events[index].append(event) } }
    transports.append(transport)
    inboxes.append(inbox)
    return index
  }

  func gather(_ index: Int) async throws -> Description {
    let transport = transports[index]
    let candidates = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<[String], any Error>) in
      do throws(TransportError) {
        try transport.gather { continuation.resume(returning: $0) }
      } catch {
        continuation.resume(throwing: error)
      }
    }
    return Description(
      ufrag: transport.localUfrag, password: transport.localPassword, candidates: candidates,
      fingerprint: transport.fingerprint)
  }

  func describe(_ index: Int) -> Description {
    let transport = transports[index]
    return Description(
      ufrag: transport.localUfrag, password: transport.localPassword, candidates: transport.localCandidates,
      fingerprint: transport.fingerprint)
  }

  func setRemote(_ index: Int, _ remote: Description, role: DTLSRole, isLite: Bool = false) throws {
    try transports[index].setRemote(
      ufrag: remote.ufrag, password: remote.password, candidates: remote.candidates,
      fingerprint: (remote.algorithm, remote.fingerprint), isLite: isLite, role: role)
  }

  func restartICE(_ index: Int) -> Description {
    _ = transports[index].restartICE()
    return describe(index)
  }

  func send(_ index: Int, rtp packets: [[UInt8]]) {
    for packet in packets { packet.withUnsafeBytes { transports[index].send(rtp: $0) } }
  }

  func send(_ index: Int, rtcp packet: [UInt8]) { packet.withUnsafeBytes { transports[index].send(rtcp: $0) } }

  func received(_ index: Int) -> (rtp: [[UInt8]], rtcp: [[UInt8]]) { (inboxes[index].rtp, inboxes[index].rtcp) }

  func statistics(_ index: Int) -> TransportStatistics { transports[index].statistics }

  func selectedPair(_ index: Int) -> (local: String, remote: String)? { transports[index].selectedPair }

  func statistics(of port: SinglePort) -> SinglePortStatistics { port.statistics(of: worker) }

  func close(_ index: Int) { transports[index].close() }

  func closeAll() {
    for transport in transports { transport.close() }
    transports = []
    inboxes = []
    events = []
  }

  /// Runs `body` on the worker's thread.
  func on<Value: Sendable>(_ body: @Sendable (isolated PortBench) throws -> Value) rethrows -> Value { try body(self) }

  nonisolated func wait(
    _ limit: Duration = .seconds(10), until condition: @Sendable (isolated PortBench) -> Bool
  ) async -> Bool {
    let end = Instant.now() + limit
    while Instant.now() < end {
      if await on(condition) { return true }
      try? await Task.sleep(for: .milliseconds(2))
    }
    return await on(condition)
  }

  nonisolated func waitConnected(_ index: Int, _ limit: Duration = .seconds(10)) async -> Bool {
    await wait(limit) { bench in
      bench.events[index].contains { if case .connected = $0 { true } else { false } }
    }
  }
}

/// A single port of some workers, and full ICE agents as the peers of it.
struct PortWorld {
  let workers: [MediaWorker]
  let benches: [PortBench]
  let port: SinglePort
  let certificate: DTLSCertificate
  let agents = Bench("agents")
  let agentCertificate: DTLSCertificate

  init(
    workers count: Int = 1, addresses: [IPAddress] = [Bench.loopback], profiles: [SRTPProfile] = [.aeadAES128GCM],
    overTCP: Bool = true, alter: (inout SinglePort.Configuration) -> Void = { _ in }
  ) throws {
    certificate = try DTLSCertificate.make()
    agentCertificate = try DTLSCertificate.make()
    workers = (0..<count).map { MediaWorker(name: "port-\($0)") }
    var configuration = SinglePort.Configuration(
      port: 0, addresses: addresses, certificate: certificate, profiles: profiles, overTCP: overTCP)
    alter(&configuration)
    port = try SinglePort(workers: workers, configuration: configuration)
    benches = workers.map { PortBench($0) }
  }

  var server: SocketAddress { SocketAddress(ip: Bench.loopback, port: port.port) }

  /// Connects a full agent to a new peer on worker `lane`. The indices of both.
  func connect(
    lane: Int = 0, role: DTLSRole = .server, profiles: [SRTPProfile] = [.aeadAES128GCM],
    address: IPAddress = Bench.loopback
  ) async throws -> (peer: Int, agent: Int) {
    let peer = try await benches[lane].make(port)
    let agent = try await agents.make(
      agentCertificate, controlling: true, profiles: profiles, addresses: [address])
    let offer = try await agents.gather(agent)
    try await benches[lane].setRemote(peer, offer, role: role)
    let answer = try await benches[lane].gather(peer)
    try await agents.setRemote(agent, answer, role: role == .server ? .client : .server, isLite: true)
    return (peer, agent)
  }

  func finish() async {
    for bench in benches { await bench.closeAll() }
    await agents.finish()
    port.close()
    for worker in workers { worker.stop() }
  }
}
