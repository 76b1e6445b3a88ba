/// The AV1 dependency descriptor of one packet (AV1 RTP specification, appendix A), as far as forwarding needs it.
///
/// Holds no bytes. Offsets count from the start of the extension element.
package struct DependencyDescriptor: Hashable, Sendable {
  /// Where the 16-bit frame number stands in the element.
  package static let frameNumberOffset = 1

  package var startsFrame: Bool
  package var endsFrame: Bool
  /// `frame_dependency_template_id`, modulo 64.
  package var templateID: UInt8
  package var frameNumber: UInt16
  package var spatialLayer: UInt8
  package var temporalLayer: UInt8
  /// Two bits a decode target, target 0 in the lowest: see `indication(_:)`.
  package var indications: UInt64
  package var decodeTargetCount: UInt8
  /// The frame refers to no other.
  package var isIntra: Bool
  /// A template structure came with this packet: a key frame's first packet.
  package var hasStructure: Bool
  /// Changed with this packet; nil where it stays.
  package var activeDecodeTargets: UInt32?

  package init(
    startsFrame: Bool, endsFrame: Bool, templateID: UInt8, frameNumber: UInt16, spatialLayer: UInt8,
    temporalLayer: UInt8, indications: UInt64, decodeTargetCount: UInt8, isIntra: Bool, hasStructure: Bool,
    activeDecodeTargets: UInt32?
  ) {
    self.startsFrame = startsFrame
    self.endsFrame = endsFrame
    self.templateID = templateID
    self.frameNumber = frameNumber
    self.spatialLayer = spatialLayer
    self.temporalLayer = temporalLayer
    self.indications = indications
    self.decodeTargetCount = decodeTargetCount
    self.isIntra = isIntra
    self.hasStructure = hasStructure
    self.activeDecodeTargets = activeDecodeTargets
  }

  /// What the frame is to a decode target.
  package enum Indication: UInt8, Sendable {
    /// May be dropped for that target.
    case notPresent = 0
    /// No later frame of the target refers to it.
    case discardable = 1
    /// A decoder may start the target here.
    case switching = 2
    case required = 3
  }

  /// `.notPresent` for targets that do not exist.
  package func indication(_ target: Int) -> Indication {
    guard target >= 0, target < Int(decodeTargetCount) else { return .notPresent }
    return Indication(rawValue: UInt8(truncatingIfNeeded: indications >> UInt64(2 * target)) & 3) ?? .notPresent
  }
}

/// The template structure that a key frame brings; later packets refer to it.
package struct DependencyStructure: Hashable, Sendable {
  package struct Template: Hashable, Sendable {
    package var spatialLayer: UInt8
    package var temporalLayer: UInt8
    package var indications: UInt64
    /// Distances in frame numbers to the frames that this one refers to.
    package var frameDifferences: [UInt16]

    package init(spatialLayer: UInt8, temporalLayer: UInt8, indications: UInt64, frameDifferences: [UInt16]) {
      self.spatialLayer = spatialLayer
      self.temporalLayer = temporalLayer
      self.indications = indications
      self.frameDifferences = frameDifferences
    }
  }

  /// What one decode target shows.
  package struct DecodeTarget: Hashable, Sendable {
    package var spatialLayer: Int
    package var temporalLayer: Int

    package init(spatialLayer: Int, temporalLayer: Int) {
      self.spatialLayer = spatialLayer
      self.temporalLayer = temporalLayer
    }
  }

  /// 0…63: identifier of the first template.
  package var templateIDOffset: UInt8
  package var templates: [Template]
  package var decodeTargets: [DecodeTarget]
  package var chainCount: Int
  /// Pixels a spatial layer; empty where the structure carries none.
  package var resolutions: [Resolution]

  package struct Resolution: Hashable, Sendable {
    package var width: Int
    package var height: Int

    package init(width: Int, height: Int) {
      self.width = width
      self.height = height
    }
  }

  package init(
    templateIDOffset: UInt8, templates: [Template], decodeTargets: [DecodeTarget], chainCount: Int,
    resolutions: [Resolution]
  ) {
    self.templateIDOffset = templateIDOffset
    self.templates = templates
    self.decodeTargets = decodeTargets
    self.chainCount = chainCount
    self.resolutions = resolutions
  }

  /// The decode target that shows just these layers, or the best one below them.
  package func decodeTarget(spatialLayer: Int, temporalLayer: Int) -> Int? {
    var best: Int?
    for (index, target) in decodeTargets.enumerated()
    where target.spatialLayer <= spatialLayer && target.temporalLayer <= temporalLayer {
      guard let current = best.map({ decodeTargets[$0] }) else {
        best = index
        continue
      }
      if (target.spatialLayer, target.temporalLayer) > (current.spatialLayer, current.temporalLayer) { best = index }
    }
    return best
  }
}
