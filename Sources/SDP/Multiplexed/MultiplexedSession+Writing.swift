import Core

extension MultiplexedSession {
  /// The session level around those sections. `bundle` nil: no group.
  func describe(_ media: [MediaDescription], bundle: [String]?, setup: DTLSSetup) -> SessionDescription {
    let address = defaultAddress
    var result = SessionDescription(
      origin: .init(
        sessionID: String(sessionID), sessionVersion: "0", address: address?.ip.description ?? "0.0.0.0",
        isIPv6: address?.ip.isIPv6 ?? false))
    if let bundle { result.attributes.append(Attribute("group", (["BUNDLE"] + bundle).joined(separator: " "))) }
    if allowsMixedExtensions { result.attributes.append(Attribute("extmap-allow-mixed")) }
    result.attributes.append(Attribute("msid-semantic", " WMS *"))
    if transport.iceLite { result.attributes.append(Attribute("ice-lite")) }
    // RFC 8843 §7.1.3: every section of a bundle may have these; candidates only the tagged one.
    let tagged = bundle?.first
    var isFirst = true
    for var m in media {
      guard m.port != 0 else {
        m.connection = .init(address: "0.0.0.0")
        result.media.append(m)
        continue
      }
      if let address {
        m.port = address.port
        m.connection = .init(address.ip)
      } else {
        m.connection = .init(address: "0.0.0.0")
      }
      m.attributes.append(Attribute("ice-ufrag", transport.ufrag))
      m.attributes.append(Attribute("ice-pwd", transport.pwd))
      m.attributes.append(Attribute("ice-options", "trickle"))
      m.attributes.append(Attribute("fingerprint", transport.fingerprint.description))
      m.attributes.append(Attribute("setup", setup.rawValue))
      if policy.repeatsCandidates || tagged.map({ $0 == m.mid }) ?? isFirst {
        for candidate in transport.candidates {
          let value = candidate.hasPrefix("candidate:") ? String(candidate.dropFirst(10)) : candidate
          m.attributes.append(Attribute("candidate", value))
        }
        m.attributes.append(Attribute("end-of-candidates"))
      }
      isFirst = false
      result.media.append(m)
    }
    return result
  }

  /// Of the first UDP candidate; nil if there is none.
  private var defaultAddress: SocketAddress? {
    for candidate in transport.candidates {
      let fields = Fields.split(candidate)
      guard fields.count >= 6, fields[2].lowercased() == "udp", let ip = IPAddress(fields[4]),
        let port = Fields.number(fields[5], as: UInt16.self), port != 0
      else { continue }
      return SocketAddress(ip: ip, port: port)
    }
    return nil
  }

  // MARK: Answers

  func answerSection(
    _ settled: SettledSection, remote: RemoteSection, hasMid: Bool, plan: ReceiverPlan?
  ) -> MediaDescription {
    var m = MediaDescription(kind: remote.kindName, port: 9, protocol: remote.protocol, formats: [])
    guard !settled.isRefused else {
      m.port = 0
      m.formats = remote.formats.isEmpty ? ["0"] : remote.formats
      m.attributes.append(Attribute("inactive"))
      if hasMid { m.attributes.append(Attribute("mid", settled.mid)) }
      return m
    }
    if hasMid { m.attributes.append(Attribute("mid", settled.mid)) }
    if settled.kind == .application {
      writeDataChannels(into: &m, isOld: remote.isOldSCTP, port: settled.dataChannels?.port ?? 5000)
      return m
    }
    m.attributes.append(Attribute(settled.direction.rawValue))
    m.attributes.append(Attribute("rtcp-mux"))
    if remote.reducedSizeRTCP { m.attributes.append(Attribute("rtcp-rsize")) }
    for (uri, id) in settled.extensions.sorted(by: { $0.value < $1.value }) {
      m.attributes.append(Attribute("extmap", "\(id) \(uri)"))
    }
    let opus = OpusWishes(plan: settled.direction.receives ? plan : nil, isStereo: settled.sender?.isStereo ?? false)
    for codec in settled.codecs { write(codec, of: settled.codecs, opus: opus, into: &m) }
    if let rate = plan?.maximumBitrate, settled.direction.receives, rate > 0 {
      m.bandwidth = ["AS:\(max(1, rate / 1000))", "TIAS:\(rate)"]
    }
    if let sender = settled.sender { write(sender, withRetransmission: settled.codecs, into: &m) }
    // In quiet sections too: a client whose simulcast is once refused does not offer it there again.
    let rids = remote.encodings.compactMap { encoding in encoding.rid.map { ($0, encoding) } }
    for (_, encoding) in rids {
      if let line = encoding.answerLine { m.attributes.append(Attribute("rid", line)) }
    }
    if remote.hasSimulcastLine, !rids.isEmpty {
      let list = rids.map { $0.1.isPaused ? "~" + $0.0 : $0.0 }.joined(separator: ";")
      m.attributes.append(Attribute("simulcast", "recv \(list)"))
    }
    return m
  }

  // MARK: Offers

