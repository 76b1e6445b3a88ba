import Audio
import Core
import Glibc
import RTP
import TestSupport

@testable import Bridge

/// A packet that a simulated far end received.
struct Arrival {
  let header: RTPHeader
  let payload: [UInt8]
  let at: Instant
  /// Sequence number and timestamp over the wrap.
  let sequence: Int64
  let timestamp: Int64
}

/// Takes a leg's packets to its peer, which owns the leg.
final class Wire: PacketTransport {
  fileprivate weak var peer: Peer?
  func send(rtp packet: UnsafeRawBufferPointer) { peer?.send(rtp: packet) }
  func send(rtcp packet: UnsafeRawBufferPointer) { peer?.send(rtcp: packet) }
}

/// The far end of a leg, with its own clock: speaks in packets over a lossy link, and keeps what it hears.
final class Peer {
  let leg: MediaLeg
  let codec: AudioCodec
  let payloadType: PayloadType
  /// What it says: sample `n` at `rate`; nil is silence.
  var voice: ((Int) -> Int16)?
  var isTalking = true
  var uplink: VirtualLink<[UInt8]>
  var downlink: VirtualLink<[UInt8]>
  private(set) var heard: [Arrival] = []
  private(set) var reports: [[RTCPPacket]] = []
  private(set) var events: [MediaLegEvent] = []
  private(set) var digits: [Character] = []
  private(set) var digitDurations: [Int] = []
  /// Its clock runs that much fast.
  let partsPerMillion: Double
  let rate: Int
  let ssrc: SSRC
  var sequence: UInt16
  var timestamp: UInt32
  /// Payloads sent, by sequence number.
  private(set) var said: [[UInt8]] = []
  private var sentFrames = 0
  private var sampleIndex = 0
  private var frame: [Int16]
  private var frameIsSilent = true
  private let start: Instant
  private let encoder: FrameEncoder
  private var eventReceiver = TelephoneEventReceiver(clockRate: 8_000)
  private var sequences = SequenceUnwrapper()
  private var timestamps = TimestampUnwrapper()
  var keepsAll = true

  init(
    _ codec: AudioCodec, events: Int? = nil, id: UInt32, ppm: Double = 0, seed: UInt64 = 1,
    delay: Duration = .milliseconds(10), jitter: Duration = .zero, loss: Double = 0,
    firstSequence: UInt16 = 1_000, legSequence: UInt16 = 2_000, at now: Instant = .zero, comfortNoise: Bool = false,
    fec: Bool = false, configure: (inout NegotiatedAudio) -> Void = { _ in }
  ) throws {
    self.codec = codec
    payloadType = codec.staticPayloadType ?? PayloadType(111)
    partsPerMillion = ppm
    ssrc = SSRC(0xAA00_0000 | id)
    sequence = firstSequence
    timestamp = 4_294_900_000
    start = now
    rate = min(16_000, codec.nativeSampleRate)
    frame = [Int16](repeating: 0, count: rate / 50)
    var parameters = OpusParameters()
    parameters.useInbandFEC = fec
    encoder = try FrameEncoder(codec, sampleRate: rate, parameters: parameters)
    uplink = VirtualLink(seed: seed, delay: delay, jitter: jitter, loss: loss)
    downlink = VirtualLink(seed: seed &+ 99, delay: delay)
    leg = MediaLeg(
      ssrc: SSRC(id), cname: "leg\(id)", firstSequence: legSequence, firstTimestamp: 4_294_000_000, seed: seed,
      now: now,
      wall: WallTime(milliseconds: 1_700_000_000_000))
    let wire = Wire()
    leg.transport = wire
    wire.peer = self
    leg.onEvent = { [unowned self] in self.events.append($0) }
    var audio = Self.negotiated(codec, events: events, comfortNoise: comfortNoise)
    configure(&audio)
    try leg.configure(audio, now: now)
  }

