import RTP

/// Drops the layers of a stream whose packets carry the dependency descriptor (AV1 RTP specification, appendix A) by
/// decode targets: a frame goes through when the target that is shown needs it.
///
/// Keeps for each target whether all its frames went through, so that no switch, up or down, ever breaks a reference.
struct DecodeTargetSelector: Sendable {
  /// The target that goes through.
  private(set) var current = 0
  /// What the current target shows.
  private(set) var spatial = 0
  private(set) var temporal = 0
  /// The target that is wanted, by the structure; nil before the first one.
  private(set) var desired: Int?
  // Bit d: target d could be decoded from what went through.
  private var intact: UInt32 = 0
  private var active: UInt32 = .max
  private var wantedSpatial = -1
  private var wantedTemporal = -1
  private var lastTimestamp: UInt32 = 0
  // A frame's verdict: bit 0 passes, bit 1 is of the highest spatial layer shown.
  private var frames = PictureLog()
  // Where `current` was settled on, if what is older belongs to the one before; that one.
  private var settledAt = Int64.min
  private var before = 0

  init() {}

  /// A source joins at a key frame with a structure.
  mutating func begin() {
    frames.removeAll()
    settledAt = .min
    intact = 0
    active = .max
    wantedSpatial = -1
  }

  /// The wanted target cannot be reached now: not before a key frame, or before a switching point if only its frame rate
  /// is higher.
  var isPending: Bool { desired.map { $0 != current && intact >> UInt32($0) & 1 == 0 } ?? false }
  /// The wanted target shows another size.
  private(set) var wantsOtherSize = false

  mutating func select(
    _ packet: borrowing RoutedPacket, _ descriptor: DependencyDescriptor, from stream: ProducerStream, spatial: Int,
    temporal: Int, isInOrder: Bool
  ) -> LayerSelector.Decision {
    let key = UInt32(descriptor.frameNumber)
    let verdict: UInt8
    if let known = frames.verdict(key, isInOrder: isInOrder) {
      verdict = known
    } else {
      verdict = decide(packet, descriptor, stream, spatial, temporal, isInOrder)
      frames.append(key, verdict)
    }
    guard verdict & 1 != 0 else { return .drop }
    return verdict & 2 != 0 && descriptor.endsFrame ? .forwardMarked : .forward
  }

  private mutating func decide(
    _ packet: borrowing RoutedPacket, _ descriptor: DependencyDescriptor, _ stream: ProducerStream, _ spatial: Int,
    _ temporal: Int, _ isInOrder: Bool
  ) -> UInt8 {
    let count = Int(descriptor.decodeTargetCount)
    let beginsUnit = packet.header.timestamp != lastTimestamp
    if isInOrder {
      lastTimestamp = packet.header.timestamp
      if let mask = descriptor.activeDecodeTargets, mask != active {
        active = mask
        wantedSpatial = -1
      }
      if descriptor.hasStructure || spatial != wantedSpatial || temporal != wantedTemporal {
        wantedSpatial = spatial
        wantedTemporal = temporal
        choose(stream)
      }
      if descriptor.hasStructure, descriptor.isIntra {
        intact = ~0
        settle(stream, at: packet.extendedSequence)
      } else if let desired, desired != current {
        let isIntact = intact >> UInt32(desired) & 1 != 0
        // A frame that goes through anyway, from which on the wanted target is whole.
        let isSwitch = descriptor.indication(desired) == .switching && descriptor.indication(current) != .notPresent
        if isSwitch {
          settle(stream, at: packet.extendedSequence)
        } else if isIntact, beginsUnit {
          // Everything of it went through so far: what is late is needed too.
          settle(stream, at: .min)
        }
      }
    }
    var passes = descriptor.indication(current) != .notPresent || count == 0
    // What is older than the last switch may refer to what was left out before.
    if packet.extendedSequence < settledAt, descriptor.indication(before) == .notPresent { passes = false }
    for target in 0..<min(count, 32) {
      let bit = UInt32(1) << UInt32(target)
      switch descriptor.indication(target) {
      case .notPresent: break
      case .switching:
        if !passes { intact &= ~bit } else if isInOrder { intact |= bit }
      case .discardable: break
      case .required: if !passes { intact &= ~bit }
      }
    }
    return (passes ? 1 : 0) | (Int(descriptor.spatialLayer) >= self.spatial ? 2 : 0)
  }

  private mutating func choose(_ stream: ProducerStream) {
    guard let structure = stream.dependencyStructure else {
      desired = nil
      return
    }
    desired = target(in: structure)
    wantsOtherSize = desired.map { structure.decodeTargets[$0].spatialLayer != self.spatial } ?? false
  }

  /// Goes to the wanted target.
  private mutating func settle(_ stream: ProducerStream, at sequence: Int64) {
    guard let desired else { return }
    if desired != current {
      before = current
      settledAt = sequence
    }
    current = desired
    wantsOtherSize = false
    guard let structure = stream.dependencyStructure, desired < structure.decodeTargets.count else { return }
    spatial = structure.decodeTargets[desired].spatialLayer
    temporal = structure.decodeTargets[desired].temporalLayer
  }

  /// The best active target within the wanted layers; the least one where none lies within.
  private func target(in structure: DependencyStructure) -> Int? {
    var best: Int?
    var least: Int?
    for index in structure.decodeTargets.indices.prefix(32) where active >> UInt32(index) & 1 != 0 {
      let candidate = structure.decodeTargets[index]
      if isLess(candidate, least.map { structure.decodeTargets[$0] }, orNil: true) { least = index }
      guard candidate.spatialLayer <= wantedSpatial, candidate.temporalLayer <= wantedTemporal else { continue }
      if !isLess(candidate, best.map { structure.decodeTargets[$0] }, orNil: false) { best = index }
    }
    return best ?? least
  }

  private func isLess(
    _ a: DependencyStructure.DecodeTarget, _ b: DependencyStructure.DecodeTarget?, orNil: Bool
  ) -> Bool {
    guard let b else { return orNil }
    return (a.spatialLayer, a.temporalLayer) < (b.spatialLayer, b.temporalLayer)
  }
}
