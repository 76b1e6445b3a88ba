import Audio
import Core

/// From packets to a steady stream of linear audio: reorders, decodes, conceals what is lost, makes noise where the far
/// end is silent on purpose, and keeps the delay near what the network needs by shortening and lengthening speech.
///
/// `insert` on arrival, `pull` at the player's pace. All memory is made in init.
final class AudioReceiver {
  /// Hertz, of the frames pulled.
  let sampleRate: Int
  /// What can be decoded.
  let codecs: Set<AudioCodec>
  private let decoder: FrameDecoder
  private let playout: PlayoutBuffer
  private let queue = PacketQueue()
  private var noise: ComfortNoise

  private var sequences = SequenceUnwrapper()
  private var timestamps = TimestampUnwrapper()
  private var estimator = DelayEstimator()
  private var clockRate = 8_000
  private var codec = AudioCodec.pcmu

  private var state = State.idle
  /// What is to be decoded next.
  private var expectedSequence: Int64 = 0
  private var expectedTimestamp: Int64 = 0
  /// Samples in the last packet: the guess for a lost one.
  private var packetSamples: Int
  /// Samples made up while nothing was there: they stand for time that a later packet may cover.
  private var debt = 0
  /// The far end is silent on purpose: Opus DTX or RFC 3389.
  private(set) var isPausing = false
  private var hasNoise = false
  /// From the fastest packet's arrival to its playing, in milliseconds; nil until something was decoded.
  private var delay: Double?
  private var pullsSinceScaling = 0
  private var lastPull: Instant?

  /// Samples given out, and those of them that were made up for lost packets.
  private(set) var samplesPulled = 0
  private(set) var samplesConcealed = 0
  /// Packets that came after their time.
  private(set) var packetsLate = 0
  /// Payloads that could not be decoded.
  private(set) var packetsInvalid = 0

  private enum State {
    case idle
    case waiting(until: Instant)
    case playing
  }

  init(codecs: Set<AudioCodec>, sampleRate: Int, seed: UInt32) throws(AudioError) {
    self.codecs = codecs
    self.sampleRate = sampleRate
    decoder = try FrameDecoder(codecs, sampleRate: sampleRate)
    playout = PlayoutBuffer(sampleRate: sampleRate, limitInMilliseconds: 400)
    noise = ComfortNoise(seed: seed)
    packetSamples = sampleRate / 50
  }

  // MARK: Arrival

  /// Takes an audio packet.
  func insert(
    _ payload: UnsafeRawBufferPointer, codec: AudioCodec, sequence: UInt16, timestamp: UInt32, now: Instant
  ) {
    guard let samples = decoder.samples(in: payload, codec: codec), samples <= sampleRate * 120 / 1_000 else {
      packetsInvalid += 1
      skip(sequence: sequence, timestamp: timestamp, now: now)
      return
    }
    if codec.clockRate != clockRate {
      clockRate = codec.clockRate
      restart()
    }
    self.codec = codec
    insert(.audio(codec), payload, sequence, timestamp, now)
  }

  /// Takes an RFC 3389 packet.
  func insertComfortNoise(_ payload: UnsafeRawBufferPointer, sequence: UInt16, timestamp: UInt32, now: Instant) {
    insert(.comfortNoise, payload, sequence, timestamp, now)
  }

