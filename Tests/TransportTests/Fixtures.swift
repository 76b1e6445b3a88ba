import Core
import Testing
import TestSupport

@testable import Transport

/// Tests with threads and sockets run one after another: some count this process's descriptors.
@Suite(.serialized) enum LiveTests {}

/// An actor on a media worker's thread: tests await into it.
actor Bench {
  nonisolated let worker: MediaWorker
  nonisolated var unownedExecutor: UnownedSerialExecutor { worker.asUnownedSerialExecutor() }
  private(set) var transports: [WebRTCTransport] = []
  private(set) var plain: [PlainTransport] = []
  private(set) var inboxes: [Inbox] = []
  private(set) var events: [[WebRTCTransportEvent]] = []

  init(_ name: String = "test") { worker = MediaWorker(name: name) }

  static let ports: ClosedRange<UInt16> = 34_000...36_999
  static let loopback = IPAddress(v4: 0x7F00_0001)

  // MARK: WebRTC

  /// Makes a transport and gives its index.
  func make(
    _ certificate: DTLSCertificate, controlling: Bool, profiles: [SRTPProfile] = [.aeadAES128GCM],
    iceLite: Bool = false, addresses: [IPAddress] = [Bench.loopback], iceTimeout: Duration = .seconds(20)
  ) throws -> Int {
    let configuration = WebRTCTransport.Configuration(
      localAddresses: addresses, ports: Bench.ports, iceLite: iceLite, certificate: certificate, profiles: profiles,
      iceTimeout: iceTimeout)
    let transport = try WebRTCTransport(worker: worker, configuration: configuration, controlling: controlling)
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

  func setRemote(_ index: Int, _ remote: Description, role: DTLSRole, isLite: Bool = false) throws {
    try transports[index].setRemote(
      ufrag: remote.ufrag, password: remote.password, candidates: remote.candidates,
      fingerprint: (remote.algorithm, remote.fingerprint), isLite: isLite, role: role)
  }

  func describe(_ index: Int) -> Description {
    let transport = transports[index]
    return Description(
      ufrag: transport.localUfrag, password: transport.localPassword, candidates: transport.localCandidates,
      fingerprint: transport.fingerprint)
  }

  func restartICE(_ index: Int) -> Description {
    _ = transports[index].restartICE()
    return describe(index)
  }

  func send(_ index: Int, rtp packets: [[UInt8]]) {
    for packet in packets { packet.withUnsafeBytes { transports[index].send(rtp: $0) } }
  }

  func send(_ index: Int, rtcp packet: [UInt8]) { packet.withUnsafeBytes { transports[index].send(rtcp: $0) } }

  /// Hands a datagram to a transport as if libnice had received it.
  func inject(_ index: Int, _ datagram: [UInt8]) {
    var copy = datagram
    copy.withUnsafeMutableBytes { transports[index].receive($0) }
  }

  func received(_ index: Int) -> (rtp: [[UInt8]], rtcp: [[UInt8]]) { (inboxes[index].rtp, inboxes[index].rtcp) }

  func statistics(_ index: Int) -> TransportStatistics { transports[index].statistics }

  func selectedPair(_ index: Int) -> (local: String, remote: String)? { transports[index].selectedPair }

  func closeAll() {
    for transport in transports { transport.close() }
    for transport in plain { transport.close() }
    transports = []
    plain = []
    inboxes = []
    events = []
    closer = nil
  }

  func close(_ index: Int) { transports[index].close() }

  private(set) var closer: Closer?

  func closeInsidePacket(_ index: Int) {
    let closer = Closer(transports[index])
    self.closer = closer
    transports[index].receiver = closer
  }

  // MARK: Plain

  func makePlain(_ allocator: PortAllocator, bind: IPAddress = Bench.loopback) throws -> (
    index: Int, rtp: UInt16, rtcp: UInt16
  ) {
    let transport = try PlainTransport(worker: worker, bind: bind, ports: allocator)
    let inbox = Inbox()
    transport.receiver = inbox
    plain.append(transport)
    plainInboxes.append(inbox)
    return (plain.count - 1, transport.localRTPPort, transport.localRTCPPort)
  }

  private var plainInboxes: [Inbox] = []

  func setPlainRemote(_ index: Int, rtp: SocketAddress?, rtcp: SocketAddress? = nil, muxed: Bool = false) {
    plain[index].setRemote(rtp: rtp, rtcp: rtcp, muxed: muxed)
  }

  func sendPlain(_ index: Int, rtp packets: [[UInt8]]) {
    for packet in packets { packet.withUnsafeBytes { plain[index].send(rtp: $0) } }
  }

  func sendPlain(_ index: Int, rtcp packet: [UInt8]) { packet.withUnsafeBytes { plain[index].send(rtcp: $0) } }

  func plainReceived(_ index: Int) -> (rtp: [[UInt8]], rtcp: [[UInt8]]) {
    (plainInboxes[index].rtp, plainInboxes[index].rtcp)
  }

  func plainStatistics(_ index: Int) -> TransportStatistics { plain[index].statistics }

  func lockedSource(_ index: Int) -> SocketAddress? { plain[index].lockedSource }

  func closePlain(_ index: Int) { plain[index].close() }

  // MARK: Waiting

  /// Runs `body` on the worker's thread.
  func on<Value: Sendable>(_ body: @Sendable (isolated Bench) throws -> Value) rethrows -> Value { try body(self) }

  /// Ends when `condition` holds, looked at every 2 ms; false after `limit`.
  nonisolated func wait(
    _ limit: Duration = .seconds(10), until condition: @Sendable (isolated Bench) -> Bool
  ) async -> Bool {
    let end = Instant.now() + limit
    while Instant.now() < end {
      if await on(condition) { return true }
      try? await Task.sleep(for: .milliseconds(2))
    }
    return await on(condition)
  }

  /// Waits for DTLS to be done on the transport at `index`.
  nonisolated func waitConnected(_ index: Int, _ limit: Duration = .seconds(10)) async -> Bool {
    await wait(limit) { bench in
      bench.events[index].contains { if case .connected = $0 { true } else { false } }
    }
  }

  /// Closes everything and ends the thread.
  nonisolated func finish() async {
    await closeAll()
    worker.stop()
  }
}

/// What one side's SDP would say.
struct Description: Sendable, Equatable {
  var ufrag: String
  var password: String
  var candidates: [String]
  var algorithm = "sha-256"
  var fingerprint: String
}

/// Keeps what it gets. Worker-confined.
final class Inbox: PacketReceiver {
  private(set) var rtp: [[UInt8]] = []
  private(set) var rtcp: [[UInt8]] = []
  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) { rtp.append([UInt8](packet)) }
  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) { rtcp.append([UInt8](packet)) }
}

