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
  if let fragment = try? SDPFragment(parsing: bytes) {
    let text = fragment.description
    if text.utf8.count <= bytes.count { precondition((try? SDPFragment(parsing: Array(text.utf8))) != nil) }
  }
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

  fuzzMultiplexed(sdp)
}

private func track(_ kind: SectionKind, _ id: String) -> SenderDescription {
  SenderDescription(
    kind: kind, streamID: "s", trackID: id, ssrc: SSRC(1), retransmissionSSRC: SSRC(2), cname: "c")
}

/// The same with many sections: as an offer to publish and to receive, once more, and as an answer.
private func fuzzMultiplexed(_ sdp: SessionDescription) {
  var policy = MediaPolicy.room
  policy.sendsOnBidirectionalSections = sdp.media.count % 2 == 0
  var answerer = MultiplexedSession(role: .answerer, transport: transport, policy: policy, sessionID: 1)
  _ = try? answerer.addSender(track(.audio, "a"))
  _ = try? answerer.addSender(track(.video, "v"))
  for round in 0..<3 {
    guard let offer = try? answerer.receiveOffer(sdp) else { break }
    precondition(offer.sections.count == sdp.media.count, "a section was lost")
    for section in offer.sections where !section.isUnusable && section.kind != .application {
      precondition(!section.codecs.isEmpty && !section.encodings.isEmpty, "a usable section has nothing in it")
      precondition(section.encodings.count <= policy.maximumEncodings, "too many encodings")
      precondition(Set(section.extensions.values).count == section.extensions.count, "an extension number twice")
    }
    if round == 1 {
      answerer.rollback()
      continue
    }
    var plans: [String: ReceiverPlan] = [:]
    for section in offer.sections { plans[section.mid] = ReceiverPlan() }
    guard let answer = try? answerer.makeAnswer(receiving: plans) else {
      preconditionFailure("an accepted offer has no answer")
    }
    precondition(answer.media.count == sdp.media.count, "RFC 3264 §6: as many sections as the offer")
    var limits = SessionDescription.Limits.rooms
    limits.bytes *= 4
    guard let again = try? SessionDescription(parsing: answer.description, limits: limits) else {
      preconditionFailure("our answer does not parse")
    }
    precondition(again == answer, "our answer reads otherwise")
    for (theirs, ours) in zip(offer.sections, answer.media) where ours.port != 0 && theirs.kind != .application {
      let allowed = theirs.direction.reversed
      precondition(
        answer.direction(of: ours).intersected(with: allowed) == answer.direction(of: ours), "more than was offered")
      precondition(Set(ours.formats).count == ours.formats.count, "a number twice")
    }
    precondition(Set(answerer.tracksByMid.values).count == answerer.tracksByMid.count, "a track in two sections")
  }

  var offerer = MultiplexedSession(role: .offerer, transport: transport, policy: policy, sessionID: 1)
  for (index, media) in sdp.media.prefix(16).enumerated() {
    switch media.kind {
    case "audio": _ = try? offerer.addSender(track(.audio, "\(index)"))
    case "video": _ = try? offerer.addSender(track(.video, "\(index)"))
    default: try? offerer.enableDataChannels()
    }
  }
  guard (try? offerer.makeOffer()) != nil else { preconditionFailure("no offer in stable") }
  if let answer = try? offerer.receiveAnswer(sdp) {
    for sender in answer.senders where !sender.isRefused { precondition(!sender.section.codecs.isEmpty, "no codec") }
  } else {
    offerer.rollback()
  }
  offerer.removeSender(trackID: "0")
  _ = try? offerer.addSender(track(.video, "new"))
  guard let offer = try? offerer.makeOffer() else { preconditionFailure("no offer in stable") }
  precondition((try? SessionDescription(parsing: offer.description)) != nil, "our offer does not parse")
}
