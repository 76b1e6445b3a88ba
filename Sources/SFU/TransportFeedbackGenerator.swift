import Core
import RTP

/// Tells a publisher when its packets came, by transport-wide sequence number
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01). A value; allocates once.
struct TransportFeedbackGenerator {
  /// Numbers remembered; a power of two.
  private static let window = 1_024
  /// Status entries a packet: with two bytes each it stays below a datagram.
  private static let maximumCount = 400
  static let interval = Duration.milliseconds(50)
  /// Send before the interval ends.
  private static let maximumPending = 200
  private static let unseen = Int64.min

  /// In 250 µs, by number.
  private var ticks: [Int64] = []
  private var unwrapper = SequenceUnwrapper()
  /// First number of the next feedback; nil before the first packet.
  private var next: Int64?
  private var highest: Int64 = 0
  private var pending = 0
  private var lastSent: Instant?
  private var feedbackCount: UInt8 = 0
  /// The stream that feedback names; any of the peer's.
  private var media = SSRC(0)

  init() {}

  mutating func receive(_ sequence: UInt16, media: SSRC, now: Instant) {
    if ticks.isEmpty { ticks = [Int64](repeating: Self.unseen, count: Self.window) }
    self.media = media
    let number = unwrapper.unwrap(sequence)
    let tick = now.nanoseconds / 250_000
    guard var start = next else {
      next = number
      highest = number
      ticks[slot(number)] = tick
      pending = 1
      return
    }
    if number > highest {
      // What lies between was not seen; more than a window apart nothing of the past is kept.
      let from = max(highest + 1, number - Int64(Self.window) + 1)
      for missing in from..<number { ticks[slot(missing)] = Self.unseen }
      highest = number
      start = max(start, number - Int64(Self.window) + 1)
    } else {
      guard number > highest - Int64(Self.window) / 2 else { return }
      guard ticks[slot(number)] == Self.unseen else { return }
      // Reported as lost already: say it again.
      start = min(start, number)
    }
    next = start
    ticks[slot(number)] = tick
    pending += 1
  }

  private func slot(_ number: Int64) -> Int { Int(truncatingIfNeeded: number) & (Self.window - 1) }

  func isDue(now: Instant) -> Bool {
    guard pending > 0 else { return false }
    guard let lastSent else { return true }
    return pending >= Self.maximumPending || now - lastSent >= Self.interval
  }

  /// The next feedback packet; nil when everything is reported. Call it until then.
  mutating func make(sender: SSRC, now: Instant) -> TransportFeedback? {
    guard pending > 0, var start = next else { return nil }
    lastSent = now
    while start <= highest, ticks[slot(start)] == Self.unseen { start += 1 }
    guard start <= highest else {
      next = highest + 1
      pending = 0
      return nil
    }
    let reference = Self.floorDivide(ticks[slot(start)], 256)
    var previous = reference * 256
    var arrivals: [Int16?] = []
    arrivals.reserveCapacity(Int(min(highest - start + 1, Int64(Self.maximumCount))))
    var number = start
    while number <= highest, arrivals.count < Self.maximumCount {
      let tick = ticks[slot(number)]
      if tick == Self.unseen {
        arrivals.append(nil)
      } else {
        // A pause longer than 8 s does not fit: the next packet has its own reference time.
        guard let delta = Int16(exactly: tick - previous) else { break }
        arrivals.append(delta)
        previous = tick
      }
      number += 1
    }
    // Numbers at the end that were not seen belong to the next packet.
    while case .some(.none) = arrivals.last { arrivals.removeLast() }
    next = start + Int64(arrivals.count)
    if (next ?? 0) > highest { pending = 0 }
    defer { feedbackCount &+= 1 }
    return TransportFeedback(
      sender: sender, media: media, baseSequence: UInt16(truncatingIfNeeded: start),
      referenceTime: (Int32(truncatingIfNeeded: reference) << 8) >> 8, feedbackCount: feedbackCount, arrivals: arrivals)
  }

  private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
    let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
    return remainder < 0 ? quotient - 1 : quotient
  }
}
