import Core
import RTP

@testable import SFU

/// A consumer that is fed packet by packet.
final class Feed {
  let producer: Producer
  let consumer: Consumer
  let capture = Capture()
  let sender: PeerSender
  var time = 0
  private let clock = RemoteClock()
  private var reader = ExtensionReader()
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2_304, alignment: 8)

  init(
    _ kind: MediaKind, publisher: [CodecParameters], subscriber: [CodecParameters],
    from: [HeaderExtension: UInt8] = [:], to: [HeaderExtension: UInt8] = [:], mid: String = "3",
    hasRetransmissionStream: Bool = true
  ) {
    var fromMap = HeaderExtensionMap()
    for (kind, id) in from { fromMap[kind] = id }
    var toMap = HeaderExtensionMap()
    for (kind, id) in to { toMap[kind] = id }
    reader.merge(fromMap)
    producer = Producer(
      id: ProducerID(rawValue: 1), peer: PeerID(rawValue: 1),
      parameters: ProducerParameters(
        kind: kind, mid: "0", codecs: publisher, extensions: fromMap, encodings: [EncodingParameters()]))
    sender = PeerSender(transport: capture, buffer: buffer, now: Instant(nanoseconds: 0))
    guard
      let consumer = Consumer(
        id: ConsumerID(rawValue: 1), peer: PeerID(rawValue: 2), of: producer,
        parameters: ConsumerParameters(
          mid: mid, ssrc: SSRC(0xAAAA), retransmissionSSRC: hasRetransmissionStream ? SSRC(0xBBBB) : nil,
          codecs: subscriber, extensions: toMap, cname: "c"), sender: sender, seed: 9, now: Instant(nanoseconds: 0))
    else { preconditionFailure("one codec in common") }
    self.consumer = consumer
  }

  deinit {
    consumer.close(now: now)
    buffer.deallocate()
  }

  var now: Instant { Instant(nanoseconds: Int64(time) * 1_000_000) }

  /// - Returns: What was sent in consequence.
  @discardableResult
  func send(
    _ sequence: UInt16, timestamp: UInt32 = 0, type: UInt8 = 111, payload: [UInt8] = [1, 2, 3], marker: Bool = false,
    ssrc: UInt32 = 50, extensions: [(id: UInt8, data: [UInt8])] = []
  ) -> [[UInt8]] {
    let header = RTPHeader(
      payloadType: PayloadType(type), sequence: sequence, timestamp: timestamp, ssrc: SSRC(ssrc), marker: marker)
    let block = RTPHeader.extensionBytes(extensions)
    var bytes = header.serialized(payload: [])
    if !block.isEmpty { bytes[0] |= 0x10 }
    bytes += block + payload
    guard let codec = producer.payloads.codec(PayloadType(type)) else { return [] }
    let stream = stream(ssrc, codec)
    bytes.withUnsafeBytes { bytes in
      guard let header = try? RTPHeader(parsing: bytes) else { return }
      switch stream.ingest(
        bytes, header, reader.read(header, bytes.bytes), codec: codec, isRetransmission: false,
        isMuted: producer.isMuted, now: now)
      {
      case .packet(let packet): producer.forward(packet, from: stream, now: now)
      case .skip(let sequence): producer.skip(sequence, from: stream, now: now)
      case .drop, .restart: break
      }
    }
    return take()
  }

  func stream(_ ssrc: UInt32, _ codec: MediaCodec) -> ProducerStream {
    if let known = producer.streams.first(where: { $0.ssrc == SSRC(ssrc) }) { return known }
    guard
      let added = producer.addStream(
        ssrc: SSRC(ssrc), encoding: nil, codec: codec, clock: clock, keyFrameInterval: .milliseconds(500), now: now)
    else { preconditionFailure("few streams") }
    return added
  }

  func nack(_ lost: UInt16...) -> [[UInt8]] {
    consumer.receive(nack: lost, now: now)
    return take()
  }

  func take() -> [[UInt8]] {
    defer { capture.packets = [] }
    return capture.packets
  }
}

/// A packet, taken apart.
struct Parsed {
  var header: RTPHeader
  var payload: [UInt8]
  var elements: [UInt8: [UInt8]] = [:]

  init?(_ bytes: [UInt8]?) {
    guard let bytes, let header = try? RTPHeader(parsing: bytes) else { return nil }
    self.header = header
    payload = Array(bytes[header.payload])
    var elements: [UInt8: [UInt8]] = [:]
    header.forEachExtensionElement(in: bytes.span.bytes) { elements[$0] = Array(bytes[$1]) }
    self.elements = elements
  }
}

extension CodecParameters {
  init(_ codec: MediaCodec, _ type: UInt8, rtx: UInt8? = nil) {
    self.init(codec: codec, payloadType: PayloadType(type), retransmission: rtx.map { PayloadType($0) })
  }
}
