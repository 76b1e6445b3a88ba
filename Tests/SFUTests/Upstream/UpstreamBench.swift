import Core
import RTP

@testable import SFU

/// Builds packets as clients send them.
enum Client {
  static let opus = PayloadType(111)
  static let red = PayloadType(63)
  static let vp8 = PayloadType(96)
  static let vp8RTX = PayloadType(97)
  static let h264 = PayloadType(125)
  static let h264RTX = PayloadType(124)

  /// Identifiers as native clients offer them.
  static var extensions: HeaderExtensionMap {
    var map = HeaderExtensionMap()
    map[.audioLevel] = 1
    map[.absoluteSendTime] = 2
    map[.transportWideCC] = 3
    map[.mid] = 4
    map[.rid] = 10
    map[.repairedRID] = 11
    map[.dependencyDescriptor] = 12
    return map
  }

  static func packet(
    _ payloadType: PayloadType, _ sequence: Int, _ timestamp: Int, ssrc: SSRC, marker: Bool = false,
    elements: [(HeaderExtension, [UInt8])] = [], payload: [UInt8]
  ) -> [UInt8] {
    let header = RTPHeader(
      payloadType: payloadType, sequence: UInt16(truncatingIfNeeded: sequence),
      timestamp: UInt32(truncatingIfNeeded: timestamp), ssrc: ssrc, marker: marker)
    var bytes = header.serialized(payload: [])
    let map = extensions
    let data = RTPHeader.extensionBytes(elements.map { (map[$0.0] ?? 0, $0.1) })
    if !data.isEmpty { bytes[0] |= 0x10 }
    return bytes + data + payload
  }

  /// The packet as its retransmission.
  static func retransmission(
    of original: [UInt8], _ payloadType: PayloadType, _ sequence: Int, ssrc: SSRC
  ) throws -> [UInt8] {
    let header = try RTPHeader(parsing: original)
    var bytes = Array(original[..<header.payload.lowerBound])
    bytes[1] = bytes[1] & 0x80 | payloadType.rawValue
    bytes += [UInt8(header.sequence >> 8), UInt8(header.sequence & 0xFF)]
    bytes += original[header.payload]
    bytes[2] = UInt8(truncatingIfNeeded: sequence >> 8)
    bytes[3] = UInt8(truncatingIfNeeded: sequence)
    for index in 0..<4 { bytes[8 + index] = UInt8(truncatingIfNeeded: ssrc.rawValue >> UInt32(24 - 8 * index)) }
    return bytes
  }

  /// A VP8 payload with picture ID, TL0PICIDX and layer.
  static func vp8(
    picture: Int, tl0: Int = 0, temporal: Int = 0, isSync: Bool = false, startsFrame: Bool = true, isKey: Bool = false,
    bytes: Int = 20
  ) -> [UInt8] {
    var payload: [UInt8] = [startsFrame ? 0x90 : 0x80, 0xE0]
    payload += [UInt8(0x80 | (picture >> 8 & 0x7F)), UInt8(picture & 0xFF), UInt8(truncatingIfNeeded: tl0)]
    payload.append(UInt8(temporal << 6) | (isSync ? 0x20 : 0))
    payload.append(isKey ? 0x00 : 0x01)
    return payload + [UInt8](repeating: 0xAB, count: max(0, bytes - 1))
  }

  static func audioLevel(_ attenuation: Int, voice: Bool = true) -> [UInt8] {
    [AudioLevel(byte: UInt8(attenuation) | (voice ? 0x80 : 0)).byte]
  }

