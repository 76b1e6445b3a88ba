import Core

/// How loud one member of a conference is, and whether it is among those who are mixed.
final class Voice {
  /// dB over silence, 0…127, smoothed: rises within 50 ms, falls within a second.
  fileprivate(set) var loudness = 0.0
  /// Part of the mix from the next tick on.
  fileprivate(set) var isSelected = false
  /// Ticks that it still counts as talking.
  fileprivate var hangover = 0
  /// Ticks since it was selected.
  fileprivate var age = 0
  /// Its share in the mix at the end of the last tick: 1 while selected, 0 else; the tick between fades.
  var weight: Float = 0
}

/// Chooses who is mixed: the loudest few of those who talk. A value a conference.
///
/// Silent members are left out (their noise would add up), but only 0.6 s after they fell silent. Whoever is in stays
/// until somebody else is clearly louder, for long enough.
struct TalkerSelection {
  /// How much louder a newcomer must be, in dB.
  private static let advantage = 6.0
  /// In ticks of 20 ms: nobody is replaced sooner.
  private static let minimumStay = 30
  private static let hangover = 30
  /// Louder than that is talk: dB over silence, −60 dBov.
  private static let talk = 67.0

  let limit: Int
  private(set) var selected: [Voice] = []

  init(limit: Int) {
    self.limit = max(1, limit)
    selected.reserveCapacity(self.limit)
  }

  /// Takes the level of a frame or packet: 0 loudest … 127 silent (RFC 6464). True when the voice is part of the mix.
  @discardableResult
  mutating func consider(_ voice: Voice, attenuation: UInt8) -> Bool {
    let sample = 127 - Double(min(attenuation, 127))
    voice.loudness += (sample - voice.loudness) * (sample > voice.loudness ? 0.4 : 0.03)
    if sample > Self.talk { voice.hangover = Self.hangover }
    if voice.isSelected { return true }
    guard sample > Self.talk else { return false }
    if selected.count < limit {
      select(voice)
      return true
    }
    var quietest: Int?
    var least = voice.loudness - Self.advantage
    for index in selected.indices where selected[index].age >= Self.minimumStay {
      guard selected[index].loudness < least else { continue }
      least = selected[index].loudness
      quietest = index
    }
    guard let quietest else { return false }
    selected[quietest].isSelected = false
    selected.remove(at: quietest)
    select(voice)
    return true
  }

  /// A tick has passed: who has been silent for long enough is left out.
  mutating func advance() {
    var index = 0
    while index < selected.count {
      let voice = selected[index]
      voice.age += 1
      voice.hangover -= 1
      if voice.hangover < 0 {
        voice.isSelected = false
        selected.remove(at: index)
      } else {
        index += 1
      }
    }
  }

  /// The member is muted or gone.
  mutating func remove(_ voice: Voice) {
    voice.isSelected = false
    voice.loudness = 0
    selected.removeAll { $0 === voice }
  }

  private mutating func select(_ voice: Voice) {
    voice.isSelected = true
    voice.age = 0
    selected.append(voice)
  }
}
