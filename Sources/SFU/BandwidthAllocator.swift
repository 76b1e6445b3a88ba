import Core

/// What one allocation settled.
struct Allocation: Sendable {
  struct Share: Hashable, Sendable {
    var id: ConsumerID
    var target: LayerTarget
    /// Expected, bits a second.
    var bitrate: Int
  }

  /// Of video, in the order of the demands.
  var shares: [Share] = []
  /// Audio and what video was given.
  var used = 0
  /// What would satisfy everybody, margins included; more than the target where somebody went short for want of it.
  var wanted = 0
}

/// Spends a peer's bandwidth over its consumers: audio before all, then the smallest picture for everybody, then better
/// pictures by rank (explicit priority, screen share, speaker), one step at a time among equals. Whose smallest picture
/// does not fit is paused.
///
/// A pure function but for its memory of what it decided before: going up needs a margin and some time since the last
/// way down, and twice as long when the last step up did not last.
struct BandwidthAllocator: Sendable {
  /// Kept for audio at the least, bits a second: talkers come and go.
  static let audioReserve = 20_000
  /// A step up must leave this much, of its cost.
  private static let upMargin = 1.15
  private static let resumeMargin = 1.1
  /// What is held already may cost a little more than there is.
  private static let holdMargin = 0.9
  private static let upDelay: ClosedRange<Duration> = .seconds(2) ... .seconds(16)
  /// A step up that was taken back within this time did not last.
  private static let trial = Duration.seconds(5)
  /// Encoders spend their bits in bursts; layers are chosen by what they cost over this time.
  private static let smoothing = 2.0
  /// The smallest picture is held for so long though it does not fit: to pause costs a key frame and seconds.
  private static let pauseDelay = Duration.milliseconds(800)
  /// And for so long after it began: its key frame is a burst that the estimate has to get over.
  private static let beginning = Duration.milliseconds(2500)
  /// Assumed of pictures that were not measured yet.
  private static let assumed = [150_000, 500_000, 1_700_000]

  private struct Memory: Sendable {
    var target = LayerTarget.paused
    var isNew = true
    var raisedAt: Instant?
    var loweredAt: Instant?
    /// What the layers cost, over the last seconds.
    var bitrates = LayerBitrates()
    var measuredAt: Instant?
    /// Since when the smallest picture does not fit.
    var shortSince: Instant?
    var delay = BandwidthAllocator.upDelay.lowerBound
  }

  private struct Step {
    var target: LayerTarget
    var cost: Int
  }

  private struct Claim {
    var index: Int
    var rank: Int
    var steps: [Step]
    /// −1 is paused.
    var held: Int
    var given = -1
    var mayRise: Bool
  }

  private var memory: [ConsumerID: Memory] = [:]

  init() {}

  mutating func forget(_ id: ConsumerID) { memory[id] = nil }

  /// - Parameters:
  ///   - target: Bits a second for everything; nil where nothing limits.
  ///   - audio: Bits a second of audio that are being sent: of many who could talk only a few are forwarded.
  mutating func allocate(target: Int?, audio: Int, demands: [BandwidthDemand], now: Instant) -> Allocation {
    var allocation = Allocation()
    let hasAudio = demands.contains { $0.kind == .audio && !$0.isIdle }
    let reserve = max(audio + audio / 32, hasAudio ? Self.audioReserve : 0)
    var claims: [Claim] = []
    for (index, demand) in demands.enumerated() where demand.kind == .video && !demand.isIdle {
      var demand = demand
      smooth(&demand, now: now)
      claims.append(claim(demand, index: index, isLimited: target != nil, now: now))
    }
    claims.sort { ($0.rank, demands[$0.index].id.rawValue) < ($1.rank, demands[$1.index].id.rawValue) }

    var left = target.map { $0 - reserve } ?? .max / 2
    give(&claims, left: &left)

    allocation.used = reserve
    allocation.wanted = reserve
    claims.sort { $0.index < $1.index }
    for index in claims.indices {
      let id = demands[claims[index].index].id
      hold(&claims[index], id, now: now)
      let claim = claims[index]
      let step = claim.given >= 0 ? claim.steps[claim.given] : Step(target: .paused, cost: 0)
      remember(id, claim: claim, target: step.target, now: now)
      allocation.shares.append(Allocation.Share(id: id, target: step.target, bitrate: step.cost))
      allocation.used += step.cost
      allocation.wanted +=
        claim.steps.last.map { top in
          // Who went short needs the margin too.
          claim.given + 1 == claim.steps.count ? max(top.cost, unmeasured(demands[claim.index])) : top.cost * 13 / 10
        } ?? 0
    }
    return allocation
  }

  private func give(_ claims: inout [Claim], left: inout Int) {
    // Everybody's smallest picture, by rank.
    for i in claims.indices where !claims[i].steps.isEmpty { _ = raise(&claims[i], left: &left) }
    // Then better ones: a rank at a time, round by round.
    var start = 0
    while start < claims.count {
      var end = start
      while end < claims.count, claims[end].rank == claims[start].rank { end += 1 }
      var isRaising = true
      while isRaising {
        isRaising = false
        for i in start..<end where claims[i].given >= 0 && claims[i].given + 1 < claims[i].steps.count {
          if raise(&claims[i], left: &left) { isRaising = true }
        }
      }
      start = end
    }
  }

