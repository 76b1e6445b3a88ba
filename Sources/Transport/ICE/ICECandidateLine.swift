internal import Core

/// Text operations on `candidate:` lines (RFC 8839 §5.1). The grammar's meaning is libnice's; only what must be changed
/// or refused before or behind it is done here.
enum ICECandidateLine {
  /// Longer lines are refused unread.
  static let maximumLength = 512

  /// `candidate:1 1 UDP …` from any of `a=candidate:…`, `candidate:…`; nil for what cannot be one.
  static func normalized(_ line: String) -> String? {
    guard line.utf8.count <= maximumLength, line.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else { return nil }
    let text = line.hasPrefix("a=") ? String(line.dropFirst(2)) : line
    return text.hasPrefix("candidate:") ? text : nil
  }

  /// Whether libnice should see it: the first component, UDP, a literal address, a port. `.local` names (mDNS) are left
  /// to the browser's own checks, which make its side peer-reflexive.
  static func isUsable(_ line: String) -> Bool {
    let fields = line.split(separator: " ")
    guard fields.count >= 8, fields[1] == "1", fields[2].lowercased() == "udp", let port = UInt16(fields[5]), port > 0,
      let address = IPAddress(fields[4])
    else { return false }
    return !address.isUnspecified && !address.isMulticast
  }

  /// The line with the address of a host candidate replaced, for a server behind 1:1 NAT. Other candidates, and those
  /// of the other address family, stay as they are.
  static func advertising(_ address: IPAddress, in line: String) -> String {
    var fields = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    guard fields.count >= 8, fields[6] == "typ", fields[7] == "host", let own = IPAddress(fields[4]),
      own.isIPv6 == address.isIPv6
    else { return line }
    fields[4] = address.description
    return fields.joined(separator: " ")
  }
}
