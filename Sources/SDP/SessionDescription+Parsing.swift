extension SessionDescription {
  /// What a parser takes before it gives up. The defaults are ten times what a browser with video sends.
  package struct Limits: Hashable, Sendable {
    package var bytes = 65_536
    package var lines = 4_096
    package var media = 64

    package init() {}
    package static let `default` = Limits()
    /// For a room of a hundred people with camera and microphone, each with the lines that browsers write.
    package static let rooms: Limits = {
      var limits = Limits()
      limits.bytes = 1 << 20
      limits.lines = 32_768
      limits.media = 256
      return limits
    }()
  }

  /// Parses the bytes of an `application/sdp` body.
  ///
  /// Lenient where deployed peers are careless and no meaning is lost: LF line ends, empty lines, missing `s=` and `t=`,
  /// lines out of order, unknown line types (RFC 8866 §5 lets a parser ignore or refuse them).
  package init(parsing bytes: [UInt8], limits: Limits = .default) throws(SDPParseError) {
    guard bytes.count <= limits.bytes else { throw SDPParseError(.tooLarge, line: 1, offset: 0) }
    var origin: Origin?
    var session = SessionDescription(origin: Origin(sessionID: "0", sessionVersion: "0", address: "0.0.0.0"))
    var timing: String?
    var current: MediaDescription?
    var start = 0
    var number = 0
    var sawVersion = false

    while start < bytes.count {
      let newline = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      let offset = start
      var end = newline
      if end > start, bytes[end - 1] == 0x0D { end -= 1 }
      start = newline + 1
      number += 1
      func failure(_ kind: SDPParseError.Kind) -> SDPParseError { SDPParseError(kind, line: number, offset: offset) }
      guard number <= limits.lines else { throw failure(.tooLarge) }
      if end == offset { continue }
      let line = bytes[offset..<end]
      guard line.count >= 2, line[offset + 1] == UInt8(ascii: "="), !line.contains(0), !line.contains(0x0D) else {
        throw failure(.malformedLine)
      }
      let value = String(decoding: line[(offset + 2)...], as: UTF8.self)
      let type = Unicode.Scalar(line[offset])
      if !sawVersion {
        guard type == "v", Fields.trim(value[...]) == "0" else { throw failure(.unsupportedVersion) }
        sawVersion = true
        continue
      }
      switch type {
      case "o" where current == nil:
        guard let parsed = Origin(parsing: value) else { throw failure(.malformedOrigin) }
        origin = parsed
      case "s" where current == nil: session.name = value
      case "t" where current == nil: timing = timing ?? value
      case "c":
        guard let parsed = Connection(parsing: value) else { throw failure(.malformedConnection) }
        if current != nil { current?.connection = parsed } else { session.connection = parsed }
      case "b":
        if current != nil { current?.bandwidth.append(value) } else { session.bandwidth.append(value) }
      case "a":
        let (name, content) = Fields.cut(value, at: ":")
        let attribute = Attribute(String(content == nil ? Fields.trim(name) : name), content.map(String.init))
        if current != nil { current?.attributes.append(attribute) } else { session.attributes.append(attribute) }
      case "m":
        guard let parsed = MediaDescription(parsing: value) else { throw failure(.malformedMedia) }
        if let finished = current { session.media.append(finished) }
        guard session.media.count < limits.media else { throw failure(.tooLarge) }
        current = parsed
      default: break
      }
    }
    guard sawVersion else { throw SDPParseError(.unsupportedVersion, line: 1, offset: 0) }
    guard let origin else { throw SDPParseError(.missingOrigin, line: number, offset: bytes.count) }
    if let current { session.media.append(current) }
    session.origin = origin
    session.timing = timing ?? "0 0"
    self = session
  }

  /// Parses the text of a description.
  package init(parsing text: String, limits: Limits = .default) throws(SDPParseError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }
}

extension SessionDescription.Origin {
  /// User names with spaces occur in the field, so the last five fields count.
  init?(parsing value: String) {
    let fields = Fields.split(value)
    guard fields.count >= 6 else { return nil }
    let last = fields.suffix(5).map(String.init)
    guard last[2] == "IN", last[3] == "IP4" || last[3] == "IP6",
      last[0].utf8.allSatisfy({ (0x30...0x39).contains($0) }), last[1].utf8.allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    self.init(
      username: fields.dropLast(5).joined(separator: " "), sessionID: last[0], sessionVersion: last[1],
      address: last[4], isIPv6: last[3] == "IP6")
  }
}

extension SessionDescription.Connection {
  init?(parsing value: String) {
    let fields = Fields.split(value)
    guard fields.count == 3, fields[0] == "IN", fields[1] == "IP4" || fields[1] == "IP6" else { return nil }
    let (address, _) = Fields.cut(fields[2], at: "/")
    guard !address.isEmpty else { return nil }
    self.init(address: String(address), isIPv6: fields[1] == "IP6")
  }
}
