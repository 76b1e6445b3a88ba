import Core
import RTP
import SFU

/// One input is a script for a room of a publisher with every codec and a subscriber: packets, reports, time, changes.
func fuzzRouter(_ bytes: [UInt8]) {
  var play = Play(bytes)
  play.run()
}

private final class Outlet: PacketTransport {
  func send(rtp packet: UnsafeRawBufferPointer) {
    guard let header = try? RTPHeader(parsing: packet) else { preconditionFailure("what was sent does not parse") }
    precondition(header.payload.upperBound + header.padding == packet.count)
    precondition(header.ssrc.rawValue >= 100 && header.ssrc.rawValue < 120, "a stream that nobody asked for")
  }
  func send(rtcp packet: UnsafeRawBufferPointer) {
    precondition((try? RTCPCompound.parse(packet)) != nil, "what was reported does not parse")
    precondition(packet.count <= 1_500, "\(packet.count) bytes")
  }
}

private struct Play {
  private let bytes: [UInt8]
  private var at = 0
  private var now = Instant(nanoseconds: 1_000_000_000)
  private let router = Router(seed: 1, configuration: RouterConfiguration(loudest: 1))
  private let publisher: any PacketReceiver
  private let subscriber: any PacketReceiver
  private static let codecs: [(MediaCodec, UInt8)] = [
    (.opus, 111), (.red, 63), (.vp8, 96), (.vp9, 98), (.h264, 125), (.av1, 35),
  ]

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    publisher = router.addPeer(PeerID(rawValue: 1), transport: Outlet(), now: now)
    subscriber = router.addPeer(PeerID(rawValue: 2), transport: Outlet(), now: now)
    router.configurePeer(PeerID(rawValue: 2), bandwidth: .transportCC)
    for index in 0..<5 {
      publish(index)
      consume(index)
    }
  }

  private static var extensions: HeaderExtensionMap {
    var map = HeaderExtensionMap()
    for (index, kind) in HeaderExtension.allCases.enumerated() { map[kind] = UInt8(index + 1) }
    return map
  }

  /// Audio, then a track of each video codec; VP8 is simulcast.
  private static func codecs(_ index: Int) -> [CodecParameters] {
    let some = index == 0 ? codecs[0...1] : codecs[(index + 1)...(index + 1)]
    return some.map {
      CodecParameters(
        codec: $0.0, payloadType: PayloadType($0.1),
        retransmission: $0.0.kind == .video ? PayloadType($0.1 + 1) : nil)
    }
  }

  private func publish(_ index: Int) {
    let layers = index == 1 ? 3 : 1
    let encodings = (0..<layers).map { layer in
      EncodingParameters(
        rid: layers > 1 ? ["q", "h", "f"][layer] : nil, ssrc: SSRC(UInt32(10 * index + 2 * layer)),
        retransmissionSSRC: SSRC(UInt32(10 * index + 2 * layer + 1)), spatialLayer: layer)
    }
    router.addProducer(
      ProducerID(rawValue: UInt64(index)), peer: PeerID(rawValue: 1),
      parameters: ProducerParameters(
        kind: index == 0 ? .audio : .video, mid: "\(index)", codecs: Self.codecs(index), extensions: Self.extensions,
        encodings: encodings))
  }

  private func consume(_ index: Int) {
    var codecs = Self.codecs(index)
    // Plain Opus only: redundancy is taken off.
    if index == 0 { codecs.removeLast() }
    _ = router.addConsumer(
      ConsumerID(rawValue: UInt64(index)), of: ProducerID(rawValue: UInt64(index)), peer: PeerID(rawValue: 2),
      parameters: ConsumerParameters(
        mid: "\(index)", ssrc: SSRC(UInt32(100 + 2 * index)), retransmissionSSRC: SSRC(UInt32(101 + 2 * index)),
        codecs: codecs, extensions: Self.extensions, cname: "c"))
  }

  private mutating func next() -> UInt8 {
    guard at < bytes.count else { return 0 }
    defer { at += 1 }
    return bytes[at]
  }

  private mutating func take(_ count: Int) -> [UInt8] {
    let end = min(at + count, bytes.count)
    defer { at = end }
    return Array(bytes[at..<end])
  }

  mutating func run() {
    var steps = 0
    while at < bytes.count, steps < 120 {
      steps += 1
      let choice = next()
      switch choice % 16 {
      case 0...6: sendMedia(choice)
      case 7: deliver(rtp: take(Int(next())))
      case 8: deliver(rtcp: take(Int(next())), to: choice & 0x80 != 0 ? publisher : subscriber)
      case 9: reportBack()
      case 10, 11, 12: wait(Int(next()))
      case 13: change()
      case 14:
        // A tick that comes late.
        now = now + .milliseconds(Int(next()) * 20)
        router.tick(now: now)
      default: nack()
      }
    }
    wait(10)
    _ = router.statistics()
  }

  /// A packet of one of the streams, numbered near the ones before, with payload and an element out of the input.
  private mutating func sendMedia(_ choice: UInt8) {
    let index = Int(choice) / 16 % 5
    let layer = index == 1 ? Int(choice) % 3 : 0
    let codec = Self.codecs[index == 0 ? Int(choice) % 2 : index + 1]
    let isRepair = index > 0 && choice % 16 == 6
    var packet = RTPHeader(
      payloadType: PayloadType(codec.1 + (isRepair ? 1 : 0)), sequence: UInt16(next()) | UInt16(next() & 0x81) << 8,
      timestamp: UInt32(next()) * 960, ssrc: SSRC(UInt32(10 * index + 2 * layer + (isRepair ? 1 : 0))),
      marker: choice & 8 != 0
    ).serialized(payload: [])
    let map = Self.extensions
    let level = next()
    let dependency = codec.0 == .av1 ? take(Int(next() % 64)) : []
    packet += RTPHeader.extensionBytes([
      (map[.audioLevel] ?? 0, [level]), (map[.transportWideCC] ?? 0, [0, level]),
      (map[.dependencyDescriptor] ?? 0, dependency),
    ])
    packet[0] |= 0x10
    if isRepair { packet += [next() & 0x81, next()] }
    deliver(rtp: packet + take(Int(next() % 40)))
  }

  private func deliver(rtp packet: [UInt8]) { packet.withUnsafeBytes { publisher.receive(rtp: $0, now: now) } }

  private func deliver(rtcp packet: [UInt8], to peer: any PacketReceiver) {
    packet.withUnsafeBytes { peer.receive(rtcp: $0, now: now) }
  }

  private mutating func reportBack() {
    let block = ReportBlock(
      source: SSRC(100 + UInt32(next() % 10)), fractionLost: next(), cumulativeLost: Int32(next()),
      extendedHighestSequence: UInt32(next()) << 8, jitter: UInt32(next()), lastSenderReport: UInt32(next()),
      delaySinceLastSenderReport: UInt32(next()) << 8)
    let arrivals = (0..<Int(next() % 40)).map { _ in next() }.map { $0 & 1 == 0 ? nil : Int16($0) - 100 }
    let feedback = TransportFeedback(
      sender: SSRC(1), media: SSRC(100), baseSequence: UInt16(next()), referenceTime: Int32(next()),
      feedbackCount: next(),
      arrivals: arrivals)
    deliver(
      rtcp: RTCPPacket.compound([
        .receiverReport(sender: SSRC(1), blocks: [block]), .transportFeedback(feedback),
        .receiverEstimatedMaximumBitrate(sender: SSRC(1), bitrate: UInt64(next()) << 14, sources: []),
        .pictureLossIndication(sender: SSRC(1), media: SSRC(100 + UInt32(next() % 10))),
      ]), to: subscriber)
    let report = SenderReport(
      sender: SSRC(UInt32(next() % 50)), ntp: NTPTime(rawValue: UInt64(next()) << 56 | UInt64(next()) << 30),
      rtpTimestamp: UInt32(next()) << 24, packetCount: 0, octetCount: 0, blocks: [])
    deliver(rtcp: RTCPPacket.compound([.senderReport(report)]), to: publisher)
  }

  private mutating func nack() {
    let media = SSRC(100 + 2 * UInt32(next() % 5))
    let start = UInt16(next()) << 8 | UInt16(next())
    let lost = (0..<UInt16(next() % 32)).map { start &+ $0 }
    deliver(rtcp: RTCPPacket.compound([.nack(sender: SSRC(1), media: media, lost: lost)]), to: subscriber)
  }

  private mutating func wait(_ milliseconds: Int) {
    let end = now + .milliseconds(milliseconds)
    while now < end {
      now = now + .milliseconds(25)
      router.tick(now: now)
    }
  }

  private mutating func change() {
    let value = next()
    let index = Int(value) % 5
    let producer = ProducerID(rawValue: UInt64(index))
    let consumer = ConsumerID(rawValue: UInt64(index))
    switch value / 16 % 8 {
    case 0: router.setProducer(producer, muted: true)
    case 1: router.setProducer(producer, muted: false)
    case 2: router.removeConsumer(consumer)
    case 3: consume(index)
    case 4: publish(index)
    case 5: router.requestKeyFrame(producer)
    case 6: router.configurePeer(PeerID(rawValue: 2), bandwidth: [.none, .remb, .transportCC][Int(value) % 3])
    default:
      router.updateConsumer(
        consumer,
        preferences: ConsumerPreferences(
          isPaused: value & 1 == 1, maximumSpatialLayer: Int(next() % 3), maximumTemporalLayer: Int(next() % 4)))
    }
  }
}
