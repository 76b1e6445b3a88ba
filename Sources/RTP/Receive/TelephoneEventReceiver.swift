package import Core

/// Turns RFC 4733 packets into events, each told once however often its packets are repeated, lost or reordered.
package struct TelephoneEventReceiver: Hashable, Sendable {
  package struct Event: Hashable, Sendable {
    package var event: UInt8
    /// As far as it is known.
    package var duration: Duration
    package var volume: UInt8

    package init(event: UInt8, duration: Duration, volume: UInt8) {
      self.event = event
      self.duration = duration
      self.volume = volume
    }

    /// The key; nil for an event that is no key.
    package var digit: Character? { DTMFDigit.character(of: event) }
  }

  /// What a packet, or the time, brought. When both are set `ended` happened first, unless they are the same event.
  package struct Outcome: Hashable, Sendable {
    package var began: Event?
    package var ended: Event?

    package init(began: Event? = nil, ended: Event? = nil) {
      self.began = began
      self.ended = ended
    }
  }

  /// Without a packet for that long an event is over: its end was lost (RFC 4733 §2.5.2.2 leaves the time to us).
  package static let timeout = Duration.milliseconds(200)

  /// Hertz of the event's durations.
  package var clockRate: Int
  private var current: Current?
  /// Timestamps of the latest events: repeated and reordered packets of an event that is over.
  private var recent: InlineArray<8, UInt32> = InlineArray(repeating: 0)
  private var recentCount = 0

  private struct Current: Hashable, Sendable {
    var event: UInt8
    var volume: UInt8
    /// Of the segment that runs (RFC 4733 §2.5.1.3: long events go on under a new timestamp).
    var timestamp: UInt32
    var duration: UInt16
    var earlier: UInt64
    var lastPacket: Instant
  }

  package init(clockRate: Int) { self.clockRate = ClockRate.clamp(clockRate) }

  package static func == (a: Self, b: Self) -> Bool {
    a.clockRate == b.clockRate && a.current == b.current && a.recentCount == b.recentCount
  }
  package func hash(into hasher: inout Hasher) { hasher.combine(current) }

  /// Takes a packet. `timestamp` is its RTP timestamp.
  package mutating func receive(_ payload: TelephoneEventPayload, timestamp: UInt32, now: Instant) -> Outcome {
    var outcome = Outcome()
    if var running = current {
      let continues =
        payload.event == running.event && timestamp == running.timestamp &+ UInt32(running.duration)
        && running.duration >= 0xF000
      if continues {
        running.earlier += UInt64(running.duration)
        remember(running.timestamp)
        running.timestamp = timestamp
        running.duration = 0
      }
      if timestamp == running.timestamp {
        // Another event under the same timestamp cannot be; the first one stands.
        guard payload.event == running.event else { return outcome }
        running.duration = max(running.duration, payload.duration)
        running.lastPacket = now
        current = running
        if payload.isEnd { outcome.ended = finish() }
        return outcome
      }
      if isRecent(timestamp) { return outcome }
      // Its end was lost, and the next one is here.
      outcome.ended = finish()
    } else if isRecent(timestamp) {
      return outcome
    }
    current = Current(
      event: payload.event, volume: payload.volume, timestamp: timestamp, duration: payload.duration, earlier: 0,
      lastPacket: now)
    outcome.began = event()
    if payload.isEnd, outcome.ended == nil {
      outcome.ended = finish()
    }
    return outcome
  }

  /// Ends an event whose last packets were lost.
  package mutating func advance(to now: Instant) -> Event? {
    guard let current, now - current.lastPacket >= Self.timeout else { return nil }
    return finish()
  }

  /// When `advance` has something to do; nil without a running event.
  package var nextDeadline: Instant? { current.map { $0.lastPacket + Self.timeout } }

  private func event() -> Event? {
    current.map {
      let units = Int64(clamping: $0.earlier + UInt64($0.duration))
      return Event(
        event: $0.event, duration: .nanoseconds(units * 1_000_000 / Int64(clockRate) * 1_000), volume: $0.volume)
    }
  }

  private mutating func finish() -> Event? {
    guard let running = current else { return nil }
    let result = event()
    remember(running.timestamp)
    current = nil
    return result
  }

  private mutating func remember(_ timestamp: UInt32) {
    recent[recentCount % 8] = timestamp
    recentCount &+= 1
  }

  private func isRecent(_ timestamp: UInt32) -> Bool {
    for i in 0..<min(recentCount, 8) where recent[i] == timestamp { return true }
    return false
  }
}
