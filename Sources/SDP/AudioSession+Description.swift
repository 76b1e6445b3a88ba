import Core

extension AudioSession {
  /// Our description: the audio section at its place, every other section with port 0. An empty `formats` switches the
  /// audio off too.
  func describe(
    formats: [NumberedFormat], direction: Direction, setup: DTLSSetup?, rtcpMux: Bool
  ) -> SessionDescription {
    let ip =
      switch transport {
      case .rtp(let address, _, _): address
      case .webRTC(_, let address): address.ip
      }
    let connection = SessionDescription.Connection(ip)
    var result = SessionDescription(
      origin: .init(
        sessionID: String(sessionID), sessionVersion: "0", address: connection.address, isIPv6: connection.isIPv6),
      connection: transport.isWebRTC ? nil : connection)

    if case .webRTC(let parameters, _) = transport {
      let audio = agreement.audioIndex.map { agreement.sections[$0] }
      if let audio, audio.isBundled, let mid = audio.mid, !formats.isEmpty {
        result.attributes.append(Attribute("group", "BUNDLE \(mid)"))
      }
      if parameters.iceLite { result.attributes.append(Attribute("ice-lite")) }
      result.attributes.append(Attribute("msid-semantic", "WMS \(cname)"))
    }
    for (index, section) in agreement.sections.enumerated() {
      if index == agreement.audioIndex, !formats.isEmpty {
        result.media.append(
          audioSection(section, formats: formats, direction: direction, setup: setup, rtcpMux: rtcpMux))
      } else {
        result.media.append(refusedSection(section))
      }
    }
    return result
  }

  private func audioSection(
    _ section: Section, formats: [NumberedFormat], direction: Direction, setup: DTLSSetup?, rtcpMux: Bool
  ) -> MediaDescription {
    var m = MediaDescription(
      kind: section.kind, port: 0, protocol: section.protocol, formats: formats.map(\.payloadType.description))
    for entry in formats {
      let pt = entry.payloadType
      m.attributes.append(Attribute("rtpmap", entry.format.rtpMap(pt).description))
      switch entry.format {
      case .codec(.opus) where !opusFormatParameters.isEmpty:
        m.attributes.append(Attribute("fmtp", "\(pt) \(opusFormatParameters)"))
      case .telephoneEvent: m.attributes.append(Attribute("fmtp", "\(pt) 0-16"))
      default: break
      }
    }
    m.attributes.append(Attribute("ptime", "20"))
    m.attributes.append(Attribute("maxptime", "60"))
    m.attributes.append(Attribute(direction.rawValue))
    if let mid = section.mid { m.attributes.append(Attribute("mid", mid)) }

    switch transport {
    case .rtp(_, let port, let rtcpPort):
      m.port = port
      if let rtcpPort { m.attributes.append(Attribute("rtcp", String(rtcpPort))) }
      if rtcpMux { m.attributes.append(Attribute("rtcp-mux")) }
    case .webRTC(let parameters, let address):
      // Port 9 with no candidate yet (RFC 8840 §4.1.1); port 0 would refuse the stream.
      m.port = address.port == 0 ? 9 : address.port
      m.connection = .init(address.ip)
      m.attributes.append(Attribute("rtcp-mux"))
      m.attributes.append(Attribute("ice-ufrag", parameters.ufrag))
      m.attributes.append(Attribute("ice-pwd", parameters.pwd))
      m.attributes.append(Attribute("fingerprint", parameters.fingerprint.description))
      if let setup { m.attributes.append(Attribute("setup", setup.rawValue)) }
      m.attributes.append(Attribute("msid", "\(cname) audio"))
      m.attributes.append(Attribute("ssrc", "\(ssrc.rawValue) cname:\(cname)"))
      for candidate in parameters.candidates {
        let value = candidate.hasPrefix("candidate:") ? String(candidate.dropFirst(10)) : candidate
        m.attributes.append(Attribute("candidate", value))
      }
      m.attributes.append(Attribute("end-of-candidates"))
    }
    return m
  }

  private func refusedSection(_ section: Section) -> MediaDescription {
    var m = MediaDescription(
      kind: section.kind, port: 0, protocol: section.protocol,
      formats: section.formats.isEmpty ? ["0"] : section.formats)
    if transport.isWebRTC { m.connection = .init(address: "0.0.0.0") }
    m.attributes.append(Attribute("inactive"))
    if let mid = section.mid { m.attributes.append(Attribute("mid", mid)) }
    return m
  }
}
