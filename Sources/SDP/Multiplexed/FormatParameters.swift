/// The `name=value` list of an `a=fmtp` (RFC 8866 §6.15). Names are lower case; a list without names is `text` only.
struct FormatParameters: Hashable, Sendable {
  let text: String
  private var values: [String: String] = [:]

  init(_ text: String) {
    self.text = text
    for part in text.split(separator: ";").prefix(64) {
      let (name, value) = Fields.cut(Fields.trim(part), at: "=")
      let key = Fields.trim(name).lowercased()
      if values[key] == nil { values[key] = value.map { String(Fields.trim($0)) } ?? "" }
    }
  }

  subscript(_ name: String) -> String? { values[name] }

  /// Of a small number that is 0 where it is absent; nil where it is no number.
  func number(_ name: String) -> Int? {
    guard let value = values[name] else { return 0 }
    return Fields.number(value, as: UInt16.self).map(Int.init)
  }

  /// `apt` of a retransmission format (RFC 4588 §8.1).
  var associatedPayloadType: UInt8? { values["apt"].flatMap { Fields.number($0, as: UInt8.self) } }
}

/// The profiles of H.264 that `profile-level-id` tells apart (RFC 6184 §8.1, table 5).
enum H264Profile: Hashable, Sendable {
  case constrainedBaseline, baseline, main, constrainedHigh, high, other(UInt32)

  /// From the six hexadecimal digits; nil if it is something else.
  init?(_ profileLevelID: String) {
    guard profileLevelID.utf8.count == 6, profileLevelID.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }),
      let value = UInt32(profileLevelID, radix: 16)
    else { return nil }
    let constraints = value >> 8 & 0xFF
    func has(_ mask: UInt32, _ bits: UInt32) -> Bool { constraints & mask == bits }
    switch value >> 16 {
    case 0x42 where has(0x4F, 0x40), 0x4D where has(0x8F, 0x80), 0x58 where has(0xCF, 0xC0):
      self = .constrainedBaseline
    case 0x42 where has(0x4F, 0x00), 0x58 where has(0xCF, 0x80): self = .baseline
    case 0x4D where has(0xAF, 0x00): self = .main
    case 0x64 where constraints == 0x0C: self = .constrainedHigh
    case 0x64 where constraints == 0: self = .high
    default: self = .other(value >> 8)
    }
  }

  /// Of parameters without a `profile-level-id`: what browsers assume, which is not quite RFC 6184's Baseline level 1.
  static let assumed = "42e01f"
}

extension CodecPolicy {
  /// Whether a payload type of that meaning is this codec.
  func matches(_ map: RTPMap, _ parameters: FormatParameters) -> Bool {
    guard map.clockRate == clockRate, map.encodingName.lowercased() == encodingName.lowercased() else { return false }
    // Every author of Opus writes two channels (RFC 7587 §7); of RED, some write none.
    if encodingName == "opus", map.channels != channels { return false }
    return hasProfile(of: parameters)
  }

  /// Whether both name one profile.
  func hasProfile(of other: FormatParameters) -> Bool {
    let own = FormatParameters(formatParameters)
    switch encodingName {
    case "H264":
      guard let mode = other.number("packetization-mode"), mode == own.number("packetization-mode") else {
        return false
      }
      guard let profile = H264Profile(other["profile-level-id"] ?? H264Profile.assumed) else { return false }
      return profile == H264Profile(own["profile-level-id"] ?? H264Profile.assumed)
    case "VP9": return other.number("profile-id") == own.number("profile-id")
    case "AV1": return other.number("profile") == own.number("profile")
    default: return true
    }
  }
}
