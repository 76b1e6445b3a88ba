import Core
import RTP

@testable import SFU

/// A consumer of made-up media: simulcast of up to three layers, 30 frames a second, or audio.
final class SimulatedConsumer: PacedConsumer {
  let id: ConsumerID
  var demand: BandwidthDemand
  /// Bits a second of each spatial layer.
  let layers: [Int]
  let sender: PeerSender
  let canRetransmit: Bool
  private(set) var slot = -1
  private(set) var target = LayerTarget.paused
  /// What is being forwarded: follows the target at the next key frame.
  private(set) var current: (spatial: Int, temporal: Int)?
  private(set) var targets: [(at: Instant, target: LayerTarget)] = []
  private(set) var drops = 0
  private(set) var sentPackets = 0
  private var sequence: UInt16 = 0
  private var lengths = [Int](repeating: 0, count: 65536)
  private var needsKeyFrame = true
  private var keyFrameAt: Instant?
  private var nextFrame: Instant
  private var frame = 0
  private var random: SeededRandom
  private let usesTransportSequence: Bool

  init(
    id: UInt64, kind: MediaKind, layers: [Int], sender: PeerSender, canRetransmit: Bool = true,
    usesTransportSequence: Bool = true
  ) {
    self.id = ConsumerID(rawValue: id)
    self.layers = layers
    self.sender = sender
    self.canRetransmit = canRetransmit && kind == .video
    self.usesTransportSequence = usesTransportSequence
    demand = BandwidthDemand(id: self.id, kind: kind)
    for (s, rate) in layers.enumerated() {
      if kind == .audio {
        demand.bitrates[s, 0] = rate
      } else {
        // Three temporal layers share a camera's bitrate about so.
        demand.bitrates[s, 0] = rate * 4 / 10
        demand.bitrates[s, 1] = rate * 6 / 10
        demand.bitrates[s, 2] = rate
      }
    }
    random = SeededRandom(seed: id)
    nextFrame = .zero + .milliseconds(Int64(id) * 7 % 33)
    slot = sender.attach(self, now: .zero)
  }

  /// Sends what falls due by `now`.
  func run(now: Instant) {
    while nextFrame <= now {
      if demand.kind == .audio {
        nextFrame = nextFrame + .milliseconds(20)
        send(bytes: max(layers[0] / 8 / 50 / (isThinned ? 2 : 1), 16), now: now)
      } else {
        sendFrame(now: now)
        nextFrame = nextFrame + .microseconds(33_333)
      }
    }
  }

  private func sendFrame(now: Instant) {
    frame += 1
    // A key frame comes 100 ms after it was asked for: the publisher's round trip.
    var isKey = false
    if let due = keyFrameAt, due <= now {
      keyFrameAt = nil
      needsKeyFrame = false
      isKey = true
      if case .layer(let spatial, let temporal) = target { current = (min(spatial, layers.count - 1), temporal) }
    }
    guard case .layer(_, let wantedTemporal) = target, let layer = current, !needsKeyFrame else { return }
    let temporal = [0, 2, 1, 2][frame % 4]
    guard isKey || temporal <= wantedTemporal else { return }
    // 40, 20 and 40 % of the bits in 1/4, 1/4 and 1/2 of the frames.
    let average = Double(layers[layer.spatial]) / 8 / 30
    var size = average * (temporal == 0 ? 1.6 : 0.8) * Double.random(in: 0.7...1.3, using: &random)
    if isKey { size = average * 8 }
    var left = Int(size)
    while left > 0 {
      send(bytes: min(left, 1100) + 20, now: now)
      left -= 1100
    }
  }

  private func send(bytes: Int, now: Instant) {
    sequence &+= 1
    lengths[Int(sequence)] = bytes
    let kind: PacketKind = demand.kind == .audio ? .audio : .video
    if sender.admits(kind, bytes: bytes, now: now) {
      guard let packet = write(sequence, isRetransmission: false, into: sender.buffer, now: now) else { return }
      sender.transmit(packet, kind: kind, now: now)
    } else if !sender.enqueue(slot, sequence: sequence, bytes: bytes, kind: kind, now: now) {
      drops += 1
      requestKeyFrame(now: now)
    }
  }

  private func requestKeyFrame(now: Instant) {
    needsKeyFrame = true
    if keyFrameAt == nil { keyFrameAt = now + .milliseconds(100) }
  }

