import Core

/// What a section says, collected by payload type in one pass.
private struct PayloadTable {
  var maps: [UInt8: RTPMap] = [:]
  var parameters: [UInt8: FormatParameters] = [:]
  var feedback: [UInt8: [String]] = [:]
  var anyFeedback: [String] = []
  /// The numbers of the `m=` line, each once.
  var order: [UInt8] = []

  init(_ media: MediaDescription) {
    for attribute in media.attributes {
      guard let value = attribute.value else { continue }
      switch attribute.name {
      case "rtpmap":
        if let map = RTPMap(value), maps[map.payloadType.rawValue] == nil { maps[map.payloadType.rawValue] = map }
      case "fmtp":
        let (number, rest) = Fields.cut(value, at: " ")
        if let pt = Fields.number(number, as: UInt8.self), let rest, parameters[pt] == nil {
          parameters[pt] = FormatParameters(String(Fields.trim(rest)))
        }
      case "rtcp-fb":
        let (number, rest) = Fields.cut(value, at: " ")
        guard let rest else { continue }
        let name = Fields.split(rest).joined(separator: " ")
        if number == "*" {
          if anyFeedback.count < 64 { anyFeedback.append(name) }
        } else if let pt = Fields.number(number, as: UInt8.self), feedback[pt, default: []].count < 64 {
          feedback[pt, default: []].append(name)
        }
      default: break
      }
    }
    var seen: Set<UInt8> = []
    for text in media.formats {
      guard let pt = Fields.number(text, as: UInt8.self), pt < 128, seen.insert(pt).inserted else { continue }
      order.append(pt)
    }
  }

  /// Those that the policy has too, in the author's order; of two numbers with one meaning the first.
  func common(with policy: [CodecPolicy]) -> [SectionCodec] {
    var found: [SectionCodec] = []
    var taken: Set<Int> = []
    var place: [UInt8: Int] = [:]
    for pt in order {
      guard let map = maps[pt] else { continue }
      let parameters = parameters[pt] ?? FormatParameters("")
      guard let index = policy.firstIndex(where: { $0.matches(map, parameters) }), taken.insert(index).inserted else {
        continue
      }
      let codec = policy[index]
      let offered = (feedback[pt] ?? []) + anyFeedback
      place[pt] = found.count
      found.append(
        SectionCodec(
          encodingName: codec.encodingName, clockRate: codec.clockRate, channels: codec.channels,
          payloadType: PayloadType(pt), formatParameters: parameters.text,
          feedback: codec.feedback.filter { offered.contains($0) }))
    }
    for pt in order {
      guard let map = maps[pt], Fields.isSame(map.encodingName, "rtx"),
        let primary = parameters[pt]?.associatedPayloadType, let index = place[primary],
        found[index].retransmission == nil, map.clockRate == found[index].clockRate
      else { continue }
      found[index].retransmission = PayloadType(pt)
    }
    // RED is of use around a codec of the same section only (RFC 2198 §5).
    let opus = Set(found.filter { $0.encodingName == "opus" }.map(\.payloadType.rawValue))
    found.removeAll { codec in
      guard codec.encodingName == "red" else { return false }
      guard let text = parameters[codec.payloadType.rawValue]?.text else { return opus.isEmpty }
      let blocks = text.split(separator: "/").map { Fields.number(Fields.trim($0), as: UInt8.self) }
      return blocks.isEmpty || !blocks.allSatisfy { $0.map(opus.contains) ?? false }
    }
    if found.allSatisfy({ $0.encodingName == "red" }) { found = [] }
    return found
  }
}

extension RemoteSection {
  init(_ media: MediaDescription, index: Int, of session: SessionDescription, policy: MediaPolicy, isBundled: Bool) {
    kind = SectionKind(media.kind)
    kindName = media.kind
    mid = media.mid ?? String(index)
    hasMid = media.mid != nil
    `protocol` = media.protocol
    formats = media.formats
    reducedSizeRTCP = media.hasAttribute("rtcp-rsize")
    direction = session.direction(of: media)
    isUnusable = !isBundled || (media.port == 0 && !media.hasAttribute("bundle-only"))
    isSimulcast = false
    hasSimulcastLine = false
    isOldSCTP = false
    encodings = []
    codecs = []
    extensions = [:]
    maximumBitrate = media.maximumBitrate

    switch kind {
    case .audio, .video:
      if !media.isSecureRTP || !media.rtcpMux { isUnusable = true }
      codecs = PayloadTable(media).common(with: policy.codecs(kind))
      if codecs.isEmpty { isUnusable = true }
      extensions = media.extensions(
        of: policy.extensions(kind), allowsTwoByteHeaders: session.allowsMixedExtensions(in: media))
      readIdentification(media)
      readEncodings(media, policy: policy)
    case .application:
      guard policy.acceptsDataChannels, let channels = media.dataChannels else {
        isUnusable = true
        break
      }
      dataChannels = channels.parameters
      isOldSCTP = channels.isOld
    case .other: isUnusable = true
    }
    if isUnusable { direction = .inactive }
  }

  private mutating func readIdentification(_ media: MediaDescription) {
    func take(_ text: some StringProtocol) {
      let words = Fields.split(text)
      guard let stream = words.first, streamID == nil else { return }
      streamID = String(stream)
      trackID = words.count > 1 ? String(words[1]) : nil
    }
    // Safari and Firefox write one line for each stream of a track; the track is the same.
    for value in media.attributeValues("msid") { take(value) }
    for value in media.attributeValues("ssrc") {
      guard let rest = Fields.cut(value, at: " ").1 else { continue }
      let (name, content) = Fields.cut(Fields.trim(rest), at: ":")
      guard let content else { continue }
      if name == "msid" { take(content) }
      if name == "cname", cname == nil { cname = String(Fields.trim(content)) }
    }
  }

