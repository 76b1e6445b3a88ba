/// Whose tones are heard: a country by its ISO 3166 code, or `itu` for what E.180 recommends to all.
package enum CallProgressCountry: String, Hashable, Sendable, CaseIterable {
  case itu
  case australia = "au"
  case austria = "at"
  case belgium = "be"
  case brazil = "br"
  case bulgaria = "bg"
  case canada = "ca"
  case chile = "cl"
  case china = "cn"
  case czechia = "cz"
  case denmark = "dk"
  case estonia = "ee"
  case finland = "fi"
  case france = "fr"
  case germany = "de"
  case greece = "gr"
  case hungary = "hu"
  case india = "in"
  case ireland = "ie"
  case israel = "il"
  case italy = "it"
  case japan = "jp"
  case lithuania = "lt"
  case malaysia = "my"
  case mexico = "mx"
  case netherlands = "nl"
  case newZealand = "nz"
  case norway = "no"
  case poland = "pl"
  case portugal = "pt"
  case russia = "ru"
  case singapore = "sg"
  case southAfrica = "za"
  case spain = "es"
  case sweden = "se"
  case switzerland = "ch"
  case taiwan = "tw"
  case unitedKingdom = "gb"
  case unitedStates = "us"
}

extension CallProgressCountry {
  /// The table of E.180 Supplement 2, and of the national standards where they are newer.
  var plan: CallProgressPlan {
    typealias Plan = CallProgressPlan
    switch self {
    case .unitedStates, .canada: return .precise
    case .itu, .denmark, .switzerland: return .plain(425)
    case .germany: return .plain(425, busy: 480, congestion: 240)
    case .austria: return .plain(420, ring: (1_000, 5_000), busy: 400, congestion: 200)
    case .belgium: return .plain(425, ring: (1_000, 3_000), congestion: 167)
    case .netherlands: return .plain(425, congestion: 250)
    case .france: return .plain(440, ring: (1_500, 3_500), congestion: 250)
    case .norway: return .plain(425)
    case .finland, .estonia: return .plain(425, busy: 300)
    case .poland: return .plain(425, congestion: 500)
    case .portugal: return .plain(425, ring: (1_000, 5_000))
    case .hungary: return .plain(425, ring: (1_250, 3_750), busy: 300, congestion: 300)
    case .bulgaria: return .plain(425, congestion: 250)
    case .lithuania: return .plain(425, busy: 350)
    case .russia: return .plain(425, busy: 350, congestion: 175)
    case .chile: return .plain(400, ring: (1_000, 3_000))
    case .china: return .plain(450, busy: 350, congestion: 700)
    case .mexico: return .plain(425, busy: 250, congestion: 250)
    case .israel: return .plain(414, ring: (1_000, 3_000), congestion: 250)
    case .sweden:
      var plan = Plan.plain(425, ring: (1_000, 5_000), busy: 250)
      plan.congestion = Plan.beat(425, 0, 250, 750)
      return plan
    case .czechia:
      var plan = Plan.plain(425, busy: 330, congestion: 165)
      plan.dial = Plan.beat(425, 0, 330, 330, 660, 660)
      return plan
    case .greece:
      var plan = Plan.plain(425, busy: 300)
      plan.dial = Plan.beat(425, 0, 200, 300, 700, 800)
      return plan
    case .italy:
      var plan = Plan.plain(425)
      plan.dial = Plan.beat(425, 0, 200, 200, 600, 1_000)
      return plan
    case .spain:
      var plan = Plan.plain(425, ring: (1_500, 3_000), busy: 200)
      plan.congestion = Plan.beat(425, 0, 200, 200, 200, 200, 200, 600)
      return plan
    case .brazil:
      var plan = Plan.plain(425, busy: 250)
      plan.congestion = Plan.beat(425, 0, 250, 250, 750, 250)
      return plan
    case .unitedKingdom:
      return Plan(
        dial: Plan.steady(350, 440), ringback: Plan.doubleRing(400, 450), busy: Plan.beat(400, 0, 375, 375),
        congestion: Plan.beat(400, 0, 400, 350, 225, 525))
    case .ireland:
      return Plan(
        dial: Plan.steady(425), ringback: Plan.doubleRing(400, 450), busy: Plan.beat(425, 0, 500, 500),
        congestion: Plan.beat(425, 0, 250, 250))
    case .australia:
      return Plan(
        dial: Plan.steady(413, 438), ringback: Plan.doubleRing(413, 438), busy: Plan.beat(425, 0, 375, 375),
        congestion: Plan.beat(425, 0, 375, 375), information: Plan.beat(425, 0, 2_500, 500))
    case .newZealand:
      return Plan(
        dial: Plan.steady(400), ringback: Plan.doubleRing(400, 450), busy: Plan.beat(400, 0, 500, 500),
        congestion: Plan.beat(400, 0, 250, 250), information: Plan.beat(400, 0, 750, 100, 750, 100, 750, 100, 750, 400))
    case .india:
      // 400 Hz modulated by 25 Hz.
      return Plan(
        dial: Plan.steady(387.5, 412.5), ringback: Plan.doubleRing(387.5, 412.5), busy: Plan.beat(400, 0, 750, 750),
        congestion: Plan.beat(400, 0, 250, 250))
    case .malaysia:
      return Plan(
        dial: Plan.steady(425), ringback: Plan.doubleRing(425, 0), busy: Plan.beat(425, 0, 500, 500),
        congestion: Plan.beat(425, 0, 500, 500))
    case .singapore:
      // The ring is 425 Hz modulated by 24 Hz.
      return Plan(
        dial: Plan.steady(425), ringback: Plan.doubleRing(413, 437), busy: Plan.beat(425, 0, 750, 750),
        congestion: Plan.beat(425, 0, 250, 250))
    case .southAfrica:
      // 400 Hz modulated by 33 Hz.
      return Plan(
        dial: Plan.steady(383.5, 416.5), ringback: Plan.doubleRing(383.5, 416.5), busy: Plan.beat(400, 0, 500, 500),
        congestion: Plan.beat(400, 0, 250, 250))
    case .japan:
      // The ring is 400 Hz modulated by 16 Hz.
      return Plan(
        dial: Plan.steady(400), ringback: Plan.beat(392, 408, 1_000, 2_000), busy: Plan.beat(400, 0, 500, 500),
        congestion: Plan.beat(400, 0, 500, 500))
    case .taiwan:
      var plan = Plan.precise
      plan.ringback = Plan.beat(440, 480, 1_000, 2_000)
      return plan
    }
  }
}
