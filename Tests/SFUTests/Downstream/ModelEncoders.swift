import Core
import RTP
import TestSupport

@testable import SFU

/// A frame as the model encoders make it: what a decoder needs before it.
struct ModelFrame {
  var id: UInt32
  /// Frames without which it cannot be decoded.
  var references: [UInt32]
  var spatial: Int
  var temporal: Int
  var isKey: Bool
  /// Packets that it was cut into.
  var packets = 0
  /// Milliseconds.
  var captured: Int
}

/// Everything that was encoded in a run.
final class Film {
  private(set) var frames: [UInt32: ModelFrame] = [:]
  private var next: UInt32 = 1

  func add(references: [UInt32], spatial: Int, temporal: Int, isKey: Bool, captured: Int) -> ModelFrame {
    let frame = ModelFrame(
      id: next, references: references, spatial: spatial, temporal: temporal, isKey: isKey, captured: captured)
    next += 1
    frames[frame.id] = frame
    return frame
  }

  func cut(_ id: UInt32, into packets: Int) { frames[id]?.packets = packets }
}

/// What every payload of a model encoder carries behind the codec's own bytes.
struct ModelBody: Hashable {
  var frame: UInt32
  var index: Int
  var count: Int
  static let length = 6

  init(frame: UInt32, index: Int, count: Int) {
    self.frame = frame
    self.index = index
    self.count = count
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    let b = Array(bytes.prefix(Self.length))
    guard b.count == Self.length else { return nil }
    frame = b.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    index = Int(b[4])
    count = Int(b[5])
  }

  var bytes: [UInt8] {
    [
      UInt8(frame >> 24), UInt8(frame >> 16 & 0xFF), UInt8(frame >> 8 & 0xFF), UInt8(frame & 0xFF), UInt8(index),
      UInt8(count),
    ]
  }
}

/// A stream of RTP packets of one SSRC.
final class ModelStream {
  let ssrc: SSRC
  let payloadType: PayloadType
  /// Where its timestamps begin.
  let base: UInt32
  private var sequence: UInt16
  var packetsSent = 0

  init(ssrc: UInt32, payloadType: UInt8, random: inout SeededRandom) {
    self.ssrc = SSRC(ssrc)
    self.payloadType = PayloadType(payloadType)
    base = .random(in: 0 ... .max, using: &random)
    sequence = .random(in: 0 ... .max, using: &random)
  }

  func timestamp(_ milliseconds: Int) -> UInt32 { base &+ UInt32(truncatingIfNeeded: milliseconds * 90) }

  func packet(_ payload: [UInt8], captured: Int, marker: Bool, extensions: [(id: UInt8, data: [UInt8])] = []) -> [UInt8]
  {
    let header = RTPHeader(
      payloadType: payloadType, sequence: sequence, timestamp: timestamp(captured), ssrc: ssrc, marker: marker)
    sequence &+= 1
    packetsSent += 1
    let block = RTPHeader.extensionBytes(extensions)
    guard !block.isEmpty else { return header.serialized(payload: payload) }
    var bytes = header.serialized(payload: [])
    bytes[0] |= 0x10
    return bytes + block + payload
  }

  /// Padding alone, as a publisher sends it that probes its path.
  func padding(captured: Int) -> [UInt8] {
    var bytes = packet([0, 0, 0, 4], captured: captured, marker: false)
    bytes[0] |= 0x20
    return bytes
  }
}

protocol ModelEncoder: AnyObject {
  var stream: ModelStream { get }
  /// Somebody asked for a key frame: the next picture is one.
  var wantsKeyFrame: Bool { get set }
  /// The packets of the next picture.
  func picture(captured: Int, film: Film, random: inout SeededRandom) -> [[UInt8]]
}

/// VP8 with three temporal layers in the order 0 2 1 2; layer sync is set only where it is true.
final class VP8Encoder: ModelEncoder {
  let stream: ModelStream
  var wantsKeyFrame = true
  private var pictureID: UInt16
  private var tl0: UInt8
  private var key: UInt8
  private var step = 0
  private var last: [UInt32?] = [nil, nil, nil]
  private let layer: Int
  private let longPictureIDs: Bool