  private mutating func readEncodings(_ media: MediaDescription, policy: MediaPolicy) {
    let ssrcs = media.ssrcs
    var retransmissions: [SSRC: SSRC] = [:]
    var layers: [SSRC] = []
    var secondary: Set<SSRC> = []
    for value in media.attributeValues("ssrc-group") {
      let fields = Fields.split(value)
      let members = fields.dropFirst().compactMap { Fields.number($0, as: UInt32.self) }.map { SSRC($0) }
      guard members.count == fields.count - 1 else { continue }
      switch fields.first {
      case "FID":
        guard members.count == 2, members[0] != members[1], retransmissions[members[0]] == nil else { continue }
        retransmissions[members[0]] = members[1]
        secondary.insert(members[1])
      case "SIM": if layers.isEmpty, members.count > 1, Set(members).count == members.count { layers = members }
      default: secondary.formUnion(members.dropFirst())
      }
    }

    let simulcast = SimulcastDescription(media)
    let rids = simulcast.encodings(limit: policy.maximumEncodings) { pt in
      codecs.contains { $0.payloadType == pt }
    }
    hasSimulcastLine = simulcast.hasSendList
    if !rids.isEmpty {
      encodings = rids
      isSimulcast = rids.count > 1
      // Firefox lists one source for each rid, in no order that is promised: those are learned from the packets.
      if rids.count == 1 || layers.count == rids.count {
        let known = rids.count == 1 ? Array(ssrcs.filter { !secondary.contains($0) }.prefix(1)) : layers
        for (i, ssrc) in known.enumerated() {
          encodings[i].ssrc = ssrc
          encodings[i].retransmissionSSRC = retransmissions[ssrc]
        }
      }
    } else if !layers.isEmpty {
      encodings = layers.prefix(policy.maximumEncodings).map {
        RemoteEncoding(ssrc: $0, retransmissionSSRC: retransmissions[$0])
      }
      isSimulcast = encodings.count > 1
    } else {
      let ssrc = ssrcs.first { !secondary.contains($0) }
      encodings = [RemoteEncoding(ssrc: ssrc, retransmissionSSRC: ssrc.flatMap { retransmissions[$0] })]
    }
  }
}

extension SessionDescription {
  func allowsMixedExtensions(in media: MediaDescription) -> Bool {
    hasAttribute("extmap-allow-mixed") || media.hasAttribute("extmap-allow-mixed")
  }
}

extension MediaDescription {
  /// RTP over DTLS-SRTP with or without feedback; JSEP writes `UDP/TLS/RTP/SAVPF`, older peers `RTP/SAVPF`.
  var isSecureRTP: Bool { self.protocol.hasSuffix("RTP/SAVPF") || self.protocol.hasSuffix("RTP/SAVP") }

  /// Bits a second: `b=TIAS` (RFC 3890), or else `b=AS` in kilobits (RFC 8866 §5.8).
  var maximumBitrate: Int? {
    var kilobits: Int?
    for line in bandwidth {
      let (type, value) = Fields.cut(line, at: ":")
      guard let value, let number = Fields.number(Fields.trim(value), as: UInt32.self) else { continue }
      if type == "TIAS" { return Int(number) }
      if type == "AS" { kilobits = Int(number) * 1000 }
    }
    return kilobits
  }

  /// The numbers that the author gives to the policy's extensions (RFC 8285 §5). A number or a URI counts once.
  func extensions(of policy: [ExtensionPolicy], allowsTwoByteHeaders: Bool) -> [String: UInt8] {
    var found: [String: UInt8] = [:]
    var used: Set<UInt8> = []
    for value in attributeValues("extmap") {
      let fields = Fields.split(value)
      guard fields.count >= 2 else { continue }
      let (number, _) = Fields.cut(fields[0], at: "/")
      guard let id = Fields.number(number, as: UInt8.self), id > 0, allowsTwoByteHeaders ? id != 15 : id < 15 else {
        continue
      }
      let uri = String(fields[1])
      guard used.insert(id).inserted, found[uri] == nil, policy.contains(where: { $0.uri == uri }) else { continue }
      found[uri] = id
    }
    return found
  }

  /// What an SCTP section says, in either form; nil if it is something else.
  var dataChannels: (parameters: DataChannelParameters, isOld: Bool)? {
    guard self.protocol.hasSuffix("DTLS/SCTP"), let format = formats.first else { return nil }
    let size = attribute("max-message-size").flatMap { Fields.number(Fields.trim($0[...]), as: UInt64.self) }
    // Absent: 64 KB (RFC 8841 §6.1).
    let maximum = Int(min(size ?? 65_536, UInt64(Int32.max)))
    if format == "webrtc-datachannel" {
      let port = attribute("sctp-port").flatMap { Fields.number(Fields.trim($0[...]), as: UInt16.self) } ?? 5000
      return (DataChannelParameters(port: port, maximumMessageSize: maximum), false)
    }
    guard let port = Fields.number(format, as: UInt16.self),
      attributeValues("sctpmap").contains(where: { Fields.split($0).dropFirst().first == "webrtc-datachannel" })
    else { return nil }
    return (DataChannelParameters(port: port, maximumMessageSize: maximum), true)
  }
}