  func offerSection(_ section: Section) -> MediaDescription {
    var m = MediaDescription(
      kind: section.kind.name, port: 9,
      protocol: section.kind == .application ? "UDP/DTLS/SCTP" : "UDP/TLS/RTP/SAVPF", formats: [])
    m.attributes.append(Attribute("mid", section.mid))
    if section.kind == .application {
      writeDataChannels(into: &m, isOld: false, port: 5000)
      if section.isRefused { m.port = 0 }
      return m
    }
    let policy = self.policy.codecs(section.kind)
    let codecs = (section.sender ?? section.answered).map { $0.select(from: policy) } ?? policy
    let offered = codecs.map {
      SectionCodec(
        encodingName: $0.encodingName, clockRate: $0.clockRate, channels: $0.channels, payloadType: $0.payloadType,
        retransmission: $0.retransmission, formatParameters: $0.formatParameters, feedback: $0.feedback)
    }
    guard !section.isRefused else {
      m.port = 0
      m.formats = offered.map(\.payloadType.description)
      m.attributes.append(Attribute("inactive"))
      return m
    }
    m.attributes.append(Attribute(section.sender == nil ? "inactive" : "sendonly"))
    m.attributes.append(Attribute("rtcp-mux"))
    m.attributes.append(Attribute("rtcp-rsize"))
    for item in self.policy.extensions(section.kind) where item.isOffered {
      m.attributes.append(Attribute("extmap", "\(item.id) \(item.uri)"))
    }
    let opus = OpusWishes(plan: nil, isStereo: section.sender?.isStereo ?? false)
    for codec in offered { write(codec, of: offered, opus: opus, into: &m) }
    if let sender = section.sender { write(sender, withRetransmission: offered, into: &m) }
    return m
  }

  // MARK: Both

  /// What of `a=fmtp` for Opus is decided for each track.
  private struct OpusWishes {
    var plan: ReceiverPlan?
    var isStereo: Bool

    var text: String {
      var text = "minptime=10;useinbandfec=1"
      if let plan {
        if plan.opusStereo { text += ";stereo=1" }
        if let rate = plan.opusMaximumAverageBitrate {
          text += ";maxaveragebitrate=\(min(max(rate, 6_000), 510_000))"
        }
        if plan.opusDTX { text += ";usedtx=1" }
      }
      // Receivers that look at the other side's parameters play one channel without it.
      if isStereo { text += ";sprop-stereo=1" + (plan?.opusStereo == true ? "" : ";stereo=1") }
      return text
    }
  }

  private func writeDataChannels(into m: inout MediaDescription, isOld: Bool, port: UInt16) {
    if isOld {
      m.formats = [String(port)]
      m.attributes.append(Attribute("sctpmap", "\(port) webrtc-datachannel 65535"))
    } else {
      m.formats = ["webrtc-datachannel"]
      m.attributes.append(Attribute("sctp-port", "5000"))
    }
    m.attributes.append(Attribute("max-message-size", String(policy.maximumMessageSize)))
  }

  private func write(
    _ codec: SectionCodec, of all: [SectionCodec], opus: OpusWishes, into m: inout MediaDescription
  ) {
    let pt = codec.payloadType
    m.formats.append(pt.description)
    let map = RTPMap(
      payloadType: pt, encodingName: codec.encodingName, clockRate: codec.clockRate, channels: codec.channels)
    m.attributes.append(Attribute("rtpmap", map.description))
    for feedback in codec.feedback { m.attributes.append(Attribute("rtcp-fb", "\(pt) \(feedback)")) }
    let theirs = FormatParameters(codec.formatParameters)
    var text: String?
    switch codec.encodingName {
    case "opus": text = opus.text
    case "red":
      if let primary = all.first(where: { $0.encodingName == "opus" })?.payloadType { text = "\(primary)/\(primary)" }
    case "H264":
      let profile = theirs["profile-level-id"] ?? H264Profile.assumed
      let mode = theirs.number("packetization-mode") ?? 0
      text = "level-asymmetry-allowed=1;packetization-mode=\(mode);profile-level-id=\(profile)"
    case "VP9": text = theirs["profile-id"].flatMap { Fields.number($0, as: UInt8.self) }.map { "profile-id=\($0)" }
    case "AV1":
      let known = ["level-idx", "profile", "tier"].compactMap { name in
        theirs[name].flatMap { Fields.number($0, as: UInt8.self) }.map { "\(name)=\($0)" }
      }
      text = known.isEmpty ? nil : known.joined(separator: ";")
    default: break
    }
    if let text { m.attributes.append(Attribute("fmtp", "\(pt) \(text)")) }
    if let retransmission = codec.retransmission {
      m.formats.append(retransmission.description)
      m.attributes.append(Attribute("rtpmap", "\(retransmission) rtx/\(codec.clockRate)"))
      m.attributes.append(Attribute("fmtp", "\(retransmission) apt=\(pt)"))
    }
  }

  private func write(
    _ sender: SenderDescription, withRetransmission codecs: [SectionCodec], into m: inout MediaDescription
  ) {
    m.attributes.append(Attribute("msid", "\(sender.streamID) \(sender.trackID)"))
    var sources = [sender.ssrc]
    if let retransmission = sender.retransmissionSSRC, codecs.contains(where: { $0.retransmission != nil }) {
      sources.append(retransmission)
      m.attributes.append(
        Attribute("ssrc-group", "FID \(sender.ssrc.rawValue) \(retransmission.rawValue)"))
    }
    for source in sources {
      m.attributes.append(Attribute("ssrc", "\(source.rawValue) cname:\(sender.cname)"))
      m.attributes.append(Attribute("ssrc", "\(source.rawValue) msid:\(sender.streamID) \(sender.trackID)"))
    }
  }
}
