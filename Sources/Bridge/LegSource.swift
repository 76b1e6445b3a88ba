package import Audio

/// What the far end of a leg hears.
package enum LegSource {
  /// Nothing is sent; RTCP goes on.
  case silence
  /// What the far end of another leg says, and the digits that it presses. The leg is held weakly; when it has gone,
  /// the source is `silence`.
  case leg(MediaLeg)
  /// What the far end says itself.
  case echo
  /// A sine: hertz, and level in dBm0.
  case tone(frequency: Double, level: Double)
  /// 1,004 Hz at 0 dBm0.
  case milliwatt
  case holdMusic
  /// Ringback, busy and the like, as a country knows them.
  case tones(CallProgressTone)
  /// A recorded sound; where it does not loop its end is told as `MediaLegEvent.clipEnded`, and silence follows.
  case clip(AudioClip, loops: Bool)
  /// What everybody else in a conference says. What the far end says goes there.
  case conference(ConferencePort)
}

/// Makes the sound of the sources that are not a leg. Frames follow each other without a step.
struct SourceGenerator {
  // One of them is set; apart, and not an enum, so that each is changed in place without a copy.
  private var tone: ToneGenerator?
  private var cadenced: CadencedTone?
  private var music: HoldMusic?
  private var clip: ClipPlayer?

  /// Whether it is music, which an encoder may want to know.
  var isMusic: Bool { music != nil }

  /// A clip was played to its end.
  var hasEnded: Bool { clip?.hasEnded ?? false }

  /// Nil for sources that are not made here.
  init?(_ source: LegSource, sampleRate: Int) throws(AudioError) {
    switch source {
    case .silence, .leg, .echo, .conference: return nil
    case .tone(let frequency, let level):
      tone = ToneGenerator(sampleRate: sampleRate, frequency: frequency, level: level)
    case .milliwatt: tone = .milliwatt(sampleRate: sampleRate)
    case .holdMusic: music = HoldMusic(sampleRate: sampleRate)
    case .clip(let sound, let loops): clip = try ClipPlayer(sound, loops: loops, sampleRate: sampleRate)
    case .tones(let tone): cadenced = CadencedTone(tone, sampleRate: sampleRate)
    }
  }

  mutating func generate(into frame: Samples) {
    tone?.generate(into: frame)
    cadenced?.generate(into: frame)
    music?.generate(into: frame)
    clip?.generate(into: frame)
  }
}
