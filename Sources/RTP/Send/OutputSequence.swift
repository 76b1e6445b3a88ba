package import Core

/// The sequence and timestamp space of what one leg sends, owned by us: hold, mute, switches of the source and the 16-bit
/// wrap never show in it (RFC 3550 §5.1).
///
/// Sequence numbers rise by one for packets made here and keep the source's gaps and order for packets relayed; whatever
/// breaks a source's numbering (another source, a restart, a hold) continues at the next number. Timestamps follow the
/// time that passed. A number is given out once, so SRTP never sees one twice.
package struct OutputSequence: Sendable {
  /// What identifies one packet to send.
  package struct Stamp: Hashable, Sendable {
    package var ssrc: SSRC
    package var sequence: UInt16
    package var timestamp: UInt32
    /// A talkspurt or another source begins (RFC 3551 §4.1).
    package var marker: Bool

    package init(ssrc: SSRC, sequence: UInt16, timestamp: UInt32, marker: Bool) {
      self.ssrc = ssrc
      self.sequence = sequence
      self.timestamp = timestamp
      self.marker = marker
    }
  }

  /// The largest gap of a source that goes through as loss; a larger one is closed.
  package static let maximumGap: Int64 = 100

  package let ssrc: SSRC
  /// Hertz.
  package private(set) var clockRate: Int
  /// Extended number of the last packet in sequence; `firstSequence - 1` before the first.
  package private(set) var highestSequence: Int64
  /// Packets given out.
  package private(set) var count = 0

  private var highestTimestamp: UInt32
  /// When the highest was given out; nil before the first.
  private var highestAt: Instant?
  /// Where a generated packet would go on without a break.
  private var nextTimestamp: UInt32
  private var skipped = false
  /// Distance of the relayed source's packets in timestamp units: the length of its newest packet, probably.
  private var spacing: Int64
  /// Bit i: `highestSequence - i` was given out.
  private var window: UInt64 = 0
  private var relay: Relay?
  /// What would follow a packet that was far behind.
  private var probe: UInt16?

  /// The source that is relayed and where its space lies in ours.
  private struct Relay: Hashable, Sendable {
    var source: SSRC
    var sequences: SequenceUnwrapper
    /// Source's extended number and ours of the packet that began it.
    var first: Int64
    var ours: Int64
    var timestampOffset: UInt32
    /// Of the newest packet.
    var lastTimestamp: UInt32
    var lastAt: Instant

    static func == (a: Relay, b: Relay) -> Bool { a.source == b.source && a.first == b.first && a.ours == b.ours }
    func hash(into hasher: inout Hasher) { hasher.combine(source) }
  }

  /// - Parameters:
  ///   - firstSequence: Random, below 2^15 by habit: old SRTP receivers lose a roll-over within the first packets.
  ///   - firstTimestamp: Random.
  package init(ssrc: SSRC, firstSequence: UInt16, firstTimestamp: UInt32, clockRate: Int) {
    self.ssrc = ssrc
    self.clockRate = ClockRate.clamp(clockRate)
    highestSequence = Int64(firstSequence) - 1
    highestTimestamp = firstTimestamp
    nextTimestamp = firstTimestamp
    spacing = Int64(self.clockRate) / 50
  }

  /// Another codec took over. The next packet starts a new run at the new rate (RFC 7160 §4.1).
  package mutating func setClockRate(_ rate: Int) {
    guard ClockRate.bounds.contains(rate), rate != clockRate else { return }
    clockRate = rate
    spacing = Int64(rate) / 50
    relay = nil
    skipped = true
  }

  /// Ends the run of the current source: the next packet, of whichever source, is joined on and marked.
  package mutating func breakSource() {
    relay = nil
    skipped = true
  }

  // MARK: Packets made here

  /// The stamp of a packet that we made, of `duration` timestamp units.
  package mutating func next(duration: UInt32, now: Instant) -> Stamp {
    relay = nil
    let timestamp = currentTimestamp(now)
    let marker = skipped || highestAt == nil || timestamp != nextTimestamp
    let stamp = take(timestamp: timestamp, marker: marker, now: now)
    nextTimestamp = timestamp &+ duration
    skipped = false
    return stamp
  }

  /// Time passes without a packet: a frame that DTX left out, or one that an event replaces.
  package mutating func skip(duration: UInt32) {
    nextTimestamp &+= duration
    skipped = true
  }

  /// The timestamp that `next` would give at `now`; an event's packets all carry that of its start (RFC 4733 §2.2.2).
  package func currentTimestamp(_ now: Instant) -> UInt32 {
    guard let highestAt else { return nextTimestamp }
    // After 200 ms or more without packet or `skip` the clock is set by the time that passed.
    let elapsed = units(from: highestAt, to: now)
    let planned = Int64(Int32(bitPattern: nextTimestamp &- highestTimestamp))
    guard elapsed - planned > Int64(clockRate) / 5 else { return nextTimestamp }
    return highestTimestamp &+ UInt32(truncatingIfNeeded: elapsed)
  }

  /// The next sequence number with a timestamp of the caller's: packets of an event.
  package mutating func next(at timestamp: UInt32, marker: Bool, now: Instant) -> Stamp {
    relay = nil
    let planned = nextTimestamp
    let clock = highestTimestamp
    let before = highestAt
    let stamp = take(timestamp: timestamp, marker: marker, now: now)
    nextTimestamp = planned
    // The media clock is not the event's: keep it running where it was.
    if let before {
      highestTimestamp = clock
      highestAt = before
    }
    return stamp
  }

  // MARK: Packets relayed

  /// The stamp of a packet that passes through, or nil when it must be dropped: a duplicate, or older than what our space
  /// has room for.
  package mutating func relayed(_ header: RTPHeader, now: Instant) -> Stamp? {
    relayed(
      source: header.ssrc, sequence: header.sequence, timestamp: header.timestamp, marker: header.marker, now: now)
  }

  /// As above, from the fields.
  package mutating func relayed(
    source: SSRC, sequence: UInt16, timestamp: UInt32, marker: Bool, now: Instant
  ) -> Stamp? {
    guard var current = relay, current.source == source else {
      return join(source, sequence, timestamp, now: now)
    }
    let before = current.sequences.highest ?? 0
    let extended = current.sequences.unwrap(sequence)
    let ours = current.ours + (extended - current.first)
    if extended - before > Self.maximumGap { return join(source, sequence, timestamp, now: now) }
    if extended <= before {
      // Late: into its gap, if that lies in this run and the gap is still open.
      if before - extended > Self.maximumGap { return restarted(&current, source, sequence, timestamp, now) }
      guard extended >= current.first, claim(ours) else { return nil }
      count &+= 1
      return Stamp(
        ssrc: ssrc, sequence: UInt16(truncatingIfNeeded: ours), timestamp: timestamp &+ current.timestampOffset,
        marker: marker)
    }
    var marker = marker
    // A source that moves its clock without saying so (Asterisk between prompt and peer) is joined on in time.
    let moved = Int64(Int32(bitPattern: timestamp &- current.lastTimestamp)) - units(from: current.lastAt, to: now)
    if moved.magnitude > UInt64(clockRate) * 3 {
      current.timestampOffset = joined(now) &- timestamp
      marker = true
    }
    current.lastTimestamp = timestamp
    current.lastAt = now
    relay = current
    return advance(to: ours, timestamp: timestamp &+ current.timestampOffset, marker: marker, now: now)
  }

  /// A packet far behind: an old straggler, unless the next one follows it.
  private mutating func restarted(
    _ current: inout Relay, _ source: SSRC, _ sequence: UInt16, _ timestamp: UInt32, _ now: Instant
  ) -> Stamp? {
    if probe == sequence {
      probe = nil
      return join(source, sequence, timestamp, now: now)
    }
    probe = sequence &+ 1
    return nil
  }

  private mutating func join(_ source: SSRC, _ sequence: UInt16, _ timestamp: UInt32, now: Instant) -> Stamp {
    var sequences = SequenceUnwrapper()
    let first = sequences.unwrap(sequence)
    let start = highestAt == nil ? nextTimestamp : joined(now)
    let ours = highestSequence + 1
    relay = Relay(
      source: source, sequences: sequences, first: first, ours: ours, timestampOffset: start &- timestamp,
      lastTimestamp: timestamp, lastAt: now)
    probe = nil
    return advance(to: ours, timestamp: start, marker: true, now: now)
  }

  /// Where something new is joined on: after the time that passed, and at least where the old run would have gone on.
  private func joined(_ now: Instant) -> UInt32 {
    guard let highestAt else { return nextTimestamp }
    let elapsed = units(from: highestAt, to: now)
    let planned = Int64(Int32(bitPattern: nextTimestamp &- highestTimestamp))
    return highestTimestamp &+ UInt32(truncatingIfNeeded: max(elapsed, planned, 1))
  }

  private mutating func advance(to ours: Int64, timestamp: UInt32, marker: Bool, now: Instant) -> Stamp {
    let step = ours - highestSequence
    window = step >= 64 ? 1 : window << UInt64(step) | 1
    let distance = Int64(Int32(bitPattern: timestamp &- highestTimestamp))
    if step == 1, !marker, (1...Int64(clockRate) / 8).contains(distance) { spacing = distance }
    highestSequence = ours
    highestTimestamp = timestamp
    highestAt = now
    nextTimestamp = timestamp &+ UInt32(truncatingIfNeeded: spacing)
    skipped = true
    count &+= 1
    return Stamp(ssrc: ssrc, sequence: UInt16(truncatingIfNeeded: ours), timestamp: timestamp, marker: marker)
  }

  /// Marks a number behind the highest as given out; false if it was, or lies too far back.
  private mutating func claim(_ ours: Int64) -> Bool {
    let age = highestSequence - ours
    guard (0..<64).contains(age), window >> UInt64(age) & 1 == 0 else { return false }
    window |= 1 << UInt64(age)
    return true
  }

  private mutating func take(timestamp: UInt32, marker: Bool, now: Instant) -> Stamp {
    let wasSkipped = skipped
    let stamp = advance(to: highestSequence + 1, timestamp: timestamp, marker: marker, now: now)
    skipped = wasSkipped
    return stamp
  }

  /// Timestamp units between two instants; zero when they are out of order.
  private func units(from start: Instant, to end: Instant) -> Int64 {
    let ns = max(end.nanoseconds &- start.nanoseconds, 0)
    let rate = Int64(clockRate)
    return (ns / 1_000_000_000) &* rate &+ (ns % 1_000_000_000) * rate / 1_000_000_000
  }
}
