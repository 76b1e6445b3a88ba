/// A place in a bit string, highest bit first. A read past the end gives zero and is remembered.
private struct BitCursor {
  private var position = 0
  private(set) var isExhausted = false

  /// At most 32 bits.
  mutating func read(_ count: Int, _ bytes: RawSpan) -> UInt32 {
    guard position + count <= bytes.byteCount * 8 else {
      isExhausted = true
      return 0
    }
    var value: UInt32 = 0
    for _ in 0..<count {
      value = value << 1 | UInt32(bytes.u8(position >> 3) >> UInt8(7 - position & 7) & 1)
      position += 1
    }
    return value
  }

  mutating func flag(_ bytes: RawSpan) -> Bool { read(1, bytes) == 1 }

  /// `ns(n)`: a value below `n` in as few bits as that takes.
  mutating func nonSymmetric(_ n: UInt32, _ bytes: RawSpan) -> UInt32 {
    guard n > 1 else { return 0 }
    let width = 32 - n.leadingZeroBitCount
    let short = UInt32(1) << UInt32(width) - n
    let value = read(width - 1, bytes)
    return value < short ? value : value << 1 - short + read(1, bytes)
  }
}

extension DependencyDescriptor {
  /// Parses an element of the header extension.
  ///
  /// - Parameter structure: The stream's latest.
  /// - Returns: The descriptor and the structure that came with it, if one did; nil for a malformed element, and for one
  ///   that needs a structure which is not there.
  package static func parse(
    _ element: RawSpan, structure known: DependencyStructure?
  ) -> (DependencyDescriptor, DependencyStructure?)? {
    guard element.byteCount >= 3 else { return nil }
    let head = element.u8(0)
    var cursor = BitCursor()
    _ = cursor.read(24, element)
    var fresh: DependencyStructure?
    var activeDecodeTargets: UInt32?
    var hasCustomIndications = false
    var hasCustomDifferences = false
    if element.byteCount > 3 {
      let flags = cursor.read(5, element)
      hasCustomIndications = flags & 0x04 != 0
      hasCustomDifferences = flags & 0x02 != 0
      if flags & 0x10 != 0 {
        guard let parsed = parseStructure(element, &cursor) else { return nil }
        activeDecodeTargets = UInt32(truncatingIfNeeded: (UInt64(1) << UInt64(parsed.decodeTargets.count)) - 1)
        fresh = parsed
      }
      if flags & 0x08 != 0 {
        guard let count = fresh?.decodeTargets.count ?? known?.decodeTargets.count else { return nil }
        activeDecodeTargets = cursor.read(count, element)
      }
    }
    // Without `??`: the known structure must not be copied.
    let place = fresh.map { $0.place(head & 0x3F) } ?? known?.place(head & 0x3F)
    guard let place = place ?? nil else { return nil }
    var indications = place.indications
    if hasCustomIndications {
      indications = 0
      for target in 0..<place.decodeTargetCount {
        indications |= UInt64(cursor.read(2, element)) << UInt64(2 * target)
      }
    }
    var isIntra = place.isIntra
    if hasCustomDifferences {
      isIntra = true
      while true {
        let size = Int(cursor.read(2, element))
        if size == 0 { break }
        isIntra = false
        _ = cursor.read(4 * size, element)
      }
    }
    guard !cursor.isExhausted else { return nil }
    let descriptor = DependencyDescriptor(
      startsFrame: head & 0x80 != 0, endsFrame: head & 0x40 != 0, templateID: head & 0x3F,
      frameNumber: element.u16(frameNumberOffset), spatialLayer: place.spatialLayer,
      temporalLayer: place.temporalLayer, indications: indications,
      decodeTargetCount: UInt8(truncatingIfNeeded: place.decodeTargetCount), isIntra: isIntra,
      hasStructure: fresh != nil, activeDecodeTargets: activeDecodeTargets)
    return (descriptor, fresh)
  }

  package static func parse(
    _ element: UnsafeRawBufferPointer, structure: DependencyStructure?
  ) -> (DependencyDescriptor, DependencyStructure?)? {
    parse(element.bytes, structure: structure)
  }

