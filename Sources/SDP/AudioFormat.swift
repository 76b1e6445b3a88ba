import Core

/// What a payload type of an audio section means to us.
enum AudioFormat: Hashable, Sendable {
  case codec(AudioCodec)
  /// RFC 4733 at that clock rate.
  case telephoneEvent(Int)
  /// RFC 3389 at 8,000 Hz.
  case comfortNoise

  init?(_ map: RTPMap) {
    func isNamed(_ name: StaticString) -> Bool { Fields.isSame(map.encodingName, name) }
    switch map.clockRate {
    case 48_000 where isNamed("opus"): self = .codec(.opus)
    case 8_000 where isNamed("pcmu"): self = .codec(.pcmu)
    case 8_000 where isNamed("pcma"): self = .codec(.pcma)
    // Some phones write the sampling rate against RFC 3551 §4.5.2.
    case 8_000 where isNamed("g722"), 16_000 where isNamed("g722"): self = .codec(.g722)
    case 8_000 where isNamed("telephone-event"), 48_000 where isNamed("telephone-event"):
      self = .telephoneEvent(map.clockRate)
    case 8_000 where isNamed("cn"): self = .comfortNoise
    default: return nil
    }
  }

  /// The static assignments of RFC 3551 §6 that we know.
  init?(staticPayloadType pt: PayloadType) {
    if pt.rawValue == 13 {
      self = .comfortNoise
    } else if let codec = AudioCodec.allCases.first(where: { $0.staticPayloadType == pt }) {
      self = .codec(codec)
    } else {
      return nil
    }
  }

  /// The number that we would give it in an offer.
  var preferredPayloadType: PayloadType {
    switch self {
    case .codec(let codec): codec.staticPayloadType ?? PayloadType(111)
    case .telephoneEvent(let rate): PayloadType(rate == 8_000 ? 101 : 110)
    case .comfortNoise: PayloadType(13)
    }
  }

  func rtpMap(_ pt: PayloadType) -> RTPMap {
    switch self {
    case .codec(let codec):
      // RFC 7587 §7: always two channels, whatever is sent.
      RTPMap(
        payloadType: pt, encodingName: codec.encodingName, clockRate: codec.clockRate, channels: codec == .opus ? 2 : 1)
    case .telephoneEvent(let rate): RTPMap(payloadType: pt, encodingName: "telephone-event", clockRate: rate)
    case .comfortNoise: RTPMap(payloadType: pt, encodingName: "CN", clockRate: 8_000)
    }
  }
}

/// A format and the number that one side gave it.
struct NumberedFormat: Hashable, Sendable {
  var format: AudioFormat
  var payloadType: PayloadType
}

extension MediaDescription {
  /// The formats of the `m=` line that we know, in the author's order, and the numbers of those that we do not.
  func audioFormats() -> (known: [NumberedFormat], foreign: Set<PayloadType>) {
    var meanings: [PayloadType: RTPMap] = [:]
    for map in rtpMaps { meanings[map.payloadType] = map }
    var known: [NumberedFormat] = []
    var foreign: Set<PayloadType> = []
    for text in formats {
      guard let number = Fields.number(text, as: UInt8.self), number < 128 else { continue }
      let pt = PayloadType(number)
      let format = meanings[pt].map { AudioFormat($0) } ?? AudioFormat(staticPayloadType: pt)
      if let format {
        if !known.contains(where: { $0.payloadType == pt }) {
          known.append(NumberedFormat(format: format, payloadType: pt))
        }
      } else {
        foreign.insert(pt)
      }
    }
    return (known, foreign)
  }

  /// What the author's `a=fmtp` of that Opus payload type asks of our encoder (RFC 7587 §6.1).
  func opusParameters(_ pt: PayloadType) -> OpusParameters {
    var result = OpusParameters()
    guard let text = formatParameters(pt.description) else { return result }
    for parameter in text.split(separator: ";") {
      let (name, value) = Fields.cut(Fields.trim(parameter), at: "=")
      guard let value = value.map({ Fields.trim($0) }) else { continue }
      switch Fields.trim(name).lowercased() {
      case "useinbandfec": result.useInbandFEC = value == "1"
      case "usedtx": result.useDTX = value == "1"
      case "stereo": result.stereo = value == "1"
      case "maxaveragebitrate":
        if let rate = Fields.number(value, as: Int32.self) {
          result.maxAverageBitrate = min(max(Int(rate), 6_000), 510_000)
        }
      case "maxplaybackrate":
        if let rate = Fields.number(value, as: Int32.self) {
          result.maxPlaybackRate = min(max(Int(rate), 8_000), 48_000)
        }
      default: break
      }
    }
    return result
  }

  /// Audio in the packets that we send to the author: its wish, where our 20 ms grid can serve it.
  var sendingPacketTime: Duration {
    let wish = min(packetTime ?? 20, maxPacketTime ?? .max)
    return switch wish {
    case ..<20: .milliseconds(maxPacketTime.map { $0 < 20 } == true ? 10 : 20)
    case 20..<40: .milliseconds(20)
    case 40..<60: .milliseconds(40)
    default: .milliseconds(60)
    }
  }
}
