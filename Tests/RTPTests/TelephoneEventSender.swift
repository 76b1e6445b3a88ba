import Core
import RTP

/// Sends queued keys as RFC 4733 events, one packet a tick; the end is sent three times (§2.5.1.4).
///
/// While `isSending` the packets of `tick` take the place of audio.
struct TelephoneEventSender: Sendable {
  struct Packet: Hashable, Sendable {
    var stamp: OutputSequence.Stamp
    var payload: TelephoneEventPayload

    /// Writes the whole RTP packet.
    ///
    /// - Returns: 16, or 0 when `buffer` is shorter.
    @discardableResult
    func write(payloadType: PayloadType, into buffer: UnsafeMutableRawBufferPointer) -> Int {
      guard buffer.count >= 16 else { return 0 }
      RTPHeader(
        payloadType: payloadType, sequence: stamp.sequence, timestamp: stamp.timestamp, ssrc: stamp.ssrc,
        marker: stamp.marker
      ).write(into: buffer)
      return 12 + payload.write(into: UnsafeMutableRawBufferPointer(rebasing: buffer[12...]))
    }
  }

  /// No more are kept waiting: 64 keys take 15 s.
  static let maximumQueue = 64

  /// Hertz of the event's durations.
  private(set) var clockRate: Int
  private let packetTime: Duration
  private let gap: Duration
  private var queue: [(event: UInt8, duration: Duration, volume: UInt8)] = []
  private var running: Running?
  private var pauseLeft: Duration = .zero

  private struct Running: Sendable {
    var event: UInt8
    var volume: UInt8
    var length: Duration
    var elapsed: Duration
    /// Of the segment that runs.
    var timestamp: UInt32
    var segmentStart: Duration
    var endsSent: Int
    var isFirst: Bool
  }

  /// - Parameters:
  ///   - packetTime: Distance of the ticks.
  ///   - gap: Silence between two keys; ITU-T Q.24 wants 40 ms or more.
  init(clockRate: Int, packetTime: Duration = .milliseconds(20), gap: Duration = .milliseconds(80)) {
    self.clockRate = clockRate
    self.packetTime = max(packetTime, .milliseconds(1))
    self.gap = gap
  }

  /// Another clock for the keys that have not begun.
  mutating func setClockRate(_ rate: Int) {
    if (1_000...384_000).contains(rate), running == nil { clockRate = rate }
  }

  /// Queues an event; false when too many wait. A key sounds for 40 ms to 6 s.
  @discardableResult
  mutating func enqueue(event: UInt8, duration: Duration = .milliseconds(160), volume: UInt8 = 10) -> Bool {
    guard queue.count < Self.maximumQueue else { return false }
    queue.append((event, min(max(duration, .milliseconds(40)), .seconds(6)), volume))
    return true
  }

  /// An event runs, waits, or the gap behind one is not over.
  var isSending: Bool { running != nil || !queue.isEmpty || pauseLeft > .zero }

  /// One step of `packetTime`. Advances `output`'s media clock while it is busy: send no audio on a tick that began with
  /// `isSending`. Nil in the gap between two keys.
  mutating func tick(_ output: inout OutputSequence, now: Instant) -> Packet? {
    guard isSending else { return nil }
    let frame = UInt32(clamping: packetTime.nanoseconds * Int64(output.clockRate) / 1_000_000_000)
    if running == nil {
      if pauseLeft > .zero {
        pauseLeft = max(.zero, pauseLeft - packetTime)
        output.skip(duration: frame)
        return nil
      }
      guard !queue.isEmpty else { return nil }
      let first = queue.removeFirst()
      running = Running(
        event: first.event, volume: first.volume, length: first.duration, elapsed: .zero,
        timestamp: output.currentTimestamp(now), segmentStart: .zero, endsSent: 0, isFirst: true)
    }
    guard var event = running else { return nil }
    var segmentUnits = units(event.elapsed + packetTime - event.segmentStart)
    if event.endsSent == 0 {
      if segmentUnits > 0xFFFF {
        // RFC 4733 §2.5.1.3: the event goes on under the timestamp where its first part ends.
        event.timestamp &+= units(event.elapsed - event.segmentStart, at: output.clockRate)
        event.segmentStart = event.elapsed
        segmentUnits = units(packetTime)
      }
      event.elapsed += packetTime
    } else {
      segmentUnits = units(event.elapsed - event.segmentStart)
    }
    let isEnd = event.elapsed >= event.length
    let marker = event.isFirst
    event.isFirst = false
    if isEnd { event.endsSent += 1 }
    let stamp = output.next(at: event.timestamp, marker: marker, now: now)
    output.skip(duration: frame)
    if event.endsSent == 3 {
      running = nil
      pauseLeft = gap
    } else {
      running = event
    }
    return Packet(
      stamp: stamp,
      payload: TelephoneEventPayload(
        event: event.event, isEnd: isEnd, volume: event.volume, duration: UInt16(clamping: segmentUnits)))
  }

  private func units(_ duration: Duration) -> UInt32 { units(duration, at: clockRate) }
  private func units(_ duration: Duration, at rate: Int) -> UInt32 {
    UInt32(clamping: duration.nanoseconds * Int64(rate) / 1_000_000_000)
  }
}
