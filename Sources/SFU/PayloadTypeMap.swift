import Core

/// Which payload type a subscriber knows each of the publisher's by.
struct PayloadTypeMap: Sendable {
  private static let none: UInt8 = 0x7F
  private static let strip: UInt8 = 0x80
  private var types: InlineArray<128, UInt8> = .init(repeating: PayloadTypeMap.none)
  private var retransmissions: InlineArray<128, UInt8> = .init(repeating: PayloadTypeMap.none)
  /// No packet can go through: publisher and subscriber have no codec in common.
  private(set) var isEmpty = true
  /// What Opus is called inside redundant audio on either side; equal where nothing has to be rewritten.
  private(set) var publisherOpus: UInt8 = 0
  private(set) var subscriberOpus: UInt8 = 0

  init(publisher: [CodecParameters], subscriber: [CodecParameters]) {
    for codec in publisher {
      guard let match = Self.best(for: codec, among: subscriber) else { continue }
      let index = Int(codec.payloadType.rawValue & 0x7F)
      let stripsRED = codec.codec == .red && match.codec == .opus
      types[index] = match.payloadType.rawValue & 0x7F | (stripsRED ? Self.strip : 0)
      retransmissions[index] = (match.retransmission?.rawValue ?? Self.none) & 0x7F
      isEmpty = false
    }
    let publishers = publisher.first { $0.codec == .opus }?.payloadType.rawValue
    let subscribers = subscriber.first { $0.codec == .opus }?.payloadType.rawValue
    if let publishers, let subscribers {
      publisherOpus = publishers
      subscriberOpus = subscribers
    }
  }

  /// The subscriber's; nil where it cannot take the packet.
  func payloadType(_ publishers: PayloadType) -> UInt8? {
    let value = types[Int(publishers.rawValue & 0x7F)]
    return value == Self.none ? nil : value & 0x7F
  }

  func retransmission(_ publishers: PayloadType) -> UInt8? {
    let value = retransmissions[Int(publishers.rawValue & 0x7F)]
    return value == Self.none ? nil : value
  }

  /// The packet is redundant audio, and the subscriber takes plain Opus only.
  func stripsRedundancy(_ publishers: PayloadType) -> Bool {
    let value = types[Int(publishers.rawValue & 0x7F)]
    return value != Self.none && value & Self.strip != 0
  }

  private static func best(for codec: CodecParameters, among subscriber: [CodecParameters]) -> CodecParameters? {
    var best: CodecParameters?
    var bestScore = 0
    for candidate in subscriber where candidate.codec == codec.codec {
      let score = likeness(codec, candidate)
      if score > bestScore {
        best = candidate
        bestScore = score
      }
    }
    if best == nil, codec.codec == .red { return subscriber.first { $0.codec == .opus } }
    return best
  }

  /// 0 for codecs that cannot stand for each other.
  private static func likeness(_ a: CodecParameters, _ b: CodecParameters) -> Int {
    switch a.codec {
    case .h264:
      // RFC 6184 §8.1: profile, constraints, level. Levels may differ; a wrong profile is still better than no picture.
      let profileA = parameter("profile-level-id", a) ?? "42000a"
      let profileB = parameter("profile-level-id", b) ?? "42000a"
      var score = 1
      if parameter("packetization-mode", a) ?? "0" == parameter("packetization-mode", b) ?? "0" { score += 8 }
      if profileA.prefix(2) == profileB.prefix(2) { score += 4 }
      if profileA.prefix(4) == profileB.prefix(4) { score += 2 }
      return score
    case .vp9: return parameter("profile-id", a) ?? "0" == parameter("profile-id", b) ?? "0" ? 1 : 0
    case .av1: return parameter("profile", a) ?? "0" == parameter("profile", b) ?? "0" ? 1 : 0
    case .opus, .red, .vp8: return 1
    }
  }

  /// The value of a parameter in `a=fmtp`, in lower case.
  private static func parameter(_ name: String, _ codec: CodecParameters) -> String? {
    for part in codec.formatParameters.split(separator: ";") {
      let pair = part.split(separator: "=", maxSplits: 1)
      guard pair.count == 2, pair[0].filter({ $0 != " " }).lowercased() == name else { continue }
      return pair[1].filter { $0 != " " }.lowercased()
    }
    return nil
  }
}
