import Transport

/// Two data channel ends that were just connected; the input plays the peer of the first, and now and then its user.
///
/// The input is a list of steps, each an operation byte and what that needs. Packets get the right ports, verification
/// tag and checksum: a peer behind DTLS can do that, and usrsctp drops all others at once.
func fuzzSCTP(_ input: UnsafeRawBufferPointer) {
  let peers = Peers()
  peers.connect()
  precondition(peers.target.isOpen, "two ends of ours do not connect")
  var reader = Reader(input)
  while let operation = reader.byte() {
    switch operation % 8 {
    case 0: peers.inject(chunks: reader.bytes(Int(reader.byte() ?? 0) << 2))
    case 1:
      // A DATA chunk that is the next in order.
      let flags = reader.byte() ?? 3
      let stream = UInt16(reader.byte() ?? 0)
      let ppid = [50, 51, 53, 56, 57, 50, 52, UInt32(reader.byte() ?? 0)][Int(reader.byte() ?? 0) & 7]
      peers.data(flags: flags & 7, stream: stream, ppid: ppid, reader.bytes(Int(reader.byte() ?? 0)))
    case 2: peers.pump(limit: 16)
    case 3:
      _ = peers.target.open(label: "x", ordered: operation & 16 == 0, maxRetransmits: operation & 32 == 0 ? nil : 0)
    case 4:
      let size = Int(reader.byte() ?? 0) << 8
      _ = peers.target.send(UInt16(reader.byte() ?? 0), isBinary: true, [UInt8](repeating: 1, count: size))
    case 5: peers.target.close(UInt16(reader.byte() ?? 0))
    case 6: peers.corruptNext(at: Int(reader.byte() ?? 0), with: reader.byte() ?? 0)
    default: peers.other.open(label: String(decoding: reader.bytes(Int(reader.byte() ?? 0)), as: UTF8.self))
    }
  }
  peers.pump(limit: 64)
  precondition(peers.target.bufferedAmount(0) >= 0)
  peers.close()
}

private struct Reader {
  private var rest: Slice<UnsafeRawBufferPointer>

  init(_ input: UnsafeRawBufferPointer) { rest = input[...] }

  mutating func byte() -> UInt8? { rest.popFirst() }

  mutating func bytes(_ count: Int) -> [UInt8] {
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }
}

final class Peers {
  static let worker = MediaWorker(name: "fuzz")

  private(set) var target: DataChannels
  private(set) var other: DataChannels
  private let wire: Wire
  /// What the peer puts into its packets, taken from those that it really sent.
  private var tag: [UInt8] = [0, 0, 0, 0]
  private var transmissionNumber: UInt32 = 0

  private final class Wire {
    var toTarget: [[UInt8]] = []
    var toOther: [[UInt8]] = []
  }

  init() {
    let wire = Wire()
    self.wire = wire
    target = DataChannels(worker: Peers.worker, maximumMessageSize: 4096) { wire.toOther.append(Array($0)) }
    other = DataChannels(worker: Peers.worker, maximumMessageSize: 4096) { wire.toTarget.append(Array($0)) }
    target.onMessage = { [unowned self] stream, isBinary, bytes in
      if bytes.count % 3 == 0 { self.target.send(stream, isBinary: isBinary, bytes) }
    }
  }

  func connect() {
    target.start(role: .server)
    other.start(role: .client)
    other.open(label: "first")
    pump(limit: 40)
  }

  /// In this order nobody is left to bear the clock, which would wait for the worker's loop.
  func close() {
    other.close()
    target.close()
  }

  /// Delivers what is on the way in both directions.
  func pump(limit: Int) {
    for _ in 0..<limit {
      guard !wire.toTarget.isEmpty || !wire.toOther.isEmpty else { return }
      if !wire.toTarget.isEmpty { deliver(wire.toTarget.removeFirst()) }
      if !wire.toOther.isEmpty { wire.toOther.removeFirst().withUnsafeBytes { other.receive($0) } }
    }
  }

  private func deliver(_ packet: [UInt8]) {
    if packet.count >= 12, packet[4..<8] != [0, 0, 0, 0] { tag = Array(packet[4..<8]) }
    // INIT and INIT ACK carry the first number at 28, DATA its own at 16.
    if packet.count >= 32, packet[12] == 1 || packet[12] == 2 {
      transmissionNumber = packet[28..<32].reduce(0) { $0 << 8 | UInt32($1) }
    } else if packet.count >= 20, packet[12] == 0 {
      transmissionNumber = packet[16..<20].reduce(0) { $0 << 8 | UInt32($1) } &+ 1
    }
    packet.withUnsafeBytes { target.receive($0) }
  }

  func corruptNext(at offset: Int, with value: UInt8) {
    guard !wire.toTarget.isEmpty else { return }
    var packet = wire.toTarget.removeFirst()
    if packet.count > 12 { packet[12 + offset % (packet.count - 12)] ^= value }
    deliver(Peers.checksummed(packet))
  }

  func inject(chunks: [UInt8]) { deliver(Peers.checksummed([0x13, 0x88, 0x13, 0x88] + tag + [0, 0, 0, 0] + chunks)) }

  func data(flags: UInt8, stream: UInt16, ppid: UInt32, _ payload: [UInt8]) {
    func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32($0))) } }
    let length = 16 + payload.count
    var chunk = [0, flags, UInt8(length >> 8), UInt8(length & 255)] + big(transmissionNumber)
    chunk += [UInt8(stream >> 8), UInt8(stream & 255), 0, 0] + big(ppid) + payload
    chunk += [UInt8](repeating: 0, count: (4 - length % 4) % 4)
    transmissionNumber &+= 1
    inject(chunks: chunk)
  }

  /// CRC32c, least significant byte first (RFC 9260, appendix A).
  private static func checksummed(_ packet: [UInt8]) -> [UInt8] {
    var packet = packet
    packet.replaceSubrange(8..<12, with: [0, 0, 0, 0])
    var sum: UInt32 = ~0
    for byte in packet { sum = sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
    sum = ~sum
    for index in 0..<4 { packet[8 + index] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(index))) }
    return packet
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
  }
}
