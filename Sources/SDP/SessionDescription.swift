package import Core

/// A session description (RFC 8866). A value: parse, look at it or change it, print it.
///
/// `u=`, `e=`, `p=`, `r=`, `z=` and `k=` lines are skipped when parsing: nothing in a call depends on them.
package struct SessionDescription: Hashable, Sendable, AttributeHolder, CustomStringConvertible {
  /// `o=` (RFC 8866 §5.2). Identifier and version are decimal text of any length.
  package struct Origin: Hashable, Sendable {
    package var username: String
    package var sessionID: String
    package var sessionVersion: String
    /// The text of the address; may be a host name.
    package var address: String
    package var isIPv6: Bool

    package init(
      username: String = "-", sessionID: String, sessionVersion: String, address: String, isIPv6: Bool = false
    ) {
      self.username = username
      self.sessionID = sessionID
      self.sessionVersion = sessionVersion
      self.address = address
      self.isIPv6 = isIPv6
    }
  }

  /// `c=` (RFC 8866 §5.7), without multicast TTL and count.
  package struct Connection: Hashable, Sendable {
    /// The text of the address; may be a host name.
    package var address: String
    package var isIPv6: Bool

    package init(address: String, isIPv6: Bool = false) {
      self.address = address
      self.isIPv6 = isIPv6
    }

    package init(_ ip: IPAddress) { self.init(address: ip.description, isIPv6: ip.isIPv6) }

    /// Nil for a host name.
    package var ip: IPAddress? { IPAddress(address) }
  }

  package var origin: Origin
  /// `s=`; a single hyphen where there is no meaningful name.
  package var name: String
  package var connection: Connection?
  /// The values of the `b=` lines.
  package var bandwidth: [String]
  /// The value of the first `t=` line.
  package var timing: String
  package var attributes: [Attribute]
  package var media: [MediaDescription]

  package init(
    origin: Origin, name: String = "-", connection: Connection? = nil, timing: String = "0 0",
    attributes: [Attribute] = [], media: [MediaDescription] = []
  ) {
    self.origin = origin
    self.name = name
    self.connection = connection
    bandwidth = []
    self.timing = timing
    self.attributes = attributes
    self.media = media
  }

  /// The groups of `a=group:<semantics> <mid>…` with that semantics (RFC 5888), such as `BUNDLE`.
  package func groups(_ semantics: String) -> [[String]] {
    attributeValues("group").compactMap {
      let fields = Fields.split($0)
      return fields.first.map(String.init) == semantics ? fields.dropFirst().map(String.init) : nil
    }
  }

  /// The direction of a media section, its own or else the session's; `sendrecv` by default (RFC 8866 §6.7).
  package func direction(of media: MediaDescription) -> Direction {
    media.explicitDirection ?? explicitDirection ?? .sendrecv
  }

  /// The connection of a media section, its own or else the session's.
  package func connection(of media: MediaDescription) -> Connection? { media.connection ?? connection }

  /// The text with CRLF line ends. Characters that would break a line are dropped from values.
  package var description: String {
    var out = SDPWriter()
    out.line("v", "0")
    out.line(
      "o",
      "\(origin.username) \(origin.sessionID) \(origin.sessionVersion) IN \(origin.isIPv6 ? "IP6" : "IP4") \(origin.address)"
    )
    out.line("s", name)
    if let connection { out.connection(connection) }
    for b in bandwidth { out.line("b", b) }
    out.line("t", timing)
    out.attributes(attributes)
    for m in media { m.write(into: &out) }
    return String(decoding: out.bytes, as: UTF8.self)
  }
}

/// Collects the lines of a description.
struct SDPWriter {
  var bytes: [UInt8] = []

  init() { bytes.reserveCapacity(1024) }

  mutating func line(_ type: Unicode.Scalar, _ value: String) {
    bytes.append(UInt8(ascii: type))
    bytes.append(UInt8(ascii: "="))
    text(value)
    end()
  }

  mutating func connection(_ c: SessionDescription.Connection) {
    line("c", "IN \(c.isIPv6 ? "IP6" : "IP4") \(c.address)")
  }

  mutating func attributes(_ attributes: [Attribute]) {
    for a in attributes {
      text("a=")
      text(a.name)
      if let value = a.value {
        text(":")
        text(value)
      }
      end()
    }
  }

  private mutating func text(_ value: String) {
    for c in value.utf8 where c != 0x0D && c != 0x0A && c != 0 { bytes.append(c) }
  }

  private mutating func end() {
    bytes.append(0x0D)
    bytes.append(0x0A)
  }
}
