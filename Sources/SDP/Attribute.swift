/// One `a=` line: a flag (`a=rtcp-mux`) or a name with a value (`a=ptime:20`).
package struct Attribute: Hashable, Sendable {
  package var name: String
  /// Nil for a flag.
  package var value: String?

  package init(_ name: String, _ value: String? = nil) {
    self.name = name
    self.value = value
  }
}

/// What has `a=` lines: a session or one of its media sections. The typed accessors read this level only.
package protocol AttributeHolder {
  var attributes: [Attribute] { get set }
}

extension AttributeHolder {
  /// The value of the first attribute of that name; nil when it is absent or a flag.
  package func attribute(_ name: String) -> String? {
    attributes.first { $0.name == name && $0.value != nil }?.value
  }

  /// The values of every attribute of that name.
  package func attributeValues(_ name: String) -> [String] {
    var found: [String] = []
    for attribute in attributes where attribute.name == name {
      if let value = attribute.value { found.append(value) }
    }
    return found
  }

  /// Whether the attribute is there, with or without a value.
  package func hasAttribute(_ name: String) -> Bool { attributes.contains { $0.name == name } }

  /// The last direction attribute at this level; nil when there is none.
  package var explicitDirection: Direction? {
    attributes.last { $0.value == nil && Direction(rawValue: $0.name) != nil }.flatMap { Direction(rawValue: $0.name) }
  }

  /// RFC 8839 §5.4.
  package var iceUfrag: String? { attribute("ice-ufrag") }
  package var icePwd: String? { attribute("ice-pwd") }
  /// The tokens of `a=ice-options`, such as `trickle` and `ice2` (RFC 8839 §5.6).
  package var iceOptions: [String] { attributeValues("ice-options").flatMap { Fields.split($0).map(String.init) } }
  /// Session level: the sender is an ICE-lite agent (RFC 8839 §5.3).
  package var iceLite: Bool { hasAttribute("ice-lite") }
  /// RFC 8122 §5. Lines that do not parse are left out.
  package var fingerprints: [Fingerprint] { attributeValues("fingerprint").compactMap { Fingerprint($0) } }
  /// RFC 4145 §4.
  package var setup: DTLSSetup? { attribute("setup").flatMap { DTLSSetup(rawValue: $0.lowercased()) } }
}
