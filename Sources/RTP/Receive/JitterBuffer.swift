package import Core

/// Puts a source's packets back in order and into time (RFC 3550 §6.4.4 names the jitter that it absorbs).
///
/// Packets lie in preallocated slots, so neither `insert` nor `pop` allocates. The consumer calls `pop` when the audio
/// that it decoded runs short of a tick, and stretches or shortens what it gets as `adjustment` asks; the buffer itself
/// adapts whenever there is silence. Confined to one media worker.
///
/// Delay is counted from the fastest recent packet: a packet that came as fast as any and is popped 60 ms later has had
/// 60 ms. `targetDelay` rises at once when packets come late and falls by 10 ms a second.
package struct JitterBuffer: ~Copyable {
  package static let slotCount = 64
  package static let slotSize = 1_500

  struct Entry {
    /// Extended sequence number; `vacant` marks a free slot.
    var number: Int64 = vacant
    /// Nanoseconds of media since the epoch's first packet.
    var media: Int64 = 0
    var epoch = 0
    /// Extended timestamp.
    var time: Int64 = 0
    var carriesAudio = true
    var slot: Slot
  }
  static let vacant = Int64.min

  package let configuration: Configuration
  package private(set) var clockRate: Int
  package private(set) var statistics = Statistics()
  package private(set) var bufferedPackets = 0

  private let storage: UnsafeMutableRawPointer
  /// Nanoseconds, as everything that is looked at for each packet.
  private var target: Int64
  private let targetBounds: ClosedRange<Int64>
  private var entries: [Entry]
  private var state = State.idle
  /// The number to be popped next.
  private var next: Int64 = 0
  private var sequences = SequenceUnwrapper()
  /// Bit i: `highest - i` has been received.
  private var receivedWindow: UInt64 = 0
  private var probe: UInt16?

  private var estimator = DelayEstimator()
  private var epoch = 0
  private var newEpoch = true
  /// Extended timestamp of the newest packet in sequence, and of the epoch's first.
  private var newestTime: Int64 = 0
  private var epochTime: Int64 = 0
  private var packetDuration: UInt32
  private var longerDuration: (value: Int64, count: Int) = (0, 0)
  private var durationIsAssumed = true
  private var targetSince = Instant.zero
  private var sinceEstimate = 0

  /// Where the packet popped last ends, plus what was filled in.
  private var expectedTime: Int64?
  private var playingEpoch = 0
  /// Pops filled while the buffer was empty, not yet accounted to lost packets.
  private var filled = 0
  private var smoothedDelay: Int64 = 0
  private var adjusting = Adjustment.none

  private enum State { case idle, buffering, playing }

  /// - Parameters:
  ///   - clockRate: Of the timestamps, in hertz.
  ///   - packetDuration: In timestamp units, until packets show theirs.
  package init(clockRate: Int, packetDuration: UInt32, configuration: Configuration = Configuration()) {
    self.clockRate = ClockRate.clamp(clockRate)
    self.packetDuration = max(packetDuration, 1)
    self.configuration = configuration
    let minimum = max(configuration.minimumDelay.nanoseconds, 0)
    targetBounds = minimum...max(minimum, configuration.maximumDelay.nanoseconds)
    target = min(max(configuration.initialDelay.nanoseconds, minimum), targetBounds.upperBound)
    storage = .allocate(byteCount: Self.slotCount * Self.slotSize, alignment: 16)
    entries = (0..<Self.slotCount).map { index in
      Entry(
        slot: Slot(
          sequence: 0, timestamp: 0, payloadType: PayloadType(0), marker: false, duration: 0, count: 0, index: index))
    }
  }

  deinit { storage.deallocate() }

  /// The bytes of a packet that `pop` gave. Valid until the next `insert`.
  package func payload(of slot: Slot) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage + slot.index * Self.slotSize, count: slot.count)
  }

  /// How long packets should be held.
  package var targetDelay: Duration { .nanoseconds(target) }

  /// How long the packets popped of late were held, relative to the fastest.
  package var currentDelay: Duration { .nanoseconds(smoothedDelay) }

  /// Whether the audio should be shortened or stretched to bring `currentDelay` to `targetDelay`.
  package var adjustment: Adjustment {
    guard state == .playing else { return .none }
    // With nothing in store there is nothing to hurry for: the delay is the network's, not ours.
    return adjusting == .accelerate && bufferedPackets == 0 ? .none : adjusting
  }

  /// The consumer removed (negative) or added (positive) that much audio.
  package mutating func timeScaled(by duration: Duration) {
    smoothedDelay = max(0, smoothedDelay &+ duration.nanoseconds)
    updateAdjustment()
  }

  /// Forgets every packet, as for another source. What was learnt of the network stays.
  package mutating func reset() {
    flush()
    state = .idle
    sequences = SequenceUnwrapper()
    receivedWindow = 0
    probe = nil
    newEpoch = true
  }

  /// Another codec's clock counts from the next packet on.
  package mutating func setClockRate(_ rate: Int, packetDuration: UInt32) {
    guard ClockRate.bounds.contains(rate) else { return }
    self.packetDuration = max(packetDuration, 1)
    durationIsAssumed = true
    if rate != clockRate {
      clockRate = rate
      newEpoch = true
    }
  }

  // MARK: In

  /// Stores a packet.
  ///
  /// - Parameters:
  ///   - duration: Of its audio in timestamp units, where the caller can tell from the payload.
  ///   - carriesAudio: False for a packet of the source that is handled elsewhere, such as a telephone event: its number
  ///     is no loss then, and `pop` passes over it.
  package mutating func insert(
    sequence: UInt16, timestamp: UInt32, payload: UnsafeRawBufferPointer, payloadType: PayloadType = PayloadType(0),
    marker: Bool = false, duration: UInt32? = nil, carriesAudio: Bool = true, now: Instant
  ) -> Verdict {
    guard payload.count <= Self.slotSize else {
      statistics.oversized &+= 1
      return .oversized
    }
    var verdict = Verdict.stored
    if state != .idle, let highest = sequences.highest {
      let delta = Int(Int16(bitPattern: sequence &- UInt16(truncatingIfNeeded: highest)))
      if delta >= ReceiveStatistics.maximumDropout || delta <= -ReceiveStatistics.maximumMisorder {
        guard probe == sequence else {
          probe = sequence &+ 1
          statistics.late &+= 1
          return .late
        }
        reset()
        statistics.resets &+= 1
        verdict = .reset
      }
    }
    probe = nil
    let before = sequences.highest
    let number = sequences.unwrap(sequence)
    let isNewest = before.map { number > $0 } ?? true
    if let before, !isNewest {
      let age = before - number
      if age < 64 {
        if receivedWindow >> UInt64(age) & 1 == 1 {
          statistics.duplicates &+= 1
          return .duplicate
        }
        receivedWindow |= 1 << UInt64(age)
      }
    } else {
      let step = before.map { number - $0 } ?? 64
      receivedWindow = step >= 64 ? 1 : receivedWindow << UInt64(step) | 1
      if carriesAudio { learnDuration(timestamp, follows: before == number - 1, explicit: duration) }
    }

    let (entryEpoch, time, media, relative) =
      carriesAudio ? place(timestamp, isNewest: isNewest, now: now) : (epoch, newestTime, 0, nil)
    if state == .idle {
      state = .buffering
      next = number
      expectedTime = nil
    }
    if number < next {
      // Before the first pop an earlier packet may still go in front.
      guard state == .buffering, expectedTime == nil, next - number < Int64(Self.slotCount) / 2 else {
        statistics.late &+= 1
        if let relative { grow(relative, now) }
        return .late
      }
      next = number
    }
    if filled > 0, number == next, let relative { grow(relative, now) }
    makeRoom(for: number)

    let index = Int(truncatingIfNeeded: number & Int64(Self.slotCount - 1))
    if entries[index].number == Self.vacant { bufferedPackets += 1 }
    entries[index] = Entry(
      number: number, media: media, epoch: entryEpoch, time: time, carriesAudio: carriesAudio,
      slot: Slot(
        sequence: sequence, timestamp: timestamp, payloadType: payloadType, marker: marker,
        duration: duration ?? packetDuration, count: payload.count, index: index))
    if let source = payload.baseAddress, payload.count > 0 {
      (storage + index * Self.slotSize).copyMemory(from: source, byteCount: payload.count)
    }
    statistics.stored &+= 1
    return verdict
  }

  /// Extends the timestamp and measures the packet's delay. `relative` is nil for a straggler of another clock.
  private mutating func place(
    _ timestamp: UInt32, isNewest: Bool, now: Instant
  ) -> (epoch: Int, time: Int64, media: Int64, relative: Int64?) {
    let time = newestTime &+ Int64(Int32(bitPattern: timestamp &- UInt32(truncatingIfNeeded: newestTime)))
    var media = nanoseconds(time &- epochTime)
    var transit = now.nanoseconds &- media
    if isNewest {
      if newEpoch || estimator.isJump(transit) {
        newEpoch = false
        epoch += 1
        epochTime = time
        estimator.rebase()
        media = 0
        transit = now.nanoseconds
      }
      newestTime = time
    } else if estimator.isJump(transit) {
      return (epoch - 1, time, 0, nil)
    }
    let relative = estimator.observe(transit: transit, now: now.nanoseconds)
    if estimator.tookLevel {
      // What was learnt since the shift is no jitter.
      target = max(clamp(estimator.percentile + 5_000_000), clamp(configuration.initialDelay.nanoseconds))
      targetSince = now
    }
    sinceEstimate += 1
    if sinceEstimate >= 8 { updateTarget(now) }
    return (epoch, time, media, relative)
  }

  /// Packets of unknown length: the first distance of neighbours, then a shorter one at once and a longer one after three.
  private mutating func learnDuration(_ timestamp: UInt32, follows: Bool, explicit: UInt32?) {
    if let explicit {
      // Nothing in a call is shorter than 2.5 ms or longer than 120 ms.
      if Int(explicit) >= clockRate / 400, Int(explicit) <= clockRate / 8 { packetDuration = explicit }
      return
    }
    guard follows, !newEpoch else { return }
    let distance = Int64(Int32(bitPattern: timestamp &- UInt32(truncatingIfNeeded: newestTime)))
    guard distance >= Int64(clockRate) / 400, distance <= Int64(clockRate) / 8, distance != Int64(packetDuration) else {
      longerDuration.count = 0
      durationIsAssumed = durationIsAssumed && distance != Int64(packetDuration)
      return
    }
    longerDuration = (distance, longerDuration.value == distance ? longerDuration.count + 1 : 1)
    if durationIsAssumed || distance < Int64(packetDuration) || longerDuration.count >= 3 {
      durationIsAssumed = false
      packetDuration = UInt32(distance)
      longerDuration.count = 0
    }
  }

  /// More than the slots hold: the oldest go.
  private mutating func makeRoom(for number: Int64) {
    let first = number - Int64(Self.slotCount) + 1
    guard next < first else { return }
    for index in entries.indices where entries[index].number != Self.vacant && entries[index].number < first {
      release(index)
      statistics.discarded &+= 1
    }
    next = firstStored ?? number
    expectedTime = nil
    filled = 0
  }

  // MARK: Target

  private mutating func updateTarget(_ now: Instant) {
    sinceEstimate = 0
    // 5 ms cover our own timers.
    let wanted = clamp(estimator.percentile + 5_000_000)
    if wanted >= target {
      target = wanted
    } else {
      let passed = min(max(now.nanoseconds &- targetSince.nanoseconds, 0), 1_000_000_000)
      target = max(wanted, target - passed / 100)
    }
    targetSince = now
    updateAdjustment()
  }

  /// A packet came too late: hold longer from now on, by at most 60 ms for each so that one stray does not cost much.
  private mutating func grow(_ relative: Int64, _ now: Instant) {
    let needed = min(relative &+ 5_000_000, target + 60_000_000)
    if needed > target {
      target = clamp(needed)
      targetSince = now
      updateAdjustment()
    }
  }

  private func clamp(_ delay: Int64) -> Int64 { min(max(delay, targetBounds.lowerBound), targetBounds.upperBound) }

  // MARK: Out

  /// The next packet's time has come: gives the packet or says why there is none.
  package mutating func pop(now: Instant) -> Pop {
    switch state {
    case .idle: return .waiting
    case .buffering:
      if let first = firstStored, !entries[index(of: first)].carriesAudio { passForeign(from: first) }
      guard let first = firstStored else { return .waiting }
      let entry = entries[index(of: first)]
      guard isDue(entry, now) || bufferedPackets > Self.slotCount * 3 / 4 else { return .waiting }
      if expectedTime != nil { statistics.lost &+= Int(clamping: first - next) }
      next = first
      state = .playing
      return play(entry, now, continuous: false)
    case .playing:
      accountFilled()
      passForeign(from: next)
      if let entry = entry(next) {
        discardExcess(now)
        guard let entry = self.entry(next) else { return play(entry, now, continuous: false) }
        if let expectedTime, entry.epoch == playingEpoch, entry.time - expectedTime > Int64(packetDuration) / 2,
          !isDue(entry, now)
        {
          // No number is missing, only time.
          return .gap
        }
        return play(entry, now, continuous: true)
      }
      if bufferedPackets > 0 { return passOver() }
      filled += 1
      if filled > configuration.maximumConcealment {
        state = .buffering
        filled = 0
        statistics.underruns &+= 1
        return .waiting
      }
      return .missing(next: nil)
    }
  }

  /// Lost packets whose time was filled already while the buffer was empty are passed over at once.
  private mutating func accountFilled() {
    guard filled > 0, bufferedPackets > 0 else { return }
    while filled > 0, entry(next) == nil {
      filled -= 1
      skipNumber()
    }
    filled = 0
  }

  private mutating func passOver() -> Pop {
    skipNumber()
    return .missing(next: entry(next).flatMap { $0.carriesAudio ? $0.slot : nil })
  }

  /// Consumes the run of packets without audio that begins with `number`.
  private mutating func passForeign(from number: Int64) {
    var number = number
    while let entry = entry(number), !entry.carriesAudio {
      release(index(of: number))
      number += 1
      next = number
    }
  }

  private mutating func skipNumber() {
    next += 1
    statistics.lost &+= 1
    expectedTime = expectedTime.map { $0 &+ Int64(packetDuration) }
  }

  /// After a stall everything comes at once; what would be heard far too late is dropped.
  private mutating func discardExcess(_ now: Instant) {
    guard let first = entry(next), first.epoch == epoch, delay(of: first, now) - target > 250_000_000
    else { return }
    while bufferedPackets > 1, let oldest = entry(next), oldest.epoch == epoch,
      delay(of: oldest, now) > target
    {
      release(index(of: next))
      statistics.discarded &+= 1
      next = firstStored ?? next + 1
      expectedTime = nil
    }
  }

  private mutating func play(_ entry: Entry, _ now: Instant, continuous: Bool) -> Pop {
    release(index(of: entry.number))
    next = entry.number + 1
    let isFresh = !continuous || expectedTime == nil || entry.epoch != playingEpoch
    expectedTime = entry.time &+ Int64(entry.slot.duration)
    playingEpoch = entry.epoch
    filled = 0
    if entry.epoch == epoch {
      let delay = delay(of: entry, now)
      smoothedDelay = isFresh ? delay : smoothedDelay + (delay - smoothedDelay) / 8
      updateAdjustment()
    }
    return .packet(entry.slot)
  }

  private mutating func updateAdjustment() {
    let excess = smoothedDelay - target
    // The consumer's 20 ms grid alone puts the delay up to 20 ms above the target.
    switch adjusting {
    case .none:
      if excess > 35_000_000 { adjusting = .accelerate } else if excess < -8_000_000 { adjusting = .expand }
    case .accelerate: if excess < 15_000_000 { adjusting = .none }
    case .expand: if excess > 4_000_000 { adjusting = .none }
    }
  }

  private func isDue(_ entry: Entry, _ now: Instant) -> Bool {
    entry.epoch != epoch || delay(of: entry, now) >= target
  }

  /// How long a packet of the current epoch has been held beyond the fastest transit.
  private func delay(of entry: Entry, _ now: Instant) -> Int64 {
    max(0, now.nanoseconds &- entry.media &- (estimator.base ?? 0))
  }

  // MARK: Slots

  private func index(of number: Int64) -> Int { Int(truncatingIfNeeded: number & Int64(Self.slotCount - 1)) }

  private func entry(_ number: Int64) -> Entry? {
    let entry = entries[index(of: number)]
    return entry.number == number ? entry : nil
  }

  /// The lowest number in store.
  private var firstStored: Int64? {
    guard bufferedPackets > 0 else { return nil }
    var lowest = Int64.max
    for entry in entries where entry.number != Self.vacant { lowest = min(lowest, entry.number) }
    return lowest
  }

  private mutating func release(_ index: Int) {
    guard entries[index].number != Self.vacant else { return }
    entries[index].number = Self.vacant
    bufferedPackets -= 1
  }

  private mutating func flush() {
    for index in entries.indices { release(index) }
    expectedTime = nil
    filled = 0
    adjusting = .none
  }

  private func nanoseconds(_ units: Int64) -> Int64 {
    let rate = Int64(clockRate)
    return (units / rate) &* 1_000_000_000 &+ (units % rate) * 1_000_000_000 / rate
  }
}
