import Core
import RTP

/// Who speaks, from the audio levels of RFC 6464: looked at once an interval, told as differences. A value a room.
///
/// Somebody is active when louder than a threshold for at least 40 % of an interval; levels are smoothed over two
/// intervals and told in eighths, as LiveKit's clients expect them.
struct ActiveSpeakers {
  /// What one producer did since the last interval.
  struct Observation {
    /// In microseconds of media.
    private(set) var loud: Int = 0
    /// Of the loud packets, the loudest: −dBov.
    private(set) var attenuation: UInt8 = 127

    init() {}

    /// - Parameter duration: Of the packet's media, in microseconds.
    mutating func add(_ level: AudioLevel, threshold: UInt8, duration: Int) {
      guard level.attenuation <= threshold else { return }
      loud &+= duration
      attenuation = min(attenuation, level.attenuation)
    }
  }

  private struct Speaker {
    /// 0…1, linear.
    var smoothed = 0.0
    /// As told last: eighths.
    var told = 0
    /// Intervals in a row without speech.
    var silences = 0
  }

  let interval: Duration
  let threshold: UInt8
  private var speakers: [ProducerID: Speaker] = [:]
  private var nextUpdate: Instant?

  init(interval: Duration, threshold: UInt8) {
    self.interval = interval
    self.threshold = threshold
  }

  func isDue(now: Instant) -> Bool { nextUpdate.map { now >= $0 } ?? true }

  /// Ends an interval.
  ///
  /// - Parameter observations: Of every audio producer; those missing are gone.
  /// - Returns: Who speaks at another level than was told, or stopped; loudest first.
  mutating func update(_ observations: [(ProducerID, Observation)], now: Instant) -> [SpeakerLevel] {
    // A late tick skips intervals rather than catching up.
    nextUpdate = now + interval
    var changes: [SpeakerLevel] = []
    var present: Set<ProducerID> = []
    for (id, observation) in observations {
      present.insert(id)
      var speaker = speakers[id] ?? Speaker()
      let sample = Self.level(observation, interval: interval)
      // Smoothing over two intervals: α = 2 / (2 + 1).
      speaker.smoothed += (sample - speaker.smoothed) * 2 / 3
      speaker.silences = sample == 0 ? speaker.silences + 1 : 0
      // Falls silent instead of fading for ever.
      if speaker.silences >= 2 { speaker.smoothed = 0 }
      let eighths = speaker.smoothed == 0 ? 0 : min(8, Int((speaker.smoothed * 8).rounded(.up)))
      if eighths != speaker.told {
        speaker.told = eighths
        changes.append(SpeakerLevel(producer: id, level: Float(eighths) / 8, isActive: eighths > 0))
      }
      speakers[id] = speaker.smoothed == 0 && eighths == 0 ? nil : speaker
    }
    for (id, speaker) in speakers where !present.contains(id) {
      if speaker.told > 0 { changes.append(SpeakerLevel(producer: id, level: 0, isActive: false)) }
      speakers[id] = nil
    }
    // Ties by identifier: the same run gives the same order.
    changes.sort { ($0.level, $1.producer.rawValue) > ($1.level, $0.producer.rawValue) }
    return changes
  }

  var isAnyoneActive: Bool { !speakers.isEmpty }

  /// An interval in which there was nobody to look at.
  mutating func skip(now: Instant) { nextUpdate = now + interval }

  /// Whether the producer was told to be active.
  func isActive(_ id: ProducerID) -> Bool { (speakers[id]?.told ?? 0) > 0 }

  private static func linear(_ attenuation: Double) -> Double { pow10(-attenuation / 20) }

  /// 0 below the share of the interval that counts as speech; less than the loudest packet for a part of it.
  private static func level(_ observation: Observation, interval: Duration) -> Double {
    let share = min(1, Double(observation.loud) * 1_000 / Double(max(interval.nanoseconds, 1)))
    guard share >= 0.4 else { return 0 }
    return linear(Double(observation.attenuation)) * share
  }

  /// 10 to the power of −6.35…0, without a C library.
  private static func pow10(_ exponent: Double) -> Double {
    // e^x by halving the argument until the series is short, then squaring back.
    let x = exponent * 2.302_585_092_994_046 / 16
    var term = 1.0
    var sum = 1.0
    for n in 1...10 {
      term *= x / Double(n)
      sum += term
    }
    for _ in 0..<4 { sum *= sum }
    return sum
  }
}
