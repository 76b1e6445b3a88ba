import Core
import Logging
import SDP
import SIP

/// The caller's side: Parley is the user agent server of the INVITE.
extension SIPLeg {
  /// Reads the caller's offer before anything is set up for it.
  func readOffer() {
    guard !inviteRequest.body.isEmpty else { return }
    guard inviteRequest.headers.mediaType == "application/sdp" else {
      offerFailure = (415, "the INVITE's body is not application/sdp")
      return
    }
    do {
      let offer = try SessionDescription(parsing: inviteRequest.body)
      remoteOffer = offer
      try rehearse(offer)
    } catch let error as OfferAnswerError {
      offerFailure = (488, "the offer cannot be served: \(error)")
    } catch {
      offerFailure = (400, "the offer does not parse: \(error)")
    }
  }

  /// Tries the offer on a session without media, so that nobody's phone rings for a call that cannot be.
  private func rehearse(_ offer: SessionDescription) throws {
    let nowhere = IPAddress(v4: 0)
    let transport: LegTransport =
      switch profile {
      case .rtp: .rtp(address: nowhere, port: 9, rtcpPort: nil)
      case .webRTC:
        .webRTC(
          parameters(LocalWebRTC(ufrag: "", password: "", candidates: [], fingerprint: "", isICELite: false)),
          address: SocketAddress(ip: nowhere, port: 9))
      }
    var session = AudioSession(codecs: codecs, transport: transport, ssrc: SSRC(1), cname: "", sessionID: 1)
    try session.receiveOffer(offer)
    _ = try session.makeAnswer()
  }

  /// Opens the caller's media and applies the offer, ready to answer.
  func prepareMedia() async throws {
    guard session == nil, !isRoom else { return }
    try await openMedia()
    if let remoteOffer { try session?.receiveOffer(remoteOffer) }
  }

  /// 180, or 183 with the one SDP that the 200 will repeat (RFC 3261 §13.2.1, RFC 6337 §3.1.1).
  func progress(status: Int, withMedia: Bool) async {
    guard phase == .inviting, let transaction = serverInvite else { return }
    if withMedia {
      do {
        try await makeAnswerSDP()
      } catch {
        call?.logger.error("early media failed", metadata: ["error": "\(error)"])
      }
    }
    // Without reliable provisional responses a second identical one serves only as a reminder; send it once.
    core.respond(makeResponse(status, to: inviteRequest, sdp: answerSDP), to: transaction)
  }

  private func makeAnswerSDP() async throws {
    guard answerSDP == nil else { return }
    try await prepareMedia()
    guard remoteOffer != nil else { return }
    answerSDP = try session?.makeAnswer()
    try await applyNegotiated()
  }

  /// 200 with the answer, or with our offer where the INVITE had none.
  func answer() async throws {
    guard phase == .inviting, let transaction = serverInvite else { return }
    try await makeAnswerSDP()
    if remoteOffer == nil, answerSDP == nil {
      answerSDP = try session?.makeOffer()
      awaitsAnswerInACK = true
    }
    phase = .answered
    dialog?.confirm()
    learn(from: inviteRequest.headers)
    record.answeredAt = .now()
    record.status = 200
    var response = makeResponse(200, to: inviteRequest, sdp: answerSDP)
    startSessionTimer(asServer: inviteRequest, response: &response)
    core.respond(response, to: transaction)
  }

  /// The final refusal of the INVITE.
  func reject(_ status: Int, cause: Int, reason: String) {
    guard phase == .inviting, let transaction = serverInvite else { return }
    phase = .ended
    record.status = status
    record.reason = reason
    var response = makeResponse(status, to: inviteRequest)
    response.headers.append(
      .reason, "Q.850;cause=\(StatusMap.q850Cause(cause));text=\"\(quoted(reason))\"")
    if status == 503 { response.headers.set(.retryAfter, "10") }
    core.respond(response, to: transaction)
  }

  /// The ACK of our 200; in a delayed offer it carries the answer (RFC 3264 §4, RFC 3261 §13.2.2.4).
  func acknowledged(_ ack: SIPRequest) async {
    guard awaitsAnswerInACK, phase == .answered else { return }
    awaitsAnswerInACK = false
    let isFirst = session?.negotiated == nil
    do {
      guard !ack.body.isEmpty else { throw DelayedOfferError.noAnswer }
      try session?.receiveAnswer(SessionDescription(parsing: ack.body))
      try await applyNegotiated()
      await call?.holdChanged()
    } catch {
      session?.rollback()
      // A running session stands as it was before the re-INVITE; a call that never had one ends.
      guard isFirst else { return }
      await call?.end(by: .system, status: 200, reason: "the ACK's answer cannot be used: \(error)")
    }
  }

  enum DelayedOfferError: Error { case noAnswer }
}