  static func negotiated(_ codec: AudioCodec, events: Int? = nil, comfortNoise: Bool = false) -> NegotiatedAudio {
    let type = codec.staticPayloadType ?? PayloadType(111)
    let format = events.map { TelephoneEventFormat(payloadType: PayloadType($0 == 8_000 ? 101 : 110), clockRate: $0) }
    return NegotiatedAudio(
      codec: codec, payloadType: type, receivePayloadTypes: [type: codec], telephoneEvent: format,
      receiveTelephoneEvents: format.map { [$0.payloadType: $0] } ?? [:],
      comfortNoise: comfortNoise ? PayloadType(13) : nil)
  }

  // MARK: From the leg

  func send(rtp packet: UnsafeRawBufferPointer) { outbox.append(Array(packet)) }
  func send(rtcp packet: UnsafeRawBufferPointer) {
    if let packets = try? RTCPCompound.parse(packet) { reports.append(packets) }
  }
  private var outbox: [[UInt8]] = []

  // MARK: Time

  /// Lets 5 ms pass: what is due is said, what arrives is heard. `tick` follows separately.
  func advance(to now: Instant) {
    for packet in outbox { downlink.send(packet, now: now) }
    outbox.removeAll(keepingCapacity: true)
    while start + .nanoseconds(Int64(Double(sentFrames) * 20_000_000 / (1 + partsPerMillion / 1e6))) <= now {
      sentFrames += 1
      talk(now)
    }
    for packet in uplink.receive(now: now) { packet.withUnsafeBytes { leg.receive(rtp: $0, now: now) } }
    for packet in downlink.receive(now: now) { hear(packet, now) }
  }

  private func talk(_ now: Instant) {
    if let voice {
      for i in 0..<frame.count { frame[i] = voice(sampleIndex + i) }
    } else if !frameIsSilent {
      for i in 0..<frame.count { frame[i] = 0 }
    }
    frameIsSilent = voice == nil
    sampleIndex += frame.count
    if isTalking {
      var payload = [UInt8](repeating: 0, count: 1_276)
      let length = payload.withUnsafeMutableBytes { room in
        frame.withUnsafeMutableBufferPointer { encoder.encode($0, into: room) }
      }
      emit(payloadType, Array(payload[..<length]), now: now)
    }
    timestamp &+= UInt32(codec.clockRate / 50)
  }

  /// Sends a packet of any type with the next sequence number.
  func emit(_ type: PayloadType, _ payload: [UInt8], timestamp: UInt32? = nil, marker: Bool = false, now: Instant) {
    let header = RTPHeader(
      payloadType: type, sequence: sequence, timestamp: timestamp ?? self.timestamp, ssrc: ssrc, marker: marker)
    if keepsAll { said.append(payload) }
    uplink.send(header.serialized(payload: payload), now: now)
    sequence &+= 1
  }

  private func hear(_ packet: [UInt8], _ now: Instant) {
    guard let header = try? RTPHeader(parsing: packet) else { return }
    let arrival = Arrival(
      header: header, payload: Array(packet[header.payload]), at: now, sequence: sequences.unwrap(header.sequence),
      timestamp: timestamps.unwrap(header.timestamp))
    heard.append(arrival)
    guard let format = leg.negotiated?.telephoneEvent, header.payloadType == format.payloadType,
      let payload = arrival.payload.withUnsafeBytes({ TelephoneEventPayload(parsing: $0) })
    else { return }
    eventReceiver.clockRate = format.clockRate
    let outcome = eventReceiver.receive(payload, timestamp: header.timestamp, now: now)
    if let ended = outcome.ended, let digit = ended.digit {
      digits.append(digit)
      digitDurations.append(Int(ended.duration.inMilliseconds.rounded()))
    }
  }

  func forgetHeard() { heard.removeAll(keepingCapacity: true) }

  /// The digits that the leg told of this far end.
  var digitsTold: [Character] { events.compactMap { if case .dtmf(let digit, _) = $0 { digit } else { nil } } }

  /// What it heard as audio at `rate`, packet by packet in order.
  func audio(_ arrivals: some Collection<Arrival>) throws -> [Int16] {
    let decoder = try FrameDecoder([codec], sampleRate: rate)
    let playout = PlayoutBuffer(sampleRate: rate)
    var out: [Int16] = []
    var frame = [Int16](repeating: 0, count: rate / 10)
    for arrival in arrivals.sorted(by: { $0.sequence < $1.sequence }) where arrival.header.payloadType == payloadType {
      _ = arrival.payload.withUnsafeBytes { decoder.decode($0, codec: codec, to: playout) }
      let count = frame.withUnsafeMutableBufferPointer { playout.take(into: $0) }
      out += frame[..<count]
    }
    return out
  }