  /// Notes a packet that is not audio but has its number in the same sequence: it is not lost.
  func skip(sequence: UInt16, timestamp: UInt32, now: Instant) {
    guard case .playing = state else { return }
    let extended = sequences.unwrap(sequence)
    guard extended >= expectedSequence else { return }
    _ = queue.insert(
      sequence: extended, timestamp: 0, content: .other, payload: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  /// Another source or another numbering begins: what was heard fades, what waited is dropped.
  func restart() {
    queue.removeAll()
    sequences = SequenceUnwrapper()
    timestamps = TimestampUnwrapper()
    estimator = DelayEstimator()
    state = .idle
    debt = 0
    delay = nil
    isPausing = false
  }

  /// As new: another far end is next.
  func reset() {
    restart()
    decoder.reset()
    playout.clear()
    lastPull = nil
  }

  private func insert(
    _ content: PacketQueue.Content, _ payload: UnsafeRawBufferPointer, _ sequence: UInt16, _ timestamp: UInt32,
    _ now: Instant
  ) {
    let media = timestamps.unwrap(timestamp)
    let extended = sequences.unwrap(sequence)
    let mediaTime = nanoseconds(media)
    if let fastest = estimator.fastest, abs(now.nanoseconds &- mediaTime &- fastest) > 2_000_000_000 {
      // The far end set its clock anew.
      restart()
      insert(content, payload, sequence, timestamp, now)
      return
    }
    estimator.note(arrival: now, mediaTime: mediaTime)
    if case .playing = state, extended < expectedSequence {
      packetsLate += 1
      return
    }
    guard queue.insert(sequence: extended, timestamp: media, content: content, payload: payload) == .stored else {
      return
    }
    if case .idle = state { state = .waiting(until: now + .milliseconds(Int64(target) - 10)) }
  }

  // MARK: Playing

  /// The delay that the network needs, in milliseconds: late packets, and a frame because frames are taken whole.
  var target: Double { max(20, min(240, estimator.spread + 20)) }

  /// The delay from the fastest packet's arrival to its playing, in milliseconds.
  var currentDelay: Double { delay ?? 0 }

  /// Fills a frame. False while nothing has arrived yet: then the frame is silent.
  func pull(_ frame: Samples, now: Instant) -> Bool {
    // Nobody listened for a while, as during a hold: what was said then is not played after it.
    if let lastPull, now - lastPull > .milliseconds(250) { restart() }
    lastPull = now
    if case .waiting(let until) = state, now >= until, let first = queue.first {
      state = .playing
      expectedSequence = first.sequence
      expectedTimestamp = first.timestamp
      debt = 0
    }
    guard case .playing = state else {
      // The rest of the source before fades by itself.
      if playout.count < frame.count, playout.count > 0 { playout.conceal(frame.count - playout.count) }
      let taken = playout.take(into: frame)
      if taken > 0 { Fade.fall(frame.part(from: 0, count: taken)) }
      frame.part(from: taken, count: frame.count).update(repeating: 0)
      return taken > 0
    }
    fill(frame.count, now)
    scale(frame.count, now)
    let taken = playout.take(into: frame)
    frame.part(from: taken, count: frame.count).update(repeating: 0)
    samplesPulled &+= frame.count
    return true
  }

  /// Decodes, conceals or makes noise until `needed` samples are there.
  private func fill(_ needed: Int, _ now: Instant) {
    // A frame of 60 ms of packets of 2.5 ms takes 24 turns.
    var turns = 64
    while playout.count < needed, turns > 0 {
      turns -= 1
      guard let packet = queue.first else {
        stretch(needed - playout.count)
        return
      }
      if packet.sequence < expectedSequence {
        queue.removeFirst()
        packetsLate += 1
        continue
      }
      if packet.content == .other {
        queue.removeFirst()
        expectedSequence = packet.sequence + 1
        continue
      }
      let lost = packet.sequence - expectedSequence
      var owed = samples(packet.timestamp - expectedTimestamp) - debt
      if owed > sampleRate || lost > 50 {
        // More than a second: nothing bridges that.
        expectedSequence = packet.sequence
        expectedTimestamp = packet.timestamp
        debt = 0
        continue
      }
      if lost == 0, owed > 0 {
        // A pause: its length is free, so the delay is set to what it should be.
        owed -= max(0, min(owed, Int((placedDelay(packet, after: owed, now) - target) / 1_000 * Double(sampleRate))))
      }
      if owed > 0, lost > 0 || owed > sampleRate / 1_000 {
        bridge(min(owed, lost > 0 ? packetSamples : needed - playout.count), lost: lost, next: packet)
        continue
      }
      decode(packet, now)
    }
  }

  /// Decodes the packet at the head of the queue.
  private func decode(_ packet: PacketQueue.Packet, _ now: Instant) {
    let payload = queue.payload(of: packet)
    delay = placedDelay(packet, after: 0, now)
    debt = 0
    expectedSequence = packet.sequence + 1
    expectedTimestamp = packet.timestamp
    switch packet.content {
    case .audio(let codec):
      if let count = decoder.decode(payload, codec: codec, to: playout) {
        packetSamples = max(1, count)
        expectedTimestamp += Int64(count) * Int64(clockRate) / Int64(sampleRate)
      } else {
        packetsInvalid += 1
        bridge(packetSamples, lost: 1, next: nil)
      }
      // RFC 6716 §2.1.9: a DTX packet is a TOC byte, or that and one more.
      isPausing = codec == .opus && payload.count <= 2
      hasNoise = false
    case .comfortNoise:
      if let description = ComfortNoiseDescription(parsing: payload) {
        noise.update(description)
        hasNoise = true
      }
      isPausing = true
    case .other: break
    }
    queue.removeFirst()
  }

  /// Makes up samples in place of packets that a later packet shows to be lost, or of a pause.
  private func bridge(_ count: Int, lost: Int64, next: PacketQueue.Packet?) {
    let before = playout.count
    if lost == 0 || isPausing {
      makeNoise(count)
    } else {
      // The copy inside a packet is of the frame just before it.
      let copy = lost == 1 ? next.flatMap { $0.content == .audio(.opus) ? queue.payload(of: $0) : nil } : nil
      decoder.conceal(count, codec: codec, next: copy, to: playout)
      samplesConcealed &+= count
      if lost > 1 { expectedSequence += 1 }
    }
    debt += playout.count - before
  }

  /// Nothing is there: what is played now moves the delay, unless the packet turns out to be lost.
  private func stretch(_ count: Int) {
    let before = playout.count
    if isPausing {
      makeNoise(count)
    } else {
      decoder.conceal(count, codec: codec, next: nil, to: playout)
      samplesConcealed &+= count
    }
    debt += playout.count - before
  }

  private func makeNoise(_ count: Int) {
    if hasNoise {
      playout.append(count) {
        noise.generate(into: $0)
        return $0.count
      }
    } else {
      // Opus makes its own noise; the others fade to silence.
      decoder.conceal(count, codec: codec, next: nil, to: playout)
    }
  }

  /// Shortens or lengthens what is to be played by a pitch period, where the delay is off.
  private func scale(_ needed: Int, _ now: Instant) {
    pullsSinceScaling += 1
    guard let current = delay, !playout.isConcealing else { return }
    let error = current - target
    if error > 250 {
      // A stall ended: seconds of old speech would run after the talk for ever.
      dropOldest(error)
      return
    }
    guard pullsSinceScaling >= (error > 60 ? 1 : 3) else { return }
    // What is unlike itself is cut only where it is late.
    let similarity: Float = error > 60 ? 0.5 : TimeScaler.similarityNeeded
    if error > 15 {
      let wanted = needed + playout.scaler.longestLag
      if playout.count < wanted, let next = queue.first, next.sequence == expectedSequence,
        next.timestamp == expectedTimestamp, case .audio = next.content
      {
        decode(next, now)
      }
      guard playout.count >= wanted else { return }
      let removed = playout.accelerate(similarity: similarity)
      note(scaled: -removed)
    } else if error < -10, !isPausing {
      note(scaled: playout.expand())
    }
  }

  private func note(scaled samples: Int) {
    guard samples != 0 else { return }
    pullsSinceScaling = 0
    delay = delay.map { $0 + Double(samples) * 1_000 / Double(sampleRate) }
  }

  private func dropOldest(_ error: Double) {
    var excess = error
    while excess > 0, queue.count > 1, let first = queue.first {
      queue.removeFirst()
      excess -= Double(packetSamples) * 1_000 / Double(sampleRate)
      guard let next = queue.first, next.content != .other else { continue }
      expectedSequence = next.sequence
      expectedTimestamp = next.timestamp
      _ = first
    }
    delay = nil
    debt = 0
  }

  // MARK: Units

  /// The delay that a packet gets if it is decoded now, `after` more samples.
  private func placedDelay(_ packet: PacketQueue.Packet, after: Int, _ now: Instant) -> Double {
    guard let fastest = estimator.fastest else { return target }
    let ahead = Double(playout.count + after) * 1_000 / Double(sampleRate)
    return Double(now.nanoseconds &- nanoseconds(packet.timestamp) &- fastest) / 1e6 + ahead
  }

  private func nanoseconds(_ timestamp: Int64) -> Int64 {
    let rate = Int64(clockRate)
    return timestamp / rate &* 1_000_000_000 &+ timestamp % rate &* 1_000_000_000 / rate
  }

  private func samples(_ units: Int64) -> Int {
    Int(max(-1_000_000_000, min(1_000_000_000, units))) * sampleRate / clockRate
  }
}