  /// Every decode target that has the frame may be switched to here.
  package var isSwitch: Bool {
    // The high bit of each pair is set for "switch" (2) and "required" (3), the low one for the latter.
    let low = indications & 0x5555_5555_5555_5555
    let high = indications >> 1 & 0x5555_5555_5555_5555
    return high & ~low != 0 && high & low == 0
  }

  /// `template_dependency_structure()`.
  private static func parseStructure(_ bytes: RawSpan, _ cursor: inout BitCursor) -> DependencyStructure? {
    let offset = UInt8(cursor.read(6, bytes))
    let targetCount = Int(cursor.read(5, bytes)) + 1
    guard var templates = parseLayers(bytes, &cursor) else { return nil }
    for index in templates.indices {
      for target in 0..<targetCount {
        templates[index].indications |= UInt64(cursor.read(2, bytes)) << UInt64(2 * target)
      }
    }
    for index in templates.indices {
      while cursor.flag(bytes) { templates[index].frameDifferences.append(UInt16(cursor.read(4, bytes) + 1)) }
    }
    let chains = cursor.nonSymmetric(UInt32(targetCount) + 1, bytes)
    if chains > 0 {
      for _ in 0..<targetCount { _ = cursor.nonSymmetric(chains, bytes) }
      for _ in templates { for _ in 0..<chains { _ = cursor.read(4, bytes) } }
    }
    var targets: [DependencyStructure.DecodeTarget] = []
    for target in 0..<targetCount {
      var layers = DependencyStructure.DecodeTarget(spatialLayer: 0, temporalLayer: 0)
      for template in templates where template.indications >> UInt64(2 * target) & 3 != 0 {
        layers.spatialLayer = max(layers.spatialLayer, Int(template.spatialLayer))
        layers.temporalLayer = max(layers.temporalLayer, Int(template.temporalLayer))
      }
      targets.append(layers)
    }
    var resolutions: [DependencyStructure.Resolution] = []
    if cursor.flag(bytes) {
      for _ in 0...(templates.last?.spatialLayer ?? 0) {
        let width = Int(cursor.read(16, bytes)) + 1
        resolutions.append(.init(width: width, height: Int(cursor.read(16, bytes)) + 1))
      }
    }
    guard !cursor.isExhausted else { return nil }
    return DependencyStructure(
      templateIDOffset: offset, templates: templates, decodeTargets: targets, chainCount: Int(chains),
      resolutions: resolutions)
  }

  /// `template_layers()`: 64 templates at most, as their identifiers have six bits.
  private static func parseLayers(_ bytes: RawSpan, _ cursor: inout BitCursor) -> [DependencyStructure.Template]? {
    var templates: [DependencyStructure.Template] = []
    var spatial: UInt8 = 0
    var temporal: UInt8 = 0
    while true {
      guard templates.count < 64, !cursor.isExhausted else { return nil }
      templates.append(
        .init(spatialLayer: spatial, temporalLayer: temporal, indications: 0, frameDifferences: []))
      switch cursor.read(2, bytes) {
      case 1: temporal += 1
      case 2:
        temporal = 0
        spatial += 1
      case 3: return templates
      default: break
      }
    }
  }
}

extension DependencyStructure {
  fileprivate struct Place {
    var spatialLayer: UInt8
    var temporalLayer: UInt8
    var indications: UInt64
    var isIntra: Bool
    var decodeTargetCount: Int
  }

  /// The template that an identifier names; nil where there is none.
  fileprivate func place(_ templateID: UInt8) -> Place? {
    let index = Int((templateID &+ 64 &- templateIDOffset) & 63)
    guard index < templates.count else { return nil }
    return Place(
      spatialLayer: templates[index].spatialLayer, temporalLayer: templates[index].temporalLayer,
      indications: templates[index].indications, isIntra: templates[index].frameDifferences.isEmpty,
      decodeTargetCount: decodeTargets.count)
  }
}