  /// What it heard in the last `seconds` before `now`.
  func audio(lastSeconds seconds: Double, now: Instant) throws -> [Int16] {
    try audio(heard.filter { now - $0.at < .nanoseconds(Int64(seconds * 1e9)) })
  }
}

/// Two far ends on a bridge under a virtual clock.
final class Call {
  let a: Peer
  let b: Peer
  let bridge: AudioBridge
  private(set) var now = Instant.zero
  private var steps = 0
  /// The worker's ticks come that much late at most.
  var tickJitter = SeededRandom(seed: 77)

  init(_ a: Peer, _ b: Peer, connected: Bool = true) throws {
    self.a = a
    self.b = b
    bridge = AudioBridge(a: a.leg, b: b.leg)
    if connected { try bridge.connect(now: now) }
  }

  /// Runs for that long; `each` is called every 20 ms.
  func run(_ duration: Duration, each: ((Instant) throws -> Void)? = nil) rethrows {
    let end = now + duration
    while now < end {
      now = now + .milliseconds(5)
      steps += 1
      a.advance(to: now)
      b.advance(to: now)
      if steps % 4 == 0 {
        let late = Duration.nanoseconds(Int64.random(in: 0...3_000_000, using: &tickJitter))
        bridge.tick(now: now + late)
        try each?(now)
      }
    }
  }
}

enum Sound {
  /// A whole number of hertz, so that a second repeats: the tests run for minutes.
  static func sine(_ frequency: Double, rate: Int, peak: Double = 8_000) -> (Int) -> Int16 {
    repeating((0..<rate).map { Int16(peak * sin(2 * Double.pi * frequency * Double($0) / Double(rate))) })
  }

  /// A hum of 120 Hz with harmonics and a slow beat: like a long vowel. With `gaps` it comes in syllables.
  static func vowel(rate: Int, gaps: Bool = false) -> (Int) -> Int16 {
    repeating(
      (0..<rate).map { n in
        let t = Double(n) / Double(rate)
        var sum = 0.0
        for k in 1...10 { sum += sin(2 * Double.pi * 120 * Double(k) * t + Double(k * k)) / Double(k) }
        let beat = sin(2 * Double.pi * 3 * t)
        return Int16(3_000 * sum * (gaps ? max(0, beat) : 0.7 + 0.3 * beat))
      })
  }

  private static func repeating(_ second: [Int16]) -> (Int) -> Int16 { { second[$0 % second.count] } }

  /// Power of one frequency relative to the whole, 0…1 (Goertzel).
  static func share(of frequency: Double, in samples: some Collection<Int16>, rate: Int) -> Double {
    let cosine = cos(2 * Double.pi * frequency / Double(rate))
    var (s1, s2, total) = (0.0, 0.0, 0.0)
    for x in samples {
      (s1, s2) = (Double(x) + 2 * cosine * s1 - s2, s1)
      total += Double(x) * Double(x)
    }
    guard total > 0 else { return 0 }
    return 2 * (s1 * s1 + s2 * s2 - 2 * cosine * s1 * s2) / total / Double(samples.count)
  }

  /// The same in windows of 50 ms, averaged: a phase that jumps or drifts does not matter.
  static func shareInWindows(of frequency: Double, in samples: [Int16], rate: Int) -> Double {
    let window = rate / 20
    let shares = stride(from: 0, through: samples.count - window, by: window).map {
      share(of: frequency, in: samples[$0..<($0 + window)], rate: rate)
    }
    return shares.isEmpty ? 0 : shares.reduce(0, +) / Double(shares.count)
  }

  static func rms(_ samples: some Collection<Int16>) -> Double {
    samples.isEmpty ? 0 : (samples.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(samples.count)).squareRoot()
  }

  static func largestStep(_ samples: [Int16]) -> Int {
    zip(samples, samples.dropFirst()).map { abs(Int($1) - Int($0)) }.max() ?? 0
  }
}
