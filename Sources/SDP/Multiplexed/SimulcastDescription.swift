import Core

/// The `a=rid` and `a=simulcast` lines of one section (RFC 8851, RFC 8853), as far as the author sends.
struct SimulcastDescription {
  /// What the author sends, by rid.
  private var identifiers: [String: RemoteEncoding] = [:]
  /// Rids of `a=rid:… send` in the order of their lines.
  private var order: [String] = []
  /// Streams of `a=simulcast:send`, each with its alternatives.
  private var send: [[(rid: String, isPaused: Bool)]] = []
  var hasSendList: Bool { !send.isEmpty }

  init(_ media: MediaDescription) {
    for value in media.attributeValues("rid") {
      let fields = Fields.split(value)
      guard fields.count >= 2, fields[1] == "send", Self.isRID(fields[0]), order.count < 32 else { continue }
      let rid = String(fields[0])
      guard identifiers[rid] == nil else { continue }
      var encoding = RemoteEncoding(rid: rid)
      var others: [Substring] = []
      for parameter in fields.dropFirst(2).joined(separator: " ").split(separator: ";").prefix(16) {
        let (name, value) = Fields.cut(Fields.trim(parameter), at: "=")
        if name == "pt", let value {
          encoding.payloadTypes = value.split(separator: ",").prefix(64).compactMap {
            Fields.number(Fields.trim($0), as: UInt8.self).flatMap { $0 < 128 ? PayloadType($0) : nil }
          }
        } else {
          others.append(Fields.trim(parameter))
        }
      }
      encoding.restrictions = others.joined(separator: ";")
      identifiers[rid] = encoding
      order.append(rid)
    }

    guard let value = media.attribute("simulcast") else { return }
    var fields = Fields.split(value)[...]
    while fields.count >= 2 {
      let direction = fields.removeFirst()
      var list = fields.removeFirst()
      guard direction == "send" else { continue }
      // The form before RFC 8853, in old Firefox.
      if list.hasPrefix("rid=") { list = list.dropFirst(4) }
      send = list.split(separator: ";").prefix(32).map { stream in
        stream.split(separator: ",").prefix(8).map { alternative in
          alternative.first == "~" ? (String(alternative.dropFirst()), true) : (String(alternative), false)
        }
      }
      break
    }
  }

  /// One encoding for each stream of the list, its first alternative that is described and that we can take; without a
  /// list, one for each rid. At most `limit`.
  func encodings(limit: Int, isKnown: (PayloadType) -> Bool) -> [RemoteEncoding] {
    func usable(_ rid: String) -> RemoteEncoding? {
      guard var encoding = identifiers[rid] else { return nil }
      if !encoding.payloadTypes.isEmpty {
        encoding.payloadTypes.removeAll { !isKnown($0) }
        if encoding.payloadTypes.isEmpty { return nil }
      }
      return encoding
    }
    var found: [RemoteEncoding] = []
    let streams = send.isEmpty ? order.map { [($0, false)] } : send
    for stream in streams where found.count < limit {
      for (rid, isPaused) in stream where !found.contains(where: { $0.rid == rid }) {
        guard var encoding = usable(rid) else { continue }
        encoding.isPaused = isPaused
        found.append(encoding)
        break
      }
    }
    return found
  }

  /// RFC 8851 §10: letters, digits, hyphen and underscore; what fits a one-byte header extension.
  static func isRID(_ text: some StringProtocol) -> Bool {
    (1...16).contains(text.utf8.count)
      && text.utf8.allSatisfy { c in
        (0x30...0x39).contains(c) || (0x41...0x5A).contains(c) || (0x61...0x7A).contains(c) || c == 0x2D || c == 0x5F
      }
  }
}

extension RemoteEncoding {
  /// The value of our `a=rid` for it; nil for an encoding without rid.
  var answerLine: String? {
    guard let rid else { return nil }
    var parameters = payloadTypes.isEmpty ? [] : ["pt=" + payloadTypes.map(\.description).joined(separator: ",")]
    if !restrictions.isEmpty { parameters.append(restrictions) }
    return "\(rid) recv" + (parameters.isEmpty ? "" : " " + parameters.joined(separator: ";"))
  }
}
