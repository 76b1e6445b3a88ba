/// A tone by which a telephone network says how a call goes, as a country knows it (ITU-T E.180 and its Supplement 2).
package struct CallProgressTone: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Dial now.
    case dial
    /// The other end rings.
    case ringback
    case busy
    /// No way through the network; reorder tone in North America.
    case congestion
    /// The special information tone, before an announcement (E.180 §7).
    case information
  }

  package var kind: Kind
  package var country: CallProgressCountry

  package init(_ kind: Kind, _ country: CallProgressCountry) {
    self.kind = kind
    self.country = country
  }

  /// One sound, or silence, and how long it lasts.
  package struct Segment: Hashable, Sendable {
    /// In hertz; 0 is silence.
    package var frequency: Double
    /// A second frequency at the same time; 0 is none. A tone modulated by m hertz stands as two, m apart: it beats as
    /// the modulated one does.
    package var other: Double
    /// 0 lasts for ever.
    package var milliseconds: Int
  }

  /// What is repeated.
  package var segments: [Segment] {
    let plan = country.plan
    return switch kind {
    case .dial: plan.dial
    case .ringback: plan.ringback
    case .busy: plan.busy
    case .congestion: plan.congestion
    case .information: plan.information
    }
  }
}

/// The five tones of a country.
struct CallProgressPlan: Sendable {
  typealias Segment = CallProgressTone.Segment

  var dial: [Segment]
  var ringback: [Segment]
  var busy: [Segment]
  var congestion: [Segment]
  /// 950, 1,400 and 1,800 Hz for a third of a second each, then a pause (E.180 §7.2).
  var information = [on(950, 0, 330), on(1_400, 0, 330), on(1_800, 0, 330), off(1_000)]

  static func on(_ frequency: Double, _ other: Double, _ milliseconds: Int) -> Segment {
    Segment(frequency: frequency, other: other, milliseconds: milliseconds)
  }
  static func off(_ milliseconds: Int) -> Segment { Segment(frequency: 0, other: 0, milliseconds: milliseconds) }

  /// Without a pause.
  static func steady(_ frequency: Double, _ other: Double = 0) -> [Segment] { [on(frequency, other, 0)] }

  /// On and off in turn, in milliseconds.
  static func beat(_ frequency: Double, _ other: Double = 0, _ times: Int...) -> [Segment] {
    times.enumerated().map { $0.offset.isMultiple(of: 2) ? on(frequency, other, $0.element) : off($0.element) }
  }

  /// Two short rings and a pause, as in Britain and where British exchanges stood.
  static func doubleRing(_ frequency: Double, _ other: Double) -> [Segment] {
    beat(frequency, other, 400, 200, 400, 2_000)
  }

  /// The tones of a network that uses one frequency for everything: times in milliseconds, on and off.
  static func plain(
    _ frequency: Double, ring: (Int, Int) = (1_000, 4_000), busy: Int = 500, congestion: Int = 200
  ) -> CallProgressPlan {
    CallProgressPlan(
      dial: steady(frequency), ringback: beat(frequency, 0, ring.0, ring.1), busy: beat(frequency, 0, busy, busy),
      congestion: beat(frequency, 0, congestion, congestion))
  }

  /// The precise tone plan of North America.
  static let precise = CallProgressPlan(
    dial: steady(350, 440), ringback: beat(440, 480, 2_000, 4_000), busy: beat(480, 620, 500, 500),
    congestion: beat(480, 620, 250, 250))
}

extension CadencedTone {
  /// The tone as a telephone network sends it: one frequency at -16 dBm0, two at -19 dBm0 each.
  package init(_ tone: CallProgressTone, sampleRate: Int) {
    self.init(segments: tone.segments, sampleRate: sampleRate)
  }
}