  init(_ stream: ModelStream, layer: Int, longPictureIDs: Bool = true, random: inout SeededRandom) {
    self.stream = stream
    self.layer = layer
    self.longPictureIDs = longPictureIDs
    pictureID = .random(in: 0...0x7FFF, using: &random)
    tl0 = .random(in: 0...255, using: &random)
    key = .random(in: 0...31, using: &random)
  }

  func picture(captured: Int, film: Film, random: inout SeededRandom) -> [[UInt8]] {
    if wantsKeyFrame {
      step = 0
      last = [nil, nil, nil]
    }
    let isKey = wantsKeyFrame
    wantsKeyFrame = false
    let temporal = [0, 2, 1, 2][step % 4]
    step += 1
    // Half of the upper pictures refer to what their layer showed before: no sync then.
    let isSync = temporal > 0 && Bool.random(using: &random)
    var references: [UInt32] = []
    if !isKey { references += [last[0]].compactMap { $0 } }
    if temporal > 0, !isSync { references += last[1...temporal].compactMap { $0 } }
    let frame = film.add(references: references, spatial: layer, temporal: temporal, isKey: isKey, captured: captured)
    last[temporal] = frame.id
    pictureID = (pictureID + 1) & 0x7FFF
    if temporal == 0 { tl0 &+= 1 }
    if isKey { key = (key + 1) & 0x1F }
    let count = Int.random(in: 1...4, using: &random)
    film.cut(frame.id, into: count)
    return (0..<count).map { index in
      var payload: [UInt8] = [0x80 | (index == 0 ? 0x10 : 0), 0xF0]
      if longPictureIDs || pictureID > 127 {
        payload += [UInt8(pictureID >> 8) | 0x80, UInt8(pictureID & 0xFF)]
      } else {
        payload.append(UInt8(pictureID))
      }
      payload += [tl0, UInt8(temporal) << 6 | (isSync ? 0x20 : 0) | key]
      // The payload header's first bit tells key frames.
      payload.append(isKey ? 0 : 1)
      payload += ModelBody(frame: frame.id, index: index, count: count).bytes
      payload += (0..<Int.random(in: 4...30, using: &random)).map { _ in .random(in: 0 ... .max, using: &random) }
      return stream.packet(payload, captured: captured, marker: index == count - 1)
    }
  }
}

/// Three spatial and three temporal layers, as VP9 or as AV1 with the dependency descriptor. With `isKeyOnly` the spatial
/// layers refer to each other in key pictures alone (L3T3_KEY).
final class SVCEncoder: ModelEncoder {
  enum Form { case vp9, av1 }
  let stream: ModelStream
  var wantsKeyFrame = true
  private let form: Form
  private let isKeyOnly: Bool
  private var step = 0
  private var pictureID: UInt16
  private var tl0: UInt8
  private var frameNumber: UInt16
  // By spatial layer and temporal layer.
  private var last: [[UInt32?]] = []
  /// Spatial layers that are encoded.
  var layers = 3
  static let descriptorID: UInt8 = 12

  init(_ stream: ModelStream, form: Form, isKeyOnly: Bool, random: inout SeededRandom) {
    self.stream = stream
    self.form = form
    self.isKeyOnly = isKeyOnly
    pictureID = .random(in: 0...0x7FFF, using: &random)
    tl0 = .random(in: 0...255, using: &random)
    frameNumber = .random(in: 0 ... .max, using: &random)
  }

