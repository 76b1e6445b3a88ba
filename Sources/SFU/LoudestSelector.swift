import Core
import RTP

/// Picks the loudest few talkers of a room packet by packet, from RFC 6464 levels. A value a room; no allocation after
/// the first packets.
///
/// Whoever is in stays in until somebody else is clearly louder, for long enough: in a room of five nobody is ever cut,
/// and two talkers of equal voice do not push each other out at every breath.
struct LoudestSelector {
  /// How much louder a newcomer must be, in dB.
  private static let advantage = 6.0
  /// Nobody is replaced sooner than that after getting in.
  private static let minimumStay = Duration.milliseconds(600)
  /// Who is quieter than that does not ask to get in when others must leave for it: −dBov.
  private static let silence = 60.0
  /// Without packets for so long a talker counts as silent (DTX, mute).
  private static let absence = Duration.milliseconds(1_000)

  /// What the selector remembers of one producer; kept by the producer.
  struct Talker {
    /// dB over silence, 0…127, smoothed: rises within 50 ms, falls within a second.
    fileprivate(set) var loudness = 0.0
    fileprivate(set) var isSelected = false
    fileprivate var lastPacket: Instant?

    init() {}
  }

  private struct Slot {
    var id: ProducerID
    var loudness: Double
    var since: Instant
    var lastPacket: Instant
  }

  let count: Int
  private var slots: [Slot] = []
  private(set) var replacements = 0

  init(count: Int) {
    self.count = max(1, count)
    slots.reserveCapacity(self.count)
  }

  /// Whether this packet is to be forwarded.
  mutating func admits(_ id: ProducerID, _ talker: inout Talker, level: AudioLevel, now: Instant) -> Bool {
    var sample = 127 - Double(level.attenuation)
    // Noise that its own sender does not call voice counts less.
    if !level.isVoice { sample = max(0, sample - 10) }
    talker.loudness += (sample - talker.loudness) * (sample > talker.loudness ? 0.4 : 0.03)
    talker.lastPacket = now
    if talker.isSelected {
      if let index = slots.firstIndex(where: { $0.id == id }) {
        slots[index].loudness = talker.loudness
        slots[index].lastPacket = now
        return true
      }
      talker.isSelected = false
    }
    if slots.count < count {
      slots.append(Slot(id: id, loudness: talker.loudness, since: now, lastPacket: now))
      talker.isSelected = true
      return true
    }
    guard talker.loudness > 127 - Self.silence, sample > 127 - Self.silence else { return false }
    // The quietest that may be replaced.
    var quietest: Int?
    var least = Double.infinity
    for index in slots.indices {
      let isAbsent = now - slots[index].lastPacket > Self.absence
      let loudness = isAbsent ? 0 : slots[index].loudness
      guard isAbsent || now - slots[index].since >= Self.minimumStay, loudness < least else { continue }
      least = loudness
      quietest = index
    }
    guard let quietest, talker.loudness > least + Self.advantage else { return false }
    slots[quietest] = Slot(id: id, loudness: talker.loudness, since: now, lastPacket: now)
    talker.isSelected = true
    replacements += 1
    return true
  }

  /// The producer is gone or muted.
  mutating func remove(_ id: ProducerID) { slots.removeAll { $0.id == id } }
}