/// Closes its transport at the first packet.
final class Closer: PacketReceiver {
  private let transport: WebRTCTransport
  private(set) var calls = 0
  init(_ transport: WebRTCTransport) { self.transport = transport }
  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) {
    calls += 1
    transport.close()
  }
  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {}
}

/// Packets for tests.
enum Sample {
  /// An RTP packet of version 2 with a payload that follows from its sequence number.
  static func rtp(
    sequence: UInt16, ssrc: UInt32 = 0x1122_3344, timestamp: UInt32 = 0, payloadType: UInt8 = 111, payload: Int = 40
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x80, payloadType & 0x7F]
    bytes += [UInt8(sequence >> 8), UInt8(sequence & 255)]
    bytes += (0..<4).map { UInt8(truncatingIfNeeded: timestamp >> (24 - 8 * UInt32($0))) }
    bytes += (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * UInt32($0))) }
    bytes += (0..<payload).map { UInt8(truncatingIfNeeded: $0 &+ Int(sequence)) }
    return bytes
  }

  /// A receiver report without blocks.
  static func rtcp(ssrc: UInt32 = 0x1122_3344) -> [UInt8] {
    [0x80, 201, 0, 1] + (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * UInt32($0))) }
  }
}

/// Two transports on two workers, each told the other's description.
struct Pair {
  let a = Bench("a")
  let b = Bench("b")
  let certificateA: DTLSCertificate
  let certificateB: DTLSCertificate

  init() throws {
    certificateA = try DTLSCertificate.make()
    certificateB = try DTLSCertificate.make()
  }

  /// `a` offers and controls; its DTLS role is `role`. `alter` changes what `b` is told about `a`.
  func connect(
    profiles: [SRTPProfile] = [.aeadAES128GCM], role: DTLSRole = .client, iceLiteB: Bool = false,
    address: IPAddress = Bench.loopback, alter: (inout Description) -> Void = { _ in }
  ) async throws {
    _ = try await a.make(certificateA, controlling: true, profiles: profiles, addresses: [address])
    _ = try await b.make(certificateB, controlling: false, profiles: profiles, iceLite: iceLiteB, addresses: [address])
    var offer = try await a.gather(0)
    let answer = try await b.gather(0)
    alter(&offer)
    try await b.setRemote(0, offer, role: role == .client ? .server : .client)
    try await a.setRemote(0, answer, role: role, isLite: iceLiteB)
  }

  func finish() async {
    await a.finish()
    await b.finish()
  }
}