  /// One step up, if it fits; steps that do not fit are passed over for those above (a better picture may cost less).
  private func raise(_ claim: inout Claim, left: inout Int) -> Bool {
    let next = claim.given + 1
    let cost = claim.steps[next].cost
    let paid = claim.given >= 0 ? claim.steps[claim.given].cost : 0
    let margin =
      if next <= claim.held { Self.holdMargin } else if claim.held < 0 { Self.resumeMargin } else { Self.upMargin }
    guard next <= claim.held || claim.mayRise else { return false }
    guard Int(Double(cost) * margin) - paid <= left else { return false }
    claim.given = next
    left -= cost - paid
    return true
  }

  private func claim(_ demand: BandwidthDemand, index: Int, isLimited: Bool, now: Instant) -> Claim {
    let past = memory[demand.id] ?? Memory()
    let steps = Self.steps(of: demand, isLimited: isLimited)
    var held = -1
    if case .layer(let spatial, let temporal) = past.target {
      // The best step that is no better than what is held.
      held =
        steps.lastIndex {
          guard case .layer(let s, let t) = $0.target else { return false }
          return (s, t) <= (spatial, temporal)
        } ?? (steps.isEmpty ? -1 : 0)
    }
    let mayRise = past.isNew || !isLimited || (past.loweredAt.map { now - $0 >= past.delay } ?? true)
    return Claim(
      index: index, rank: Self.rank(of: demand), steps: steps, held: past.isNew ? 0 : held, mayRise: mayRise)
  }

  /// 0 is served first.
  private static func rank(of demand: BandwidthDemand) -> Int {
    if demand.priority > 0 { return min(demand.priority - 1, 1000) }
    if demand.isScreenShare { return 1001 }
    return demand.isSpeaking ? 1002 : 1003
  }

  /// What can be had, by rising quality and cost: a step that costs more than a better one is left out.
  private static func steps(of demand: BandwidthDemand, isLimited: Bool) -> [Step] {
    let spatials = 0...min(max(demand.maximumSpatialLayer, 0), LayerBitrates.spatialCount - 1)
    let temporal = min(max(demand.maximumTemporalLayer, 0), LayerBitrates.temporalCount - 1)
    guard isLimited, !demand.bitrates.isEmpty else {
      // Nothing to weigh: what was asked for; the smallest picture until its cost is known.
      let spatial = isLimited ? 0 : spatials.upperBound
      return [Step(target: .layer(spatial: spatial, temporal: temporal), cost: 0)]
    }
    var steps: [Step] = []
    for s in spatials {
      var top = temporal
      while top > 0, demand.bitrates[s, top] == 0 { top -= 1 }
      for t in 0...top {
        let cost = demand.bitrates[s, t]
        guard cost > 0 else { continue }
        // Above the smallest picture a camera's motion is not given up below half the frame rate.
        if s > 0, !demand.isScreenShare, t < top - 1 { continue }
        while let last = steps.last, last.cost >= cost { steps.removeLast() }
        // The highest temporal layer there is stands for all above it.
        steps.append(Step(target: .layer(spatial: s, temporal: t == top ? temporal : t), cost: cost))
      }
    }
    return steps
  }

  private func unmeasured(_ demand: BandwidthDemand) -> Int {
    demand.bitrates.isEmpty ? Self.assumed[min(max(demand.maximumSpatialLayer, 0), 2)] : 0
  }

  /// Puts the bitrates of the last seconds in the place of the latest.
  private mutating func smooth(_ demand: inout BandwidthDemand, now: Instant) {
    var past = memory[demand.id] ?? Memory()
    let weight = past.measuredAt.map { min(max((now - $0).inSeconds / Self.smoothing, 0), 1) } ?? 1
    for spatial in 0..<LayerBitrates.spatialCount {
      for temporal in 0..<LayerBitrates.temporalCount {
        let latest = demand.bitrates[spatial, temporal]
        let old = past.bitrates[spatial, temporal]
        // A layer that comes or goes does so at once.
        guard latest > 0, old > 0 else {
          past.bitrates[spatial, temporal] = latest
          continue
        }
        past.bitrates[spatial, temporal] = old + Int(Double(latest - old) * weight)
      }
    }
    past.measuredAt = now
    demand.bitrates = past.bitrates
    memory[demand.id] = past
  }

  /// Gives the smallest picture for a moment more to who has one and should be paused.
  private mutating func hold(_ claim: inout Claim, _ id: ConsumerID, now: Instant) {
    guard var past = memory[id], claim.given < 0, claim.held >= 0, !claim.steps.isEmpty, past.target != .paused else {
      memory[id]?.shortSince = nil
      return
    }
    let since = past.shortSince ?? now
    past.shortSince = since
    memory[id] = past
    let hasBegun = past.raisedAt.map { now - $0 < Self.beginning } ?? false
    if hasBegun || now - since < Self.pauseDelay { claim.given = 0 }
  }

  private mutating func remember(_ id: ConsumerID, claim: Claim, target: LayerTarget, now: Instant) {
    var past = memory[id] ?? Memory()
    if past.isNew {
      past.isNew = false
      past.raisedAt = now
    } else if claim.given > claim.held {
      past.raisedAt = now
    } else if claim.given < claim.held {
      let lasted = past.raisedAt.map { now - $0 } ?? .seconds(60)
      past.delay =
        lasted < Self.trial ? min(past.delay * 2, Self.upDelay.upperBound) : Self.upDelay.lowerBound
      past.loweredAt = now
    } else if let raised = past.raisedAt, now - raised > .seconds(30) {
      past.delay = Self.upDelay.lowerBound
    }
    past.target = target
    memory[id] = past
  }
}
