/// The body of a PATCH on a WHIP or WHEP session: `application/trickle-ice-sdpfrag` (RFC 8840 §9).
package struct SDPFragment: Hashable, Sendable, CustomStringConvertible {
  /// The media type.
  package static let contentType = "application/trickle-ice-sdpfrag"
  private static let maximumBytes = 65_536
  private static let maximumCandidates = 256

  /// ICE credentials; with new ones the fragment asks for, or answers, an ICE restart.
  package var ufrag: String?
  package var pwd: String?
  /// `candidate:…` lines without `a=`.
  package var candidates: [String]
  package var endOfCandidates: Bool
  /// Of the pseudo section that the candidates stand under.
  package var mid: String?
  /// The `m=` line's kind, of what is written.
  private var kind: SectionKind

  package init(
    ufrag: String? = nil, pwd: String? = nil, candidates: [String] = [], endOfCandidates: Bool = false,
    mid: String? = nil, kind: SectionKind = .audio
  ) {
    self.ufrag = ufrag
    self.pwd = pwd
    self.candidates = candidates
    self.endOfCandidates = endOfCandidates
    self.mid = mid
    self.kind = kind
  }

  /// Parses the bytes. Candidates of all sections are put together: a bundle has one transport.
  package init(parsing bytes: [UInt8]) throws(SDPParseError) {
    self.init()
    guard bytes.count <= Self.maximumBytes else { throw SDPParseError(.tooLarge, line: 1, offset: 0) }
    var number = 0
    var offset = 0
    for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
      number += 1
      defer { offset += line.count + 1 }
      let content = line.last == 0x0D ? line.dropLast() : line
      if content.isEmpty { continue }
      guard content.count >= 2, content[content.startIndex + 1] == UInt8(ascii: "="), !content.contains(0),
        !content.contains(0x0D)
      else { throw SDPParseError(.malformedLine, line: number, offset: offset) }
      let value = String(decoding: content.dropFirst(2), as: UTF8.self)
      switch content.first {
      case UInt8(ascii: "a"): try take(value, line: number, offset: offset)
      case UInt8(ascii: "m"):
        guard let media = MediaDescription(parsing: value) else {
          throw SDPParseError(.malformedMedia, line: number, offset: offset)
        }
        if mid == nil { kind = SectionKind(media.kind) }
      default: break
      }
    }
  }

  private mutating func take(_ attribute: String, line: Int, offset: Int) throws(SDPParseError) {
    let (name, value) = Fields.cut(attribute, at: ":")
    let content = value.map { String(Fields.trim($0)) }
    switch name {
    case "ice-ufrag": ufrag = ufrag ?? content
    case "ice-pwd": pwd = pwd ?? content
    case "mid": mid = mid ?? content
    case "end-of-candidates": endOfCandidates = true
    case "candidate":
      guard let content, !content.isEmpty else { throw SDPParseError(.malformedLine, line: line, offset: offset) }
      guard candidates.count < Self.maximumCandidates else {
        throw SDPParseError(.tooLarge, line: line, offset: offset)
      }
      candidates.append("candidate:" + content)
    default: break
    }
  }

  /// The text with CRLF line ends.
  package var description: String {
    var out = SDPWriter()
    if let ufrag { out.line("a", "ice-ufrag:" + ufrag) }
    if let pwd { out.line("a", "ice-pwd:" + pwd) }
    guard !candidates.isEmpty || endOfCandidates else { return String(decoding: out.bytes, as: UTF8.self) }
    out.line("m", kind == .application ? "application 9 UDP/DTLS/SCTP webrtc-datachannel" : "\(kind.name) 9 RTP/AVP 0")
    if let mid { out.line("a", "mid:" + mid) }
    for candidate in candidates { out.line("a", candidate) }
    if endOfCandidates { out.line("a", "end-of-candidates") }
    return String(decoding: out.bytes, as: UTF8.self)
  }
}

extension SDPFragment {
  /// What a whole description says about its transport: our side of an ICE restart.
  package init?(_ description: SessionDescription) {
    guard
      let media = description.media.first(where: { $0.port != 0 && !$0.candidates.isEmpty })
        ?? description.media.first(where: { $0.port != 0 })
    else { return nil }
    self.init(
      ufrag: media.iceUfrag ?? description.iceUfrag, pwd: media.icePwd ?? description.icePwd,
      candidates: media.candidates, endOfCandidates: media.endOfCandidates, mid: media.mid,
      kind: SectionKind(media.kind))
  }

  /// The description with this fragment's credentials and candidates in the place of its own.
  package func restart(_ description: SessionDescription) -> SessionDescription {
    let names: Set<String> = ["ice-ufrag", "ice-pwd", "candidate", "end-of-candidates"]
    var result = description
    result.attributes.removeAll { names.contains($0.name) }
    let tagged = description.groups("BUNDLE").first?.first
    for index in result.media.indices {
      result.media[index].attributes.removeAll { names.contains($0.name) }
      if let ufrag { result.media[index].attributes.append(Attribute("ice-ufrag", ufrag)) }
      if let pwd { result.media[index].attributes.append(Attribute("ice-pwd", pwd)) }
      guard tagged.map({ $0 == result.media[index].mid }) ?? (index == 0) else { continue }
      for candidate in candidates {
        result.media[index].attributes.append(Attribute("candidate", String(candidate.dropFirst(10))))
      }
      if endOfCandidates { result.media[index].attributes.append(Attribute("end-of-candidates")) }
    }
    return result
  }
}
