import Audio
import Core
import RTP

/// Sends digits, as RFC 4733 events or as tones, from two sources: a queue of digits of known length, and keys that are
/// pressed right now and whose end is not known yet.
///
/// One step a frame; a step says what takes the place of the frame's audio.
struct DigitSender {
  enum Step {
    /// Nothing to send: the audio goes on.
    case audio
    /// The pause between two digits: no audio.
    case pause
    case event(TelephoneEventPayload, stamp: OutputSequence.Stamp)
    /// The frame was filled with a tone.
    case tone
  }

  private struct Item {
    var event: UInt8
    /// Nil while the key is down.
    var length: Duration?
  }

  private struct Running {
    var item: Item
    var elapsed = Duration.zero
    var timestamp: UInt32
    /// Where the segment began that runs: durations have 16 bits (RFC 4733 §2.5.1.3).
    var segmentStart = Duration.zero
    var endsSent = 0
    var isFirst = true
  }

  /// No more wait than that.
  static let capacity = 64
  /// ITU-T Q.24: receivers know 40 ms; many need more.
  private static let shortest = Duration.milliseconds(60)
  /// A key whose release was lost.
  private static let longest = Duration.seconds(8)
  private static let gap = Duration.milliseconds(60)

  private var format: TelephoneEventFormat?
  private var generator: DTMFToneGenerator
  private var queue: [Item]
  private var running: Running?
  private var pauseLeft = Duration.zero

  init(sampleRate: Int) {
    generator = DTMFToneGenerator(sampleRate: sampleRate)
    queue = []
    queue.reserveCapacity(Self.capacity)
  }

  /// Whether digits take the place of audio.
  var isBusy: Bool { running != nil || !queue.isEmpty || generator.isActive }

  /// Events where the far end takes them, else tones at `sampleRate`. A digit that runs is cut.
  mutating func configure(_ format: TelephoneEventFormat?, sampleRate: Int) {
    guard format != self.format || sampleRate != generator.sampleRate else { return }
    self.format = format
    generator = DTMFToneGenerator(sampleRate: sampleRate)
    running = nil
  }

  /// Queues a digit; false when too many wait.
  @discardableResult
  mutating func enqueue(event: UInt8, length: Duration) -> Bool {
    guard event < 16, queue.count < Self.capacity else { return false }
    queue.append(Item(event: event, length: min(max(length, Self.shortest), Self.longest)))
    return true
  }

  /// A key goes down. It sounds until `release`.
  mutating func press(event: UInt8) {
    guard event < 16, queue.count < Self.capacity else { return }
    queue.append(Item(event: event, length: nil))
  }

  /// The key went up after `length`.
  mutating func release(event: UInt8, length: Duration) {
    let length = min(max(length, Self.shortest), Self.longest)
    if running?.item.event == event, running?.item.length == nil {
      running?.item.length = length
    } else if let index = queue.firstIndex(where: { $0.event == event && $0.length == nil }) {
      queue[index].length = length
    }
  }

  /// Forgets everything.
  mutating func removeAll() {
    queue.removeAll(keepingCapacity: true)
    running = nil
    generator.stop()
  }

  /// The next frame of `time`; with tones it is written to `frame`.
  mutating func step(
    _ time: Duration, frame: Samples, output: inout OutputSequence, now: Instant
  ) -> Step {
    if running == nil {
      if pauseLeft > .zero {
        pauseLeft -= time
        if generator.isActive {
          generator.generate(into: frame)
          return .tone
        }
        return queue.isEmpty ? .audio : .pause
      }
      guard let item = queue.first else { return .audio }
      queue.removeFirst()
      running = Running(item: item, timestamp: output.currentTimestamp(now))
      if format == nil { generator.start(event: item.event) }
    }
    guard var current = running else { return .audio }
    defer { running = current.endsSent == 3 ? nil : current }
    let length = current.item.length ?? Self.longest
    guard let format else {
      generator.generate(into: frame)
      current.elapsed += time
      if current.elapsed >= length {
        generator.stop()
        current.endsSent = 3
        pauseLeft = Self.gap
      }
      return .tone
    }
    if current.endsSent == 0 {
      if units(current.elapsed + time - current.segmentStart, format.clockRate) > 0xFFFF {
        current.timestamp &+= units(current.elapsed - current.segmentStart, output.clockRate)
        current.segmentStart = current.elapsed
      }
      current.elapsed += time
    }
    let isEnd = current.endsSent > 0 || current.elapsed >= length
    let stamp = output.next(at: current.timestamp, marker: current.isFirst, now: now)
    output.skip(duration: units(time, output.clockRate))
    current.isFirst = false
    if isEnd { current.endsSent += 1 }
    if current.endsSent == 3 { pauseLeft = Self.gap }
    let duration = units(current.elapsed - current.segmentStart, format.clockRate)
    return .event(
      TelephoneEventPayload(
        event: current.item.event, isEnd: isEnd, volume: 10, duration: UInt16(clamping: duration)), stamp: stamp)
  }

  private func units(_ duration: Duration, _ rate: Int) -> UInt32 {
    UInt32(clamping: duration.nanoseconds / 1_000 * Int64(rate) / 1_000_000)
  }
}
