package import Core

// The spool file. Little-endian throughout; append-only; everything behind the last whole record is ignored.
//
//     file   = "PARLEYSP" version(4) record*
//     record = length(4) crc(4) kind(1) unused(1) stream(2) time(8) body(length)
//
// `crc` is CRC-32 (IEEE 802.3) over everything behind it, body included. `time` is nanoseconds of the machine's monotonic
// clock: of arrival for packets. The first record is the header, which relates that clock to wall-clock time.

/// What a spool is of.
package struct SpoolHeader: Sendable, Hashable {
  /// The recording's identifier.
  package var id: String
  /// When it began, on the clock of the records' times and on the wall.
  package var began: Instant
  package var beganAt: WallTime
  /// For the owner: which call or room, which format is wanted, and the like.
  package var attributes: [String: String]

  package init(id: String, began: Instant, beganAt: WallTime, attributes: [String: String] = [:]) {
    self.id = id
    self.began = began
    self.beganAt = beganAt
    self.attributes = attributes
  }
}

/// One source of packets in a spool.
package struct SpoolStream: Sendable, Hashable {
  package enum Media: UInt8, Sendable, Hashable { case audio = 1, video = 2 }

  /// What a payload type carries.
  package struct Codec: Sendable, Hashable {
    /// As in `a=rtpmap`: `opus`, `PCMU`, `VP8`, `H264`, `telephone-event`.
    package var name: String
    /// Hertz, of the RTP timestamps.
    package var clockRate: Int
    package var channels: Int
    /// As in `a=fmtp`, without the payload type.
    package var parameters: String

    package init(name: String, clockRate: Int, channels: Int = 1, parameters: String = "") {
      self.name = name
      self.clockRate = clockRate
      self.channels = channels
      self.parameters = parameters
    }
  }

  /// Unique in the file; given by `Spool.addStream`.
  package var id: UInt16
  /// What it is to the recording: `agent`, `caller`, a participant's identity.
  package var name: String
  package var media: Media
  package var codecs: [PayloadType: Codec]
  /// Streams of one sender share its clock: those of equal names here are aligned to each other by RTCP exactly.
  package var clock: String
  package var attributes: [String: String]

  package init(
    name: String, media: Media, codecs: [PayloadType: Codec], clock: String = "", attributes: [String: String] = [:]
  ) {
    id = 0
    self.name = name
    self.media = media
    self.codecs = codecs
    self.clock = clock
    self.attributes = attributes
  }

  /// An audio stream of a leg as offer and answer settled it.
  package init(name: String, negotiated: NegotiatedAudio, clock: String = "", attributes: [String: String] = [:]) {
    var codecs: [PayloadType: Codec] = [:]
    for (type, codec) in negotiated.receivePayloadTypes {
      codecs[type] = Codec(name: codec.encodingName, clockRate: codec.clockRate, channels: codec == .opus ? 2 : 1)
    }
    for (type, format) in negotiated.receiveTelephoneEvents {
      codecs[type] = Codec(name: "telephone-event", clockRate: format.clockRate)
    }
    if let type = negotiated.comfortNoise, codecs[type] == nil { codecs[type] = Codec(name: "CN", clockRate: 8_000) }
    self.init(name: name, media: .audio, codecs: codecs, clock: clock, attributes: attributes)
  }
}

/// What happened to a recording or to one of its streams, beside packets.
package enum SpoolEvent: Sendable, Hashable {
  /// Nothing is recorded until `resume`.
  case pause
  case resume
  /// The stream is silent on purpose until `unmute`; packets that come nevertheless are not to be heard.
  case mute
  case unmute
  case hold
  case unhold
  /// Anything else, for the owner: `speaker=alice`.
  case note(String)

  var text: String {
    switch self {
    case .pause: "pause"
    case .resume: "resume"
    case .mute: "mute"
    case .unmute: "unmute"
    case .hold: "hold"
    case .unhold: "unhold"
    case .note(let text): "note:" + text
    }
  }

  init?(text: String) {
    switch text {
    case "pause": self = .pause
    case "resume": self = .resume
    case "mute": self = .mute
    case "unmute": self = .unmute
    case "hold": self = .hold
    case "unhold": self = .unhold
    default:
      guard text.hasPrefix("note:") else { return nil }
      self = .note(String(text.dropFirst(5)))
    }
  }
}

/// One record of a spool file.
package struct SpoolRecord: Sendable, Hashable {
  enum Kind: UInt8, Sendable {
    case header = 1, rtp = 2, rtcp = 3, gap = 4, stream = 5, streamEnd = 6, event = 7, end = 8
  }

  package enum Content: Sendable, Hashable {
    /// From here on packets of this stream may come; a second one of the same identifier replaces its codecs.
    case stream(SpoolStream)
    case streamEnd
    /// A packet with its header, as it came.
    case rtp([UInt8])
    case rtcp([UInt8])
    /// The writer fell behind: so many packets are missing, the first of which came at `since`.
    case gap(packets: Int, since: Instant)
    case event(SpoolEvent)
    /// The recording ended in order, for the reason given.
    case end(String)
  }

  /// 0: the whole recording.
  package var stream: UInt16
  package var time: Instant
  package var content: Content
}

