import Core
import RTP

/// One input is the payload of every format, an element of the dependency descriptor (twice, the second read by the first's
/// structure), and a whole packet that retransmits another.
func fuzzPayload(_ bytes: [UInt8]) {
  let span = bytes.span.bytes
  if let vp8 = VP8Descriptor(parsing: span) {
    precondition(Int(vp8.length) < bytes.count, "a descriptor and nothing behind it")
    precondition(Int(vp8.pictureIDOffset) + (vp8.pictureIDIsLong ? 2 : 1) <= Int(vp8.length))
    precondition(vp8.tl0PictureIndexOffset < vp8.length && vp8.layerByteOffset < vp8.length)
    precondition(vp8.pictureID ?? 0 <= 0x7FFF && vp8.temporalLayer ?? 0 <= 3 && vp8.keyIndex ?? 0 <= 31)
  }
  if let vp9 = VP9Descriptor(parsing: span) {
    precondition(Int(vp9.length) < bytes.count, "a descriptor and nothing behind it")
    precondition(vp9.tl0PictureIndexOffset < vp9.length)
    precondition(vp9.spatialLayer ?? 0 <= 7 && vp9.temporalLayer ?? 0 <= 7)
  }
  _ = H264Descriptor(parsing: span)
  var covered = 0
  let isWhole = RED.forEachBlock(in: span) {
    precondition($0.data.lowerBound >= covered && $0.data.upperBound <= bytes.count, "blocks overlap")
    covered = $0.data.upperBound
  }
  precondition(isWhole == (RED.primary(in: span) != nil))
  parseDependencies(bytes)
  unwrap(bytes)
}

private func parseDependencies(_ bytes: [UInt8]) {
  let cut = Int(bytes.first ?? 0) % (bytes.count + 1)
  let first = Array(bytes[cut...])
  let second = Array(bytes[..<cut])
  var structure: DependencyStructure?
  for part in [first, second, first] {
    guard let (descriptor, fresh) = DependencyDescriptor.parse(part.span.bytes, structure: structure) else { continue }
    precondition(fresh != nil || structure != nil, "read by no structure")
    structure = fresh ?? structure
    precondition(descriptor.hasStructure == (fresh != nil))
    for target in -1...33 where target < 0 || target >= Int(descriptor.decodeTargetCount) {
      precondition(descriptor.indication(target) == .notPresent)
    }
    guard let structure else { continue }
    precondition(structure.templates.count <= 64 && (1...32).contains(structure.decodeTargets.count))
    precondition(structure.decodeTarget(spatialLayer: 63, temporalLayer: 63) != nil)
  }
}

private func unwrap(_ bytes: [UInt8]) {
  guard let header = try? RTPHeader(parsing: bytes) else { return }
  var buffer = [UInt8](repeating: 0, count: 256)
  let length = buffer.withUnsafeMutableBytes { buffer in
    bytes.withUnsafeBytes {
      RTX.unwrap($0, header: header, ssrc: SSRC(7), payloadType: PayloadType(96), into: buffer)
    }
  }
  guard length > 0 else { return }
  guard let original = try? RTPHeader(parsing: Array(buffer[..<length])) else {
    preconditionFailure("what was unwrapped does not parse")
  }
  precondition(original.ssrc == SSRC(7) && original.payload.count == header.payload.count - 2)
  precondition(original.extensionData == header.extensionData && original.padding == 0)
}
