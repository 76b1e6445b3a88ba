import Core
import Glibc
import Testing
import TestSupport

@testable import Transport

/// A browser in small, on blocking sockets of its own: it checks, shakes hands and sends, over UDP or TCP, from as many
/// addresses as a test wants.
final class SyntheticPeer {
  /// One way to the server: a UDP socket, or a TCP connection with RFC 4571 frames.
  enum Way {
    case datagrams(TestSocket)
    case stream(TestStream)
  }

  let certificate: DTLSCertificate
  let ufrag = "brow"
  let password = "browserbrowserbrowser1"
  let server: SocketAddress
  private(set) var remote: Description
  var way: Way
  private(set) var dtls: DTLSSession?
  private var outbox: [[UInt8]] = []
  private var sender: SRTPSender?
  private var unprotector: SRTPReceiver?
  private(set) var rtp: [[UInt8]] = []
  /// STUN answers that came, newest last: code (200 for success) and mapped address.
  private(set) var answers: [(code: Int, mapped: SocketAddress?)] = []
  private let integrity: STUNIntegrity
  private var transactions: UInt64 = 0

  init(server: SocketAddress, remote: Description, certificate: DTLSCertificate, overTCP: Bool = false) throws {
    self.server = server
    self.remote = remote
    self.certificate = certificate
    integrity = try STUNIntegrity()
    way = overTCP ? .stream(try TestStream(to: server)) : .datagrams(try TestSocket(server.ip))
  }

  /// What its SDP would say.
  var description: Description {
    Description(ufrag: ufrag, password: password, candidates: [], fingerprint: certificate.fingerprint)
  }

  func takeUp(_ remote: Description) { self.remote = remote }

  // MARK: Bytes

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    switch way {
    case .datagrams(let socket): socket.send(bytes, to: server)
    case .stream(let stream): stream.send(frame: bytes)
    }
  }

  /// Handles what comes until `condition` holds; false after `limit` milliseconds without.
  @discardableResult
  func run(_ limit: Int = 2000, until condition: (SyntheticPeer) -> Bool = { _ in false }) -> Bool {
    let end = Instant.now() + .milliseconds(limit)
    while !condition(self) {
      let left = Instant.now().duration(to: end).nanoseconds / 1_000_000
      guard left > 0 else { return condition(self) }
      let wait = Int32(min(left, 20))
      let bytes: [UInt8]? =
        switch way {
        case .datagrams(let socket): socket.receive(wait)?.bytes
        case .stream(let stream): stream.receive(wait)
        }
      if let bytes { handle(bytes) } else { dtls?.expire() }
      flush()
    }
    return true
  }

  private func handle(_ bytes: [UInt8]) {
    var bytes = bytes
    switch bytes.withUnsafeBytes({ PacketKind($0) }) {
    case .stun:
      guard let message = try? STUNMessage(parsing: bytes.span.bytes) else { return }
      let isSigned = message.integrity.map { at in
        bytes.withUnsafeBytes { integrity.verify($0, attribute: at, password: Array(remote.password.utf8)) }
      }
      // An unsigned success is none.
      let code = message.errorCode ?? (isSigned == true ? 200 : -1)
      answers.append((code, bytes.withUnsafeBytes { message.mappedAddress(in: $0) }))
    case .dtls:
      bytes.withUnsafeBytes { dtls?.receive($0) }
      if sender == nil, dtls?.progress == .connected { takeKeys() }
    case .rtp:
      let result = bytes.withUnsafeMutableBytes { unprotector?.unprotect(rtp: $0) }
      if case .done(let length) = result { rtp.append(Array(bytes.prefix(length))) }
    default: break
    }
  }

  private func flush() {
    let waiting = outbox
    outbox = []
    for datagram in waiting { send(datagram) }
  }

  // MARK: ICE

  func makeCheck(
    nominates: Bool = true, password: String? = nil, username: String? = nil, priority: UInt32 = 1_845_501_695,
    controlled: Bool = false, unknown: Bool = false, withoutIntegrity: Bool = false
  ) -> [UInt8] {
    transactions += 1
    var bytes = [UInt8](repeating: 0, count: 512)
    let id = (0..<12).map { UInt8(truncatingIfNeeded: transactions >> UInt64(8 * min($0, 7))) }
    let length = bytes.withUnsafeMutableBytes { buffer in
      id.withUnsafeBytes { id in
        var writer = STUNWriter(.request, transactionID: id, into: buffer)
        writer.attribute(STUNMessage.Attribute.username, username ?? "\(remote.ufrag):\(ufrag)")
        let role = controlled ? STUNMessage.Attribute.iceControlled : STUNMessage.Attribute.iceControlling
        writer.attribute(role, 77 as UInt64)
        if nominates { writer.attribute(STUNMessage.Attribute.useCandidate, 0) { _ in } }
        writer.attribute(STUNMessage.Attribute.priority, priority)
        if unknown { writer.attribute(0x7F01, 0) { _ in } }
        if !withoutIntegrity {
          writer.messageIntegrity(integrity, password: Array((password ?? remote.password).utf8))
        }
        writer.fingerprint()
        return writer.finish()
      }
    }
    return Array(bytes.prefix(length ?? 0))
  }

  /// Checks until answered. The mapped address.
  func check(nominates: Bool = true) -> SocketAddress? {
    let before = answers.count
    for _ in 0..<5 {
      send(makeCheck(nominates: nominates))
      if run(200, until: { $0.answers.count > before }) { break }
    }
    guard answers.count > before, answers[before].code == 200 else { return nil }
    return answers[before].mapped
  }

  // MARK: DTLS and SRTP

  /// As the DTLS client. True when the keys are there.
  func shakeHands(_ limit: Int = 3000) throws -> Bool {
    let context = try certificate.context(profiles: [.aeadAES128GCM])
    let session = try DTLSSession(context: context, role: .client) { [unowned self] in
      self.outbox.append([UInt8]($0))
    }
    dtls = session
    session.start()
    flush()
    return run(limit) { $0.sender != nil }
  }

  private func takeKeys() {
    guard let keys = dtls?.exportKeys() else { return }
    sender = try? SRTPSender(profile: keys.profile, master: keys.client)
    unprotector = try? SRTPReceiver(profile: keys.profile, master: keys.server)
  }

  func protected(_ packet: [UInt8]) -> [UInt8]? {
    var bytes = packet + [UInt8](repeating: 0, count: 20)
    let length = bytes.withUnsafeMutableBytes { raw in
      raw.baseAddress.flatMap { sender?.protect(rtp: $0, length: packet.count) }
    }
    return length.map { Array(bytes.prefix($0)) }
  }

  func send(rtp packet: [UInt8]) { if let bytes = protected(packet) { send(bytes) } }
}