/// Bounds and numbers of the format.
enum SpoolFormat {
  static let magic = Array("PARLEYSP".utf8)
  static let version: UInt32 = 1
  static let recordHead = 20
  /// Bytes; anything longer is damage.
  static let longestBody = 1 << 20

  /// Appends one record.
  static func append(
    _ kind: SpoolRecord.Kind, stream: UInt16, time: Instant, body: UnsafeRawBufferPointer, to out: inout [UInt8]
  ) {
    let start = out.count
    out.append(little: UInt32(truncatingIfNeeded: body.count))
    out.append(little: UInt32(0))
    out.append(kind.rawValue)
    out.append(0)
    out.append(little: stream)
    out.append(little: UInt64(bitPattern: time.nanoseconds))
    out.append(contentsOf: body)
    let crc = out.withUnsafeBytes { CRC32.checksum(UnsafeRawBufferPointer(rebasing: $0[(start + 8)...])) }
    for i in 0..<4 { out[start + 4 + i] = UInt8(truncatingIfNeeded: crc >> (8 * UInt32(i))) }
  }

  static func append(
    _ kind: SpoolRecord.Kind, stream: UInt16, time: Instant, body: [UInt8], to out: inout [UInt8]
  ) {
    body.withUnsafeBytes { append(kind, stream: stream, time: time, body: $0, to: &out) }
  }
}

extension [UInt8] {
  mutating func append(little value: some FixedWidthInteger & UnsignedInteger) {
    var value = value
    for _ in 0..<(value.bitWidth / 8) {
      append(UInt8(truncatingIfNeeded: value))
      value = value.bitWidth > 8 ? value >> 8 : 0
    }
  }

  /// Length in two bytes, then UTF-8, cut at 65,535 bytes.
  mutating func append(text: String) {
    let bytes = text.utf8.prefix(65_535)
    append(little: UInt16(bytes.count))
    append(contentsOf: bytes)
  }

  mutating func append(attributes: [String: String]) {
    let sorted = attributes.sorted { $0.key < $1.key }.prefix(65_535)
    append(little: UInt16(sorted.count))
    for (key, value) in sorted {
      append(text: key)
      append(text: value)
    }
  }
}

extension SpoolHeader {
  var body: [UInt8] {
    var out: [UInt8] = []
    out.append(text: id)
    out.append(little: UInt64(bitPattern: beganAt.milliseconds))
    out.append(attributes: attributes)
    return out
  }
}

extension SpoolStream {
  var body: [UInt8] {
    var out: [UInt8] = []
    out.append(media.rawValue)
    out.append(text: name)
    out.append(text: clock)
    let sorted = codecs.sorted { $0.key.rawValue < $1.key.rawValue }
    out.append(UInt8(truncatingIfNeeded: sorted.count))
    for (type, codec) in sorted {
      out.append(type.rawValue)
      out.append(text: codec.name)
      out.append(little: UInt32(clamping: codec.clockRate))
      out.append(UInt8(clamping: codec.channels))
      out.append(text: codec.parameters)
    }
    out.append(attributes: attributes)
    return out
  }
}

/// CRC-32 of IEEE 802.3, as in gzip.
enum CRC32 {
  /// Eight tables of 256: eight bytes a step.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for i in 0..<256 {
      var c = UInt32(i)
      for _ in 0..<8 { c = c & 1 != 0 ? 0xEDB8_8320 ^ c >> 1 : c >> 1 }
      tables[i] = c
    }
    for t in 1..<8 {
      for i in 0..<256 {
        let before = tables[(t - 1) * 256 + i]
        tables[t * 256 + i] = tables[Int(before & 0xFF)] ^ before >> 8
      }
    }
    return tables
  }()

  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    tables.withUnsafeBufferPointer { t in
      var crc: UInt32 = 0xFFFF_FFFF
      var i = 0
      while bytes.count - i >= 8 {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self)) ^ UInt64(crc)
        func part(_ shift: UInt64) -> Int { Int(word >> shift & 0xFF) }
        crc = t[7 * 256 + part(0)] ^ t[6 * 256 + part(8)] ^ t[5 * 256 + part(16)] ^ t[4 * 256 + part(24)]
        crc ^= t[3 * 256 + part(32)] ^ t[2 * 256 + part(40)] ^ t[256 + part(48)] ^ t[part(56)]
        i += 8
      }
      while i < bytes.count {
        crc = t[Int((crc ^ UInt32(bytes[i])) & 0xFF)] ^ crc >> 8
        i += 1
      }
      return ~crc
    }
  }
}