  func picture(captured: Int, film: Film, random: inout SeededRandom) -> [[UInt8]] {
    let isKey = wantsKeyFrame
    wantsKeyFrame = false
    if isKey {
      step = 0
      last = [[UInt32?]](repeating: [nil, nil, nil], count: 3)
    }
    let temporal = [0, 2, 1, 2][step % 4]
    step += 1
    // VP9: whether what follows in higher temporal layers forgets what they showed before. AV1 always does.
    let isSwitch = form == .av1 || isKey || Bool.random(using: &random)
    pictureID = (pictureID + 1) & 0x7FFF
    if temporal == 0 { tl0 &+= 1 }
    var packets: [[UInt8]] = []
    var below: UInt32?
    for spatial in 0..<layers {
      var references: [UInt32] = []
      if !isKey {
        references +=
          form == .av1 && temporal == 2
          ? [last[spatial][step % 4 == 0 ? 1 : 0]].compactMap { $0 }
          : last[spatial][...(form == .av1 ? 0 : temporal)].compactMap { $0 }
      }
      let usesBelow = spatial > 0 && (isKey || !isKeyOnly)
      if usesBelow, let below { references.append(below) }
      let frame = film.add(
        references: references, spatial: spatial, temporal: temporal, isKey: isKey, captured: captured)
      below = frame.id
      last[spatial][temporal] = frame.id
      if isSwitch { for higher in (temporal + 1)..<4 where higher < 3 { last[spatial][higher] = nil } }
      let count = Int.random(in: 1...3, using: &random)
      film.cut(frame.id, into: count)
      frameNumber &+= 1
      for index in 0..<count {
        let isLast = index == count - 1
        let body =
          ModelBody(frame: frame.id, index: index, count: count).bytes
          + (0..<Int.random(in: 4...30, using: &random)).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
        let marker = isLast && spatial == layers - 1
        switch form {
        case .vp9:
          let head: UInt8 =
            0x80 | (isKey ? 0 : 0x40) | 0x20 | (index == 0 ? 0x08 : 0) | (isLast ? 0x04 : 0)
            | (isKeyOnly && !isKey ? 0x01 : 0)
          let layer = UInt8(temporal) << 5 | (isSwitch ? 0x10 : 0) | UInt8(spatial) << 1 | (usesBelow ? 1 : 0)
          let payload = [head, UInt8(pictureID >> 8) | 0x80, UInt8(pictureID & 0xFF), layer, tl0] + body
          packets.append(stream.packet(payload, captured: captured, marker: marker))
        case .av1:
          let element = descriptor(
            spatial, temporal, isKey: isKey, starts: index == 0, ends: isLast)
          let payload: [UInt8] = [isKey && spatial == 0 && index == 0 ? 0x18 : 0x10] + body
          packets.append(
            stream.packet(payload, captured: captured, marker: marker, extensions: [(Self.descriptorID, element)]))
        }
      }
    }
    return packets
  }

  /// Templates: key pictures' frames by spatial layer, then the others by spatial and temporal layer.
  private func descriptor(_ spatial: Int, _ temporal: Int, isKey: Bool, starts: Bool, ends: Bool) -> [UInt8] {
    let template = isKey ? spatial * 4 : spatial * 4 + 1 + temporal
    var bits = BitWriter()
    bits.put(starts ? 1 : 0, 1)
    bits.put(ends ? 1 : 0, 1)
    bits.put(template, 6)
    bits.put(Int(frameNumber), 16)
    guard isKey, spatial == 0, starts else { return bits.bytes }
    // Structure present; no active targets, no custom anything.
    bits.put(0b10000, 5)
    bits.put(0, 6)
    bits.put(9 - 1, 5)
    for layer in 0..<3 {
      // Same layer, next temporal, next temporal, next spatial or the end.
      bits.put(0, 2)
      bits.put(1, 2)
      bits.put(1, 2)
      bits.put(layer == 2 ? 3 : 2, 2)
    }
    for layer in 0..<3 {
      for kind in 0..<4 {
        for target in 0..<9 { bits.put(indication(layer, kind - 1, target / 3, target % 3), 2) }
      }
    }
    for layer in 0..<3 {
      for kind in 0..<4 {
        // One difference where the frame refers to any.
        if layer > 0 || kind > 0 {
          bits.put(1, 1)
          bits.put(0, 4)
        }
        bits.put(0, 1)
      }
    }
    // No chains (ns(10): 0 is 3 bits), no resolutions.
    bits.put(0, 3)
    bits.put(0, 1)
    return bits.bytes
  }

  /// `temporal` −1: of a key picture.
  private func indication(_ spatial: Int, _ temporal: Int, _ targetSpatial: Int, _ targetTemporal: Int) -> Int {
    guard spatial <= targetSpatial, temporal <= targetTemporal else { return 0 }
    if temporal < 0 { return 2 }
    if spatial < targetSpatial { return isKeyOnly ? 0 : 3 }
    if temporal == 0 { return 2 }
    return temporal == targetTemporal ? 1 : 2
  }
}

struct BitWriter {
  private(set) var bytes: [UInt8] = []
  private var count = 0

  mutating func put(_ value: Int, _ width: Int) {
    for bit in (0..<width).reversed() {
      if count & 7 == 0 { bytes.append(0) }
      if value >> bit & 1 != 0 { bytes[count >> 3] |= 0x80 >> UInt8(count & 7) }
      count += 1
    }
  }
}