  static func number(_ value: Int) -> [UInt8] {
    [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
  }

  // MARK: What offer and answer settle

  static let audioCodecs = [CodecParameters(codec: .opus, payloadType: opus, formatParameters: "useinbandfec=1")]
  static let videoCodecs = [CodecParameters(codec: .vp8, payloadType: vp8, retransmission: vp8RTX)]

  static func audio(mid: String = "0", ssrc: SSRC? = nil) -> ProducerParameters {
    ProducerParameters(
      kind: .audio, mid: mid, codecs: audioCodecs, extensions: extensions, encodings: [EncodingParameters(ssrc: ssrc)])
  }

  static func video(mid: String = "1", ssrc: SSRC? = nil, retransmission: SSRC? = nil) -> ProducerParameters {
    ProducerParameters(
      kind: .video, mid: mid, codecs: videoCodecs, extensions: extensions,
      encodings: [EncodingParameters(ssrc: ssrc, retransmissionSSRC: retransmission)])
  }

  static func simulcast(mid: String = "1") -> ProducerParameters {
    ProducerParameters(
      kind: .video, mid: mid, codecs: videoCodecs, extensions: extensions,
      encodings: ["q", "h", "f"].enumerated().map { EncodingParameters(rid: $1, spatialLayer: $0) })
  }
}

/// Keeps what was sent.
final class RecordingTransport: PacketTransport {
  var rtp: [[UInt8]] = []
  var rtcp: [[UInt8]] = []

  func send(rtp packet: UnsafeRawBufferPointer) { rtp.append(Array(packet)) }
  func send(rtcp packet: UnsafeRawBufferPointer) { rtcp.append(Array(packet)) }

  /// Everything sent so far, parsed.
  var reports: [RTCPPacket] { rtcp.flatMap { (try? RTCPCompound.parse($0)) ?? [] } }

  func takeReports() -> [RTCPPacket] {
    defer { rtcp = [] }
    return reports
  }
}

/// Keeps what a producer handed on.
final class RecordingSink: PacketSink {
  var packets: [RoutedPacket] = []
  var payloads: [[UInt8]] = []
  var skipped: [Int64] = []
  var interruptions = 0
  var changes = 0

  func forward(_ packet: borrowing RoutedPacket, from stream: ProducerStream, now: Instant) {
    packets.append(copy packet)
    payloads.append(Array(packet.payload))
  }
  func skip(_ extendedSequence: Int64, from stream: ProducerStream, now: Instant) { skipped.append(extendedSequence) }
  func interrupt() { interruptions += 1 }
  func streamsChanged(now: Instant) { changes += 1 }

  var sequences: [UInt16] { packets.map(\.header.sequence) }
}

/// One publisher in a router, with a recording sink on each track.
final class Bench {
  let router: Router
  let transport = RecordingTransport()
  let peer: any PacketReceiver
  var now: Instant
  private(set) var events: [RouterEvent] = []

  init(
    configuration: RouterConfiguration = RouterConfiguration(), at start: Instant = Instant(nanoseconds: 1_000_000_000)
  ) {
    now = start
    router = Router(seed: 7, configuration: configuration)
    peer = router.addPeer(PeerID(rawValue: 1), transport: transport, now: start)
    router.onEvent = { [unowned self] in events.append($0) }
  }

  func publish(_ parameters: ProducerParameters, id: UInt64 = 1) -> RecordingSink {
    let id = ProducerID(rawValue: id)
    router.addProducer(id, peer: PeerID(rawValue: 1), parameters: parameters)
    let sink = RecordingSink()
    router.producers[id]?.add(sink)
    return sink
  }

  func send(_ packet: [UInt8]) { packet.withUnsafeBytes { peer.receive(rtp: $0, now: now) } }

  func send(_ packets: RTCPPacket...) {
    RTCPPacket.compound(packets).withUnsafeBytes { peer.receive(rtcp: $0, now: now) }
  }

  /// Ticks every 5 ms.
  func wait(_ duration: Duration) {
    let end = now + duration
    while now < end {
      now = min(end, now + .milliseconds(5))
      router.tick(now: now)
    }
  }

  func takeEvents() -> [RouterEvent] {
    defer { events = [] }
    return events
  }

  /// Without scores, which come by the clock.
  func takeTrackEvents() -> [RouterEvent] {
    takeEvents().filter { if case .quality = $0 { false } else { true } }
  }

  var statistics: RouterStatistics.Peer? { router.statistics().peers.first }
  var producer: Producer? { router.producers[ProducerID(rawValue: 1)] }
}
