import Core
import SDP

private let transport = TransportParameters(
  ufrag: "ours", pwd: "ourpasswordourpassword22", candidates: [],
  fingerprint: Fingerprint(algorithm: "sha-256", value: Array(repeating: "AB", count: 32).joined(separator: ":")))
private let address = SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 20_000)

private func leg(_ transport: LegTransport) -> AudioSession {
  AudioSession(codecs: AudioCodec.allCases, transport: transport, ssrc: SSRC(1), cname: "c", sessionID: 1)
}

/// Parses, prints and parses again; then takes the description as offer, as answer and as a second offer.
func fuzzSDP(_ bytes: [UInt8]) {
  guard let sdp = try? SessionDescription(parsing: bytes) else { return }
  guard let again = try? SessionDescription(parsing: sdp.description) else {
    // Repaired UTF-8 grows; only then may a description not come back.
    precondition(sdp.description.utf8.count > bytes.count, "what was printed does not parse")
    return
  }
  precondition(again == sdp, "what was printed reads otherwise")

  for kind in [LegTransport.webRTC(transport, address: address), .rtp(address: address.ip, port: 4_000, rtcpPort: nil)]
  {
    var callee = leg(kind)
    if (try? callee.receiveOffer(sdp)) != nil {
      guard let answer = try? callee.makeAnswer() else { preconditionFailure("an accepted offer has no answer") }
      precondition(answer.media.count == sdp.media.count, "RFC 3264 §6: as many sections as the offer")
      precondition((try? SessionDescription(parsing: answer.description)) != nil, "our answer does not parse")
      precondition(
        callee.negotiated.map { $0.receivePayloadTypes[$0.payloadType] != nil } ?? false, "codec not received")
      guard let offer = try? callee.makeOffer(direction: .sendonly) else { preconditionFailure("no offer in stable") }
      precondition(offer.media.count == sdp.media.count, "RFC 3264 §8: as many sections as before")
      for section in offer.media {
        precondition(section.port == 0 || Set(section.formats).count == section.formats.count, "a number twice")
      }
      if (try? callee.receiveAnswer(sdp)) == nil { callee.rollback() }
      if (try? callee.receiveOffer(sdp)) != nil { _ = try? callee.makeAnswer(direction: .inactive) }
    }
    var caller = leg(kind)
    _ = try? caller.makeOffer()
    if (try? caller.receiveAnswer(sdp)) != nil { try? caller.receiveAnswer(sdp) }
  }
}