/// A blocking TCP connection of the test's own, with frames of RFC 4571.
final class TestStream {
  let descriptor: Int32
  private var input: [UInt8] = []
  private(set) var isEnded = false

  init(to server: SocketAddress) throws {
    descriptor = socket(server.ip.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let kernel = SocketStorage(server)
    let result = withUnsafePointer(to: kernel.storage) { pointer in
      connect(
        descriptor, UnsafeRawPointer(pointer).assumingMemoryBound(to: sockaddr.self), kernel.length)
    }
    try #require(result == 0, "connect to \(server)")
  }

  deinit { Glibc.close(descriptor) }

  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  @discardableResult
  func send(frame bytes: [UInt8]) -> Bool { send([UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes) }

  /// One frame; nil after `limit` milliseconds, or at the end.
  func receive(_ limit: Int32) -> [UInt8]? {
    while true {
      if input.count >= 2 {
        let length = Int(input[0]) << 8 | Int(input[1])
        if input.count >= 2 + length {
          defer { input.removeFirst(2 + length) }
          return Array(input[2..<(2 + length)])
        }
      }
      var item = (descriptor: descriptor, events: Int16(POLLIN), result: Int16(0))
      let ready = withUnsafeMutablePointer(to: &item) {
        poll(UnsafeMutableRawPointer($0).assumingMemoryBound(to: pollfd.self), 1, limit)
      }
      guard ready == 1, !isEnded else { return nil }
      var buffer = [UInt8](repeating: 0, count: 65_536)
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count > 0 else {
        isEnded = true
        return nil
      }
      input += buffer.prefix(count)
    }
  }

  /// Whether the server closes within `limit` milliseconds.
  func ends(_ limit: Int) -> Bool {
    let end = Instant.now() + .milliseconds(limit)
    while !isEnded, Instant.now() < end { _ = receive(20) }
    return isEnded
  }
}

extension PortWorld {
  /// A new peer on worker `lane`, told what the synthetic browser's SDP says, and that browser.
  func synthetic(
    lane: Int = 0, overTCP: Bool = false, alter: (inout Description) -> Void = { _ in }
  ) async throws -> (peer: Int, browser: SyntheticPeer) {
    let peer = try await benches[lane].make(port)
    let browser = try SyntheticPeer(
      server: server, remote: try await benches[lane].gather(peer), certificate: agentCertificate, overTCP: overTCP)
    var description = browser.description
    alter(&description)
    try await benches[lane].setRemote(peer, description, role: .server)
    return (peer, browser)
  }
}
