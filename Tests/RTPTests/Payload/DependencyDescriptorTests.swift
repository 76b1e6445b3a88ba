import RTP
import Testing

/// Writes bits, highest first.
private struct BitWriter {
  var bits: [UInt8] = []

  mutating func write(_ value: Int, _ count: Int) {
    for shift in stride(from: count - 1, through: 0, by: -1) { bits.append(UInt8(value >> shift & 1)) }
  }

  var bytes: [UInt8] {
    stride(from: 0, to: bits.count, by: 8).map { start in
      (0..<8).reduce(UInt8(0)) { $0 << 1 | (start + $1 < bits.count ? bits[start + $1] : 0) }
    }
  }
}

@Suite struct DependencyDescriptorTests {
  /// Start, end, template, frame number.
  private func mandatory(_ first: Bool, _ last: Bool, template: Int, frame: Int) -> BitWriter {
    var writer = BitWriter()
    writer.write(first ? 1 : 0, 1)
    writer.write(last ? 1 : 0, 1)
    writer.write(template, 6)
    writer.write(frame, 16)
    return writer
  }

  /// Two spatial and two temporal layers, four decode targets, two chains, template identifiers from 60 on (they wrap).
  /// Templates: key S0T0, S0T0, S0T1, key S1T0, S1T0, S1T1.
  private func keyFrame(frame: Int = 0x0102, resolutions: Bool = true) -> [UInt8] {
    var writer = mandatory(true, false, template: 60, frame: frame)
    writer.write(0b10000, 5)
    writer.write(60, 6)
    writer.write(3, 5)
    for idc in [0, 1, 2, 0, 1, 3] { writer.write(idc, 2) }
    for row in [[2, 2, 2, 2], [3, 3, 3, 3], [0, 1, 0, 1], [0, 0, 2, 2], [0, 0, 3, 3], [0, 0, 0, 1]] {
      for indication in row { writer.write(indication, 2) }
    }
    for differences in [[], [4], [2], [1], [4, 1], [2, 1]] as [[Int]] {
      for difference in differences {
        writer.write(1, 1)
        writer.write(difference - 1, 4)
      }
      writer.write(0, 1)
    }
    // ns(5): two chains. Values 0…2 take two bits.
    writer.write(2, 2)
    for chain in [0, 0, 1, 1] { writer.write(chain, 1) }
    for _ in 0..<6 { writer.write(0, 8) }
    writer.write(resolutions ? 1 : 0, 1)
    if resolutions {
      for size in [319, 179, 639, 359] { writer.write(size, 16) }
    }
    return writer.bytes
  }

  private func parse(_ bytes: [UInt8], _ structure: DependencyStructure? = nil) -> (
    DependencyDescriptor, DependencyStructure?
  )? {
    DependencyDescriptor.parse(bytes.span.bytes, structure: structure)
  }

  @Test func readsTheStructureOfAKeyFrame() throws {
    let (descriptor, fresh) = try #require(parse(keyFrame()))
    let structure = try #require(fresh)
    #expect(descriptor.startsFrame && !descriptor.endsFrame && descriptor.frameNumber == 0x0102)
    #expect(descriptor.hasStructure && descriptor.isIntra && descriptor.isSwitch)
    #expect(descriptor.activeDecodeTargets == 0b1111 && descriptor.decodeTargetCount == 4)
    #expect(structure.templates.map(\.spatialLayer) == [0, 0, 0, 1, 1, 1])
    #expect(structure.templates.map(\.temporalLayer) == [0, 0, 1, 0, 0, 1])
    #expect(structure.templates.map(\.frameDifferences) == [[], [4], [2], [1], [4, 1], [2, 1]])
    #expect(structure.chainCount == 2)
    #expect(structure.resolutions == [.init(width: 320, height: 180), .init(width: 640, height: 360)])
    let expected = [(0, 0), (0, 1), (1, 0), (1, 1)].map {
      DependencyStructure.DecodeTarget(spatialLayer: $0.0, temporalLayer: $0.1)
    }
    #expect(structure.decodeTargets == expected)
  }

  @Test func looksLaterPacketsUpInTheStructure() throws {
    let structure = try #require(parse(keyFrame())?.1)
    // 60 + 4 wraps to 0: S1T0 with references.
    let (upper, fresh) = try #require(parse(mandatory(true, true, template: 0, frame: 9).bytes, structure))
    #expect(fresh == nil && !upper.hasStructure && upper.activeDecodeTargets == nil)
    #expect(upper.spatialLayer == 1 && upper.temporalLayer == 0 && !upper.isIntra && !upper.isSwitch)
    #expect(upper.indication(0) == .notPresent && upper.indication(2) == .required)
    #expect(upper.indication(4) == .notPresent && upper.indication(-1) == .notPresent)
    let (base, _) = try #require(parse(mandatory(true, true, template: 62, frame: 10).bytes, structure))
    #expect(base.temporalLayer == 1 && base.indication(1) == .discardable)
  }

  @Test func readsActiveTargetsAndCustomIndications() throws {
    let structure = try #require(parse(keyFrame())?.1)
    var writer = mandatory(false, true, template: 61, frame: 11)
    // Active decode targets and custom indications follow; then custom differences.
    writer.write(0b01110, 5)
    writer.write(0b0011, 4)
    for indication in [2, 0, 2, 1] { writer.write(indication, 2) }
    writer.write(2, 2)
    writer.write(0x20, 8)
    writer.write(0, 2)
    let (descriptor, _) = try #require(parse(writer.bytes, structure))
    #expect(descriptor.activeDecodeTargets == 0b0011 && descriptor.isSwitch && !descriptor.isIntra)
    #expect((0..<4).map { descriptor.indication($0) } == [.switching, .notPresent, .switching, .discardable])
  }

  @Test func takesNothingItCannotReadByAStructure() throws {
    let structure = try #require(parse(keyFrame())?.1)
    #expect(parse(mandatory(true, true, template: 61, frame: 1).bytes) == nil)
    // Six templates from 60 on: 2 is the seventh.
    #expect(parse(mandatory(true, true, template: 2, frame: 1).bytes, structure) == nil)
    #expect(parse(mandatory(true, true, template: 1, frame: 1).bytes, structure) != nil)
  }

  @Test func refusesEveryStructureThatIsCutShort() throws {
    let whole = keyFrame()
    for count in 0..<whole.count { #expect(parse(Array(whole.prefix(count))) == nil, "\(count) bytes") }
    #expect(parse(whole + [0, 0]) != nil, "zero padding")
  }

  @Test func refusesMoreTemplatesThanIdentifiersCanName() {
    var writer = mandatory(true, true, template: 0, frame: 1)
    writer.write(0b10000, 5)
    writer.write(0, 6)
    writer.write(0, 5)
    for _ in 0..<64 { writer.write(0, 2) }
    writer.write(3, 2)
    for _ in 0..<400 { writer.write(0, 8) }
    #expect(parse(writer.bytes) == nil)
  }

  @Test func picksTheDecodeTargetForLayers() throws {
    let structure = try #require(parse(keyFrame(resolutions: false))?.1)
    #expect(structure.decodeTarget(spatialLayer: 1, temporalLayer: 1) == 3)
    #expect(structure.decodeTarget(spatialLayer: 1, temporalLayer: 0) == 2)
    #expect(structure.decodeTarget(spatialLayer: 0, temporalLayer: 3) == 1)
    #expect(structure.decodeTarget(spatialLayer: 7, temporalLayer: 7) == 3)
    #expect(structure.resolutions.isEmpty)
  }
}
