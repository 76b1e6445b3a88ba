import Core
import RTP
import TestSupport

@testable import SFU

/// Keeps what is sent to the subscriber.
final class Capture: PacketTransport {
  var packets: [[UInt8]] = []
  func send(rtp packet: UnsafeRawBufferPointer) { packets.append(Array(packet)) }
  func send(rtcp packet: UnsafeRawBufferPointer) {}
}

/// A publisher's track with model encoders, one consumer, and a subscriber that keeps what it got.
final class Stage {
  struct Conditions {
    /// Of the way from the publisher: for good.
    var loss = 0.0
    /// Milliseconds that a packet may be late.
    var jitter = 0
    /// Milliseconds between a publisher's sender reports; 0 for none.
    var reports = 1_000
    var hasPadding = false
    var longPictureIDs = true
  }

  let film = Film()
  let producer: Producer
  let consumer: Consumer
  let capture = Capture()
  let sender: PeerSender
  var encoders: [any ModelEncoder] = []
  var streams: [ProducerStream] = []
  var random: SeededRandom
  var subscriber: Subscriber
  /// Milliseconds.
  private(set) var time = 0
  /// Packets by (stream, frame, index) that were lost on their way to us.
  private(set) var lost: Set<ModelBody> = []
  private(set) var delivered: Set<ModelBody> = []
  private(set) var keyFrameRequests: [Int] = []
  private let conditions: Conditions
  private var link: VirtualLink<(Int, [UInt8])>
  private let clock = RemoteClock()
  private var reader = ExtensionReader()
  private let codec: MediaCodec
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2_304, alignment: 8)
  /// Milliseconds between pictures.
  var interval = 33

  static let mediaSSRC = SSRC(0x1111)
  static let retransmissionSSRC = SSRC(0x2222)

  init(
    _ codec: MediaCodec, layers: Int = 1, isKeyOnly: Bool = false, seed: UInt64, conditions: Conditions = Conditions(),
    preferences: ConsumerPreferences = ConsumerPreferences()
  ) {
    self.codec = codec
    self.conditions = conditions
    random = SeededRandom(seed: seed)
    link = VirtualLink(
      seed: seed &+ 1, delay: .milliseconds(20), jitter: .milliseconds(conditions.jitter), loss: 0, duplication: 0)
    subscriber = Subscriber(codec: codec)
    let publisherCodec = CodecParameters(codec: codec, payloadType: PayloadType(96), retransmission: PayloadType(97))
    var map = HeaderExtensionMap()
    map[.dependencyDescriptor] = SVCEncoder.descriptorID
    let encodings = (0..<layers).map { EncodingParameters(rid: ["q", "h", "f"][$0], spatialLayer: $0) }
    producer = Producer(
      id: ProducerID(rawValue: 1), peer: PeerID(rawValue: 1),
      parameters: ProducerParameters(
        kind: .video, mid: "0", codecs: [publisherCodec], extensions: map, encodings: encodings))
    reader.merge(map)
    sender = PeerSender(transport: capture, buffer: buffer, now: Instant(nanoseconds: 0))
    var own = HeaderExtensionMap()
    own[.dependencyDescriptor] = 5
    own[.mid] = 4
    guard
      let consumer = Consumer(
        id: ConsumerID(rawValue: 1), peer: PeerID(rawValue: 2), of: producer,
        parameters: ConsumerParameters(
          mid: "7", ssrc: Self.mediaSSRC, retransmissionSSRC: Self.retransmissionSSRC,
          codecs: [CodecParameters(codec: codec, payloadType: PayloadType(120), retransmission: PayloadType(121))],
          extensions: own, cname: "c", preferences: preferences), sender: sender, seed: seed,
        now: Instant(nanoseconds: 0))
    else { preconditionFailure("one codec in common") }
    self.consumer = consumer
    for layer in 0..<layers {
      let stream = ModelStream(ssrc: UInt32(100 + layer), payloadType: 96, random: &random)
      switch codec {
      case .vp9: encoders.append(SVCEncoder(stream, form: .vp9, isKeyOnly: isKeyOnly, random: &random))
      case .av1: encoders.append(SVCEncoder(stream, form: .av1, isKeyOnly: isKeyOnly, random: &random))
      default:
        encoders.append(VP8Encoder(stream, layer: layer, longPictureIDs: conditions.longPictureIDs, random: &random))
      }
    }
    producer.onKeyFrameWanted = { [unowned self] stream, _ in
      self.keyFrameRequests.append(stream.spatialLayer)
      self.encoders[Int(stream.ssrc.rawValue - 100)].wantsKeyFrame = true
    }
  }

  deinit {
    consumer.close(now: now)
    buffer.deallocate()
  }

  var now: Instant { Instant(nanoseconds: Int64(time) * 1_000_000) }

  /// Layers whose encoder rests.
  var silent: Set<Int> = []

  /// Runs for some milliseconds; `change` is called once a picture.
  func run(_ milliseconds: Int, change: (Stage) -> Void = { _ in }) {
    let end = time + milliseconds
    while time < end {
      if time % interval == 0 {
        change(self)
        for (index, encoder) in encoders.enumerated() where !silent.contains(index) {
          for packet in encoder.picture(captured: time, film: film, random: &random) { emit(index, packet) }
          if conditions.hasPadding, Int.random(in: 0..<8, using: &random) == 0 {
            emit(index, encoder.stream.padding(captured: time))
          }
        }
      }
      if conditions.reports > 0, time % conditions.reports == 7 { report() }
      deliver()
      if time % 50 == 0 {
        producer.refresh(now: now)
        consumer.advance(to: now)
        sender.tick(now: now)
      }
      subscriber.take(&capture.packets, now: time)
      if time % 60 == 0 { nack() }
      time += 1
    }
  }

  /// Lets what is under way arrive and the subscriber ask for all that is missing.
  func settle() {
    for _ in 0..<500 {
      deliver()
      subscriber.take(&capture.packets, now: time)
      if time % 60 == 0 { nack() }
      time += 1
    }
  }

  func nack() {
    let missing = subscriber.missing()
    guard !missing.isEmpty else { return }
    consumer.receive(nack: missing, now: now)
    subscriber.take(&capture.packets, now: time)
  }

  private func emit(_ index: Int, _ packet: [UInt8]) {
    if Double.random(in: 0..<1, using: &random) < conditions.loss {
      if let body = Subscriber.body(packet, codec) { lost.insert(body) } else { lostPadding += 1 }
      return
    }
    link.send((index, packet), now: now)
  }

  private(set) var lostPadding = 0

  private func deliver() {
    for (index, packet) in link.receive(now: now) {
      let ssrc = encoders[index].stream.ssrc
      let stream: ProducerStream
      if let known = streams.first(where: { $0.ssrc == ssrc }) {
        stream = known
      } else {
        guard
          let added = producer.addStream(
            ssrc: ssrc, encoding: producer.parameters.encodings[index], codec: codec, clock: clock,
            keyFrameInterval: .milliseconds(500), now: now)
        else { continue }
        streams.append(added)
        stream = added
      }
      packet.withUnsafeBytes { bytes in
        guard let header = try? RTPHeader(parsing: bytes) else { return }
        switch stream.ingest(
          bytes, header, reader.read(header, bytes.bytes), codec: codec, isRetransmission: false,
          isMuted: producer.isMuted, now: now)
        {
        case .packet(let routed):
          if let body = Subscriber.body(packet, codec) { delivered.insert(body) }
          producer.forward(routed, from: stream, now: now)
        case .skip(let sequence): producer.skip(sequence, from: stream, now: now)
        case .drop, .restart: break
        }
      }
    }
  }

  /// The publisher's sender reports: its clock has nothing to do with ours.
  private func report() {
    for stream in streams {
      let encoder = encoders[Int(stream.ssrc.rawValue - 100)]
      let ntp = NTPTime(rawValue: UInt64(3_900_000_000) << 32 + (UInt64(time) << 32) / 1_000)
      clock.receive(ntp, now: now + .milliseconds(20))
      stream.receive(
        SenderReport(
          sender: stream.ssrc, ntp: ntp, rtpTimestamp: encoder.stream.timestamp(time), packetCount: 0, octetCount: 0,
          blocks: []), now: now)
    }
  }
}
