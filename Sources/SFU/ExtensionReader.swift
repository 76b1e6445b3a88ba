import Core
import RTP

/// Finds the known elements of a header extension, by the identifiers that were negotiated. Turns the map around once.
struct ExtensionReader {
  /// Kind plus one, by identifier; 0 is unknown. Identifiers above 15 are as good as never used: found by a search.
  private var kinds: InlineArray<16, UInt8> = .init(repeating: 0)
  private(set) var map = HeaderExtensionMap()
  private var isEmpty = true

  init() {}

  /// Adds what another m-line negotiated: within one BUNDLE group an identifier means the same everywhere
  /// (RFC 8843 §10).
  mutating func merge(_ other: HeaderExtensionMap) {
    for kind in HeaderExtension.allCases {
      guard let id = other[kind] else { continue }
      map[kind] = id
      isEmpty = false
      if id < 16 { kinds[Int(id)] = UInt8(kind.rawValue + 1) }
    }
  }

  func read(_ header: RTPHeader, _ packet: RawSpan) -> ExtensionElements {
    var elements = ExtensionElements()
    guard !isEmpty, header.extensionProfile != nil else { return elements }
    header.forEachExtensionElement(in: packet) { id, range in
      guard let kind = kind(id), elements[kind] == nil else { return }
      elements[kind] = range
    }
    return elements
  }

  private func kind(_ id: UInt8) -> HeaderExtension? {
    if id < 16 {
      let kind = kinds[Int(id)]
      return kind == 0 ? nil : HeaderExtension(rawValue: Int(kind) - 1)
    }
    return HeaderExtension.allCases.first { map[$0] == id }
  }
}

/// What the payload types of one producer mean.
struct PayloadTable {
  private var codecs: [MediaCodec?] = []
  /// Of retransmissions: the payload type that they wrap.
  private var originals: [UInt8] = []
  private static let none: UInt8 = 0xFF

  init(_ parameters: [CodecParameters]) {
    codecs = [MediaCodec?](repeating: nil, count: 128)
    originals = [UInt8](repeating: Self.none, count: 128)
    for codec in parameters {
      codecs[Int(codec.payloadType.rawValue)] = codec.codec
      if let retransmission = codec.retransmission {
        originals[Int(retransmission.rawValue)] = codec.payloadType.rawValue
      }
    }
  }

  /// Nil for retransmissions and what was not negotiated.
  func codec(_ payloadType: PayloadType) -> MediaCodec? { codecs[Int(payloadType.rawValue)] }

  /// Nil for anything but retransmissions.
  func original(_ payloadType: PayloadType) -> PayloadType? {
    let original = originals[Int(payloadType.rawValue)]
    return original == Self.none ? nil : PayloadType(original)
  }
}
