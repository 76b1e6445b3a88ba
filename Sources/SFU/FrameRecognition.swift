import Core
import RTP

/// Reads frames and layers of one stream off its payloads. A value with the little memory that some codecs need.
struct FrameRecognition {
  struct Frame {
    var descriptor: PayloadDescriptor
    /// Of SVC; nil where the encoding is all there is.
    var spatialLayer: Int?
    var temporalLayer = 0
    var startsFrame = false
    var endsFrame = false
    var isKeyFrame = false
    var isSwitchPoint = false
  }

  /// Of the last key frame: its later packets do not say what they belong to.
  private var keyFrameTimestamp: UInt32?
  private(set) var structure: DependencyStructure?
  /// Packets without a structure to read them by.
  private(set) var needsStructure = false

  init() {}

  /// - Parameters:
  ///   - packet: The whole packet.
  ///   - dependency: Where the dependency descriptor's element lies in it.
  ///   - previousTimestamp: Of the packet just before in sequence; nil where that is missing.
  /// - Returns: nil for a malformed payload.
  mutating func read(
    _ codec: MediaCodec, header: RTPHeader, packet: RawSpan, dependency: Range<Int>?, previousTimestamp: UInt32?
  ) -> Frame? {
    let payload = packet.extracting(header.payload)
    switch codec {
    case .opus, .red: return Frame(descriptor: .none, startsFrame: true, endsFrame: true)
    case .vp8: return readVP8(header, payload)
    case .vp9: return readVP9(header, payload)
    case .h264: return readH264(header, payload, previousTimestamp)
    case .av1:
      guard payload.byteCount >= 1 else { return nil }
      if let dependency { return readDependency(header, packet.extracting(dependency)) }
      return readAV1(header, payload, previousTimestamp)
    }
  }

  private mutating func belongsToKeyFrame(_ starts: Bool, _ timestamp: UInt32) -> Bool {
    if starts { keyFrameTimestamp = timestamp }
    return keyFrameTimestamp == timestamp
  }

  private mutating func readVP8(_ header: RTPHeader, _ payload: RawSpan) -> Frame? {
    guard let vp8 = VP8Descriptor(parsing: payload) else { return nil }
    let isKey = belongsToKeyFrame(vp8.isKeyFrame, header.timestamp)
    return Frame(
      descriptor: .vp8(vp8), temporalLayer: Int(vp8.temporalLayer ?? 0), startsFrame: vp8.startsFrame,
      endsFrame: header.marker, isKeyFrame: isKey, isSwitchPoint: isKey || vp8.isLayerSync)
  }

  private func readVP9(_ header: RTPHeader, _ payload: RawSpan) -> Frame? {
    guard let vp9 = VP9Descriptor(parsing: payload) else { return nil }
    // A layer's frame that refers to no earlier picture: key frames, and upper layers within key pictures.
    let isKey = !vp9.isInterPicturePredicted
    return Frame(
      descriptor: .vp9(vp9), spatialLayer: vp9.spatialLayer.map { Int($0) }, temporalLayer: Int(vp9.temporalLayer ?? 0),
      startsFrame: vp9.startsFrame, endsFrame: vp9.endsFrame, isKeyFrame: isKey,
      isSwitchPoint: isKey || vp9.isSwitchingUpPoint)
  }

  private mutating func readH264(_ header: RTPHeader, _ payload: RawSpan, _ previous: UInt32?) -> Frame? {
    guard let h264 = H264Descriptor(parsing: payload) else { return nil }
    // The format does not say where a picture starts: where the timestamp changes. Behind a missing packet only
    // parameter sets and the first fragment of an intra picture are sure.
    let starts = previous.map { $0 != header.timestamp } ?? (h264.isKeyFrame && header.timestamp != keyFrameTimestamp)
    let isKey = belongsToKeyFrame(h264.isKeyFrame, header.timestamp)
    return Frame(
      descriptor: .h264(h264), startsFrame: starts, endsFrame: header.marker, isKeyFrame: isKey, isSwitchPoint: true)
  }

  private mutating func readDependency(_ header: RTPHeader, _ element: RawSpan) -> Frame? {
    guard let (descriptor, fresh) = DependencyDescriptor.parse(element, structure: structure) else {
      // Well-formed but for the structure that we never got: only a key frame brings it.
      needsStructure = structure == nil
      return needsStructure ? Frame(descriptor: .none, startsFrame: false, endsFrame: header.marker) : nil
    }
    if let fresh {
      structure = fresh
      needsStructure = false
    }
    let isKey = belongsToKeyFrame(descriptor.hasStructure && descriptor.startsFrame, header.timestamp)
    return Frame(
      descriptor: .dependency(descriptor), spatialLayer: Int(descriptor.spatialLayer),
      temporalLayer: Int(descriptor.temporalLayer), startsFrame: descriptor.startsFrame,
      endsFrame: descriptor.endsFrame, isKeyFrame: isKey, isSwitchPoint: isKey || descriptor.isSwitch)
  }

  /// Without the extension: the aggregation header |Z|Y|W W|N|-|-|-| is all there is; N starts a coded video sequence.
  private mutating func readAV1(_ header: RTPHeader, _ payload: RawSpan, _ previous: UInt32?) -> Frame? {
    let aggregation = payload.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt8.self)
    let startsSequence = aggregation & 0x08 != 0
    let starts = previous.map { $0 != header.timestamp } ?? startsSequence
    let isKey = belongsToKeyFrame(startsSequence, header.timestamp)
    return Frame(
      descriptor: .none, startsFrame: starts && aggregation & 0x80 == 0, endsFrame: header.marker, isKeyFrame: isKey,
      isSwitchPoint: true)
  }
}