  func write(
    _ sequence: UInt16, isRetransmission: Bool, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> BuiltPacket? {
    sentPackets += 1
    return build(
      length: lengths[Int(sequence)], kind: demand.kind == .audio ? 0 : isRetransmission ? 1 : 2, into: buffer)
  }

  func writePadding(_ bytes: Int, into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> BuiltPacket? {
    guard canRetransmit else { return nil }
    return build(length: max(bytes, 60), kind: 3, into: buffer)
  }

  private func build(length: Int, kind: UInt8, into buffer: UnsafeMutableRawBufferPointer) -> BuiltPacket {
    buffer[12] = UInt8(truncatingIfNeeded: id.rawValue)
    buffer[13] = kind
    return BuiltPacket(length: length, transportSequenceOffset: usesTransportSequence ? 14 : 0)
  }

  /// Redundant audio: half of the bits.
  private(set) var isThinned = false
  func setRedundancy(_ isAllowed: Bool) { isThinned = !isAllowed && demand.kind == .audio }

  func pacerDropped(now: Instant) {
    drops += 1
    requestKeyFrame(now: now)
  }

  func setTarget(_ target: LayerTarget, now: Instant) {
    targets.append((now, target))
    self.target = target
    guard case .layer(let spatial, _) = target else {
      current = nil
      needsKeyFrame = true
      return
    }
    if current?.spatial != min(spatial, layers.count - 1) {
      if current == nil { needsKeyFrame = true }
      if keyFrameAt == nil { keyFrameAt = now + .milliseconds(100) }
    }
  }
}

/// Catches what the sender sends.
final class SimulatedTransport: PacketTransport {
  var onPacket: ((UnsafeRawBufferPointer) -> Void)?
  func send(rtp packet: UnsafeRawBufferPointer) { onPacket?(packet) }
  func send(rtcp packet: UnsafeRawBufferPointer) {}
}

/// One subscriber behind a bottleneck: media, sender, link, feedback every 50 ms or so, 1 ms steps.
final class SimulatedRoom {
  /// One line of the log, each 100 ms.
  struct Sample {
    var at: Instant
    var target: Int
    /// Received in that time, bits a second.
    var audio: Int
    var video: Int
    var queueDelay: Duration
  }

  let transport = SimulatedTransport()
  let sender: PeerSender
  var link: BottleneckLink
  var consumers: [SimulatedConsumer] = []
  private(set) var now = Instant.zero
  private(set) var samples: [Sample] = []
  /// Of every packet, on the link.
  private(set) var longestQueue = Duration.zero
  private(set) var audioSent = 0
  private(set) var audioReceived = 0
  private(set) var longestAudioDelay = Duration.zero
  /// Whether packets leave the transport at all.
  var isConnected = true
  /// Whether the way back works.
  var feedbackWorks = true
  /// Milliseconds between reports; receivers send them every 50 to 250.
  var feedbackInterval: Int64 = 50
  /// Probability that a report is lost, 0…1.
  var feedbackLoss = 0.0
  /// Milliseconds between ticks; the worker's timer is late when the machine is busy.
  var tickInterval: ClosedRange<Int64> = 5...5
  private let buffer: UnsafeMutableRawBufferPointer
  private var arrivals: [(sequence: UInt16, at: Instant)] = []
  private var reported: UInt16?
  private var feedbacks: [(due: Instant, TransportFeedback)] = []
  private var received = (audio: 0, video: 0)
  private var count: UInt8 = 0
  private var random = SeededRandom(seed: 77)
  private var nextTick: Int64 = 5

  init(link: BottleneckLink, mode: BandwidthMode = .transportCC, configuration: CongestionConfiguration = .init()) {
    self.link = link
    buffer = .allocate(byteCount: 1500, alignment: 8)
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    sender = PeerSender(transport: transport, mode: mode, buffer: buffer, configuration: configuration, now: .zero)
    transport.onPacket = { [unowned self] in self.leave($0) }
  }

  deinit { buffer.deallocate() }

  @discardableResult
  func add(_ kind: MediaKind, layers: [Int], canRetransmit: Bool = true) -> SimulatedConsumer {
    let consumer = SimulatedConsumer(
      id: UInt64(consumers.count + 1), kind: kind, layers: layers, sender: sender, canRetransmit: canRetransmit,
      usesTransportSequence: sender.mode == .transportCC)
    consumers.append(consumer)
    return consumer
  }

  private func leave(_ packet: UnsafeRawBufferPointer) {
    guard isConnected else { return }
    let kind = packet[13]
    if kind == 0 { audioSent += 1 }
    let sequence = UInt16(packet[14]) << 8 | UInt16(packet[15])
    link.send(
      SimulatedPacket(
        transportSequence: sender.mode == .transportCC ? sequence : nil, consumer: packet[12], kind: kind, sentAt: now),
      bytes: packet.count, now: now)
    longestQueue = max(longestQueue, link.queueDelay(now: now))
  }

  func run(for duration: Duration, each: ((SimulatedRoom) -> Void)? = nil) {
    let end = now + duration
    while now < end {
      now = now + .milliseconds(1)
      let step = now.nanoseconds / 1_000_000
      for consumer in consumers { consumer.run(now: now) }
      for delivery in link.receive(now: now) { take(delivery) }
      if step % feedbackInterval == 0 { report() }
      while let first = feedbacks.first, first.due <= now {
        feedbacks.removeFirst()
        if feedbackWorks, feedbackLoss == 0 || Double.random(in: 0..<1, using: &random) >= feedbackLoss {
          sender.receive(first.1, now: now)
        }
      }
      if step >= nextTick {
        sender.tick(now: now)
        nextTick = step + Int64.random(in: tickInterval, using: &random)
      }
      if step % 100 == 0 {
        samples.append(
          Sample(
            at: now, target: sender.targetBitrate ?? -1, audio: received.audio * 80, video: received.video * 80,
            queueDelay: link.queueDelay(now: now)))
        received = (0, 0)
        each?(self)
      }
    }
  }

  private func take(_ delivery: BottleneckLink.Delivery) {
    if let sequence = delivery.packet.transportSequence { arrivals.append((sequence, delivery.arrival)) }
    switch delivery.packet.kind {
    case 0:
      audioReceived += 1
      received.audio += delivery.bytes
      longestAudioDelay = max(longestAudioDelay, delivery.arrival - delivery.packet.sentAt)
    case 3: break
    default: received.video += delivery.bytes
    }
  }

  /// As a receiver does it: everything from the number after the last report on to the newest.
  private func report() {
    guard let newest = arrivals.max(by: { Int16(bitPattern: $0.sequence &- $1.sequence) < 0 })?.sequence else { return }
    let base = reported.map { $0 &+ 1 } ?? arrivals[0].sequence
    let length = Int(newest &- base) + 1
    guard length > 0, length < 10_000, let first = arrivals.first else {
      arrivals.removeAll()
      return
    }
    var times = [Instant?](repeating: nil, count: length)
    for arrival in arrivals {
      let index = Int(arrival.sequence &- base)
      if index < length { times[index] = arrival.at }
    }
    let reference = Int32(truncatingIfNeeded: first.at.nanoseconds / 64_000_000)
    var last = Int64(reference) * 256
    let deltas = times.map { time -> Int16? in
      guard let time else { return nil }
      let tick = time.nanoseconds / 250_000
      defer { last = tick }
      return Int16(clamping: tick - last)
    }
    count &+= 1
    feedbacks.append(
      (
        now + link.propagation,
        TransportFeedback(
          sender: SSRC(1), media: SSRC(2), baseSequence: base, referenceTime: reference, feedbackCount: count,
          arrivals: deltas)
      ))
    reported = newest
    arrivals.removeAll()
  }

  // MARK: Questions

  /// Received video, bits a second, between two times.
  func video(from: Duration, to: Duration) -> Int {
    let part = samples.filter { $0.at > .zero + from && $0.at <= .zero + to }
    return part.isEmpty ? 0 : part.reduce(0) { $0 + $1.video } / part.count
  }

  func target(from: Duration, to: Duration) -> Int {
    let part = samples.filter { $0.at > .zero + from && $0.at <= .zero + to }
    return part.isEmpty ? 0 : part.reduce(0) { $0 + $1.target } / part.count
  }

  /// The first time from `from` on at which a second's video reaches `bitrate`.
  func reaches(_ bitrate: Int, from: Duration) -> Duration? {
    let part = samples.filter { $0.at > .zero + from }
    guard part.count >= 10 else { return nil }
    for i in 0...(part.count - 10) where part[i..<(i + 10)].reduce(0, { $0 + $1.video }) / 10 >= bitrate {
      return part[i].at - (.zero + from)
    }
    return nil
  }

  var log: String {
    samples.map {
      "\($0.at.nanoseconds / 1_000_000) target \($0.target / 1000) video \($0.video / 1000) audio \($0.audio / 1000) "
        + "queue \(Int($0.queueDelay.inMilliseconds))"
    }.joined(separator: "\n")
  }
}
