package import Core

/// One `m=` section (RFC 8866 §5.14) with its lines.
package struct MediaDescription: Hashable, Sendable, AttributeHolder {
  /// `audio`, `video`, `application`, `image`…
  package var kind: String
  /// Zero where the stream is refused or switched off.
  package var port: UInt16
  /// `m=audio 49170/2`: how many port pairs; 1 where the line names none.
  package var portCount: Int
  /// `RTP/AVP`, `UDP/TLS/RTP/SAVPF`…
  package var `protocol`: String
  /// Payload types as text, or another format's names.
  package var formats: [String]
  package var connection: SessionDescription.Connection?
  /// The values of the `b=` lines.
  package var bandwidth: [String]
  package var attributes: [Attribute]

  package init(
    kind: String, port: UInt16, portCount: Int = 1, protocol: String, formats: [String],
    connection: SessionDescription.Connection? = nil, attributes: [Attribute] = []
  ) {
    self.kind = kind
    self.port = port
    self.portCount = portCount
    self.protocol = `protocol`
    self.formats = formats
    self.connection = connection
    bandwidth = []
    self.attributes = attributes
  }

  init?(parsing value: String) {
    let fields = Fields.split(value)
    guard fields.count >= 4 else { return nil }
    let (portText, countText) = Fields.cut(fields[1], at: "/")
    guard let port = Fields.number(portText, as: UInt16.self) else { return nil }
    var count = 1
    if let countText {
      guard let parsed = Fields.number(countText, as: UInt16.self), parsed > 0 else { return nil }
      count = Int(parsed)
    }
    self.init(
      kind: String(fields[0]), port: port, portCount: count, protocol: String(fields[2]),
      formats: fields[3...].map(String.init))
  }

  func write(into out: inout SDPWriter) {
    let ports = portCount == 1 ? "\(port)" : "\(port)/\(portCount)"
    out.line("m", "\(kind) \(ports) \(self.protocol) \(formats.joined(separator: " "))")
    if let connection { out.connection(connection) }
    for b in bandwidth { out.line("b", b) }
    out.attributes(attributes)
  }
}

// MARK: Typed views of the attributes

/// `a=rtpmap` (RFC 8866 §6.6): what a payload type number means.
package struct RTPMap: Hashable, Sendable {
  package var payloadType: PayloadType
  package var encodingName: String
  /// Hertz.
  package var clockRate: Int
  package var channels: Int

  package init(payloadType: PayloadType, encodingName: String, clockRate: Int, channels: Int = 1) {
    self.payloadType = payloadType
    self.encodingName = encodingName
    self.clockRate = clockRate
    self.channels = channels
  }

  /// Parses `111 opus/48000/2`.
  init?(_ value: String) {
    let (number, rest) = Fields.cut(Fields.trim(value[...]), at: " ")
    guard let pt = Fields.number(number, as: UInt8.self), pt < 128, let rest else { return nil }
    let parts = Fields.trim(rest).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count >= 2, !parts[0].isEmpty, let rate = Fields.number(parts[1], as: UInt32.self), rate > 0 else {
      return nil
    }
    self.init(
      payloadType: PayloadType(pt), encodingName: String(parts[0]), clockRate: Int(rate),
      channels: parts.count > 2 ? Fields.number(parts[2], as: UInt8.self).map(Int.init) ?? 1 : 1)
  }

  /// The value of the attribute.
  package var description: String {
    "\(payloadType) \(encodingName)/\(clockRate)" + (channels > 1 ? "/\(channels)" : "")
  }
}

extension MediaDescription {
  /// RTP over any of its profiles.
  package var isRTP: Bool { self.protocol.contains("RTP/") }

  package var rtpMaps: [RTPMap] { attributeValues("rtpmap").compactMap { RTPMap($0) } }

  /// The text behind `a=fmtp:<format> `; nil when there is none.
  package func formatParameters(_ format: String) -> String? {
    for value in attributeValues("fmtp") {
      let (name, rest) = Fields.cut(value, at: " ")
      if name == format, let rest { return String(Fields.trim(rest)) }
    }
    return nil
  }

  /// Milliseconds of audio in a packet that the author would like to receive; fractions are cut off (RFC 8866 §6.4).
  package var packetTime: Int? { milliseconds("ptime") }
  /// The most milliseconds of audio in a packet that the author takes.
  package var maxPacketTime: Int? { milliseconds("maxptime") }

  private func milliseconds(_ name: String) -> Int? {
    guard let value = attribute(name) else { return nil }
    let (whole, _) = Fields.cut(Fields.trim(value[...]), at: ".")
    return Fields.number(whole, as: UInt16.self).flatMap { $0 > 0 ? Int($0) : nil }
  }

  /// RFC 5888.
  package var mid: String? { attribute("mid").map { String(Fields.trim($0[...])) } }
  /// RFC 5761.
  package var rtcpMux: Bool { hasAttribute("rtcp-mux") }

  /// `a=rtcp:<port> [IN IP4 <address>]` (RFC 3605).
  package var rtcp: (port: UInt16, address: IPAddress?)? {
    guard let value = attribute("rtcp") else { return nil }
    let fields = Fields.split(value)
    guard let first = fields.first, let port = Fields.number(first, as: UInt16.self) else { return nil }
    return (port, fields.count >= 4 ? IPAddress(fields[3]) : nil)
  }

  /// ICE candidate lines without `a=`, as `candidate:…` (RFC 8839 §5.1).
  package var candidates: [String] { attributeValues("candidate").map { "candidate:" + $0 } }
  /// RFC 8838 §8.2.
  package var endOfCandidates: Bool { hasAttribute("end-of-candidates") }
  /// The sources of `a=ssrc`, in order, each once (RFC 5576).
  package var ssrcs: [SSRC] {
    var found: [SSRC] = []
    for value in attributeValues("ssrc") {
      if let id = Fields.number(Fields.cut(value, at: " ").0, as: UInt32.self), !found.contains(SSRC(id)) {
        found.append(SSRC(id))
      }
    }
    return found
  }
  /// SDES key lines, the values of `a=crypto` (RFC 4568).
  package var crypto: [String] { attributeValues("crypto") }
}
