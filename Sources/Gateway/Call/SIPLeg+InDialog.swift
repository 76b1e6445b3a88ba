import Core
import SDP
import SIP

/// Requests inside an established dialog: re-INVITE, UPDATE, BYE, INFO, OPTIONS.
extension SIPLeg {
  func receive(_ request: SIPRequest, transaction: ServerTransactionID, flow: Flow) async {
    switch dialog?.receive(request) {
    case .accept: break
    case .outOfOrder:
      // RFC 3261 §12.2.2: a CSeq lower than the last one.
      core.respond(makeResponse(500, to: request), to: transaction)
      return
    case .wrongDialog, nil:
      core.respond(makeResponse(481, to: request), to: transaction)
      return
    }
    if flow.transport.isReliable || isUser {
      moved(to: .flow(flow))
      // A request over a new flow is as good as a registration.
      await call?.reachable(self)
    }
    let unsupported = core.unsupported(request)
    guard unsupported.isEmpty else {
      var response = makeResponse(420, to: request)
      response.headers.set(.unsupported, unsupported.joined(separator: ", "))
      core.respond(response, to: transaction)
      return
    }
    switch request.method {
    case .invite, .update: await renegotiate(request, transaction)
    case .bye: await bye(request, transaction)
    case .info: await info(request, transaction)
    case .refer: await receiveRefer(request, transaction)
    case .options: core.respond(core.optionsResponse(to: request, tag: localTag), to: transaction)
    default:
      var response = makeResponse(405, to: request)
      response.headers.set(.allow, B2BUA.allow)
      core.respond(response, to: transaction)
    }
  }

  // MARK: BYE

  private func bye(_ request: SIPRequest, _ transaction: ServerTransactionID) async {
    guard phase == .answered || phase == .inviting else {
      core.respond(makeResponse(200, to: request), to: transaction)
      return
    }
    pendingBye = (transaction, request)
    if phase == .inviting {
      // A BYE on an early dialog (RFC 3261 §15.1.2): the INVITE ends with 487.
      await call?.callerGaveUp()
      answerPendingBye()
      return
    }
    phase = .ended
    let reason = request.headers.reasons.first?.text ?? "hung up"
    await call?.ended(by: self, reason: reason)
    answerPendingBye()
  }

  // MARK: re-INVITE and UPDATE

  private func renegotiate(_ request: SIPRequest, _ transaction: ServerTransactionID) async {
    guard phase == .answered else {
      core.respond(makeResponse(phase == .ended ? 481 : 491, to: request), to: transaction)
      return
    }
    // RFC 3261 §14.2: ours is under way. RFC 3311 §5.2 says the same of UPDATE.
    guard reinvite == nil, !awaitsAnswerInACK else {
      core.respond(makeResponse(491, to: request), to: transaction)
      return
    }
    if let minimum = core.tooShortSession(request) {
      var response = makeResponse(422, to: request)
      response.headers.minSE = minimum
      core.respond(response, to: transaction)
      return
    }
    let before = session
    do {
      let answer = try await answerRenegotiation(request)
      learn(from: request.headers)
      var response = makeResponse(200, to: request, sdp: answer)
      startSessionTimer(asServer: request, response: &response)
      // Only an INVITE is acknowledged.
      if request.method == .invite { core.registerInvite(transaction, self) }
      core.respond(response, to: transaction)
      await call?.holdChanged()
    } catch {
      session = before
      try? await applyNegotiated()
      var response = makeResponse(488, to: request)
      response.headers.append(.warning, "399 \(core.configuration.domain) \"\(quoted("\(error)"))\"")
      core.respond(response, to: transaction)
    }
  }

  private func answerRenegotiation(_ request: SIPRequest) async throws -> SessionDescription? {
    if request.body.isEmpty {
      guard request.method == .invite else { return nil }
      awaitsAnswerInACK = true
      do {
        return try session?.makeOffer()
      } catch {
        awaitsAnswerInACK = false
        throw error
      }
    }
    let offer = try SessionDescription(parsing: request.body)
    try session?.receiveOffer(offer)
    if session?.remote?.iceRestarted ?? false, let local = try await host.restartICE(id) {
      var renewed = parameters(local)
      renewed.setup = session?.dtlsRole ?? .passive
      session?.updateTransport(.webRTC(renewed, address: Self.defaultAddress(local.candidates)))
      outage?.isBeingMended = true
    }
    let answer = try session?.makeAnswer()
    try await applyNegotiated()
    return answer
  }

  /// The answer to a re-INVITE or UPDATE of ours (session refresh).
  func receiveReinviteAnswer(_ response: SIPResponse, _ transaction: ClientTransactionID) async {
    guard response.status >= 200 else { return }
    reinvite = nil
    if response.isSuccess, let request = refreshRequest, request.method == .invite, let dialog {
      core.acknowledge(
        dialog.makeACK(sequence: request.headers.cSeq?.number ?? 1), for: transaction, dialog: dialog, leg: self)
    }
    guard phase == .answered else { return }
    switch response.status {
    case 200..<300:
      if let request = refreshRequest {
        dialog?.receive(response, to: request)
        if request.method == .invite { await takeRefreshAnswer(response) }
        refreshAttempts = 0
        refreshAgain = nil
        startSessionTimer(asClient: response)
      }
    case 408, 481: await call?.ended(by: self, reason: "the far end no longer knows the call")
    default:
      // Refused, perhaps glare (491): the session stands as it was until a new try, or its expiry.
      session?.rollback()
      refreshRefused(response)
      return
    }
    refreshRequest = nil
  }

  private func takeRefreshAnswer(_ response: SIPResponse) async {
    do {
      try session?.receiveAnswer(SessionDescription(parsing: response.body))
      try await applyNegotiated()
      await call?.holdChanged()
    } catch {
      session?.rollback()
    }
  }

  // MARK: INFO

  private func info(_ request: SIPRequest, _ transaction: ServerTransactionID) async {
    let type = request.headers.mediaType ?? ""
    let text = String(decoding: request.body, as: UTF8.self)
    if type.hasPrefix("application/dtmf") {
      guard let digit = InfoDTMF.digit(in: text, type: type) else {
        core.respond(makeResponse(400, to: request), to: transaction)
        return
      }
      core.respond(makeResponse(200, to: request), to: transaction)
      await host.receiveInfo(id, digit: digit, milliseconds: InfoDTMF.duration(in: text))
    } else if type.hasPrefix("application/trickle-ice-sdpfrag") {
      // RFC 8840: candidates after the offer.
      let lines = text.split(whereSeparator: \.isNewline).filter { $0.hasPrefix("a=candidate:") }
      core.respond(makeResponse(200, to: request), to: transaction)
      await host.addRemoteCandidates(id, lines.map { String($0.dropFirst(2)) })
    } else {
      // RFC 6086 §5.4: an INFO without a package that we know; an empty one is an old keep-alive.
      core.respond(makeResponse(request.body.isEmpty ? 200 : 415, to: request), to: transaction)
    }
  }
}

/// DTMF in INFO bodies: `application/dtmf-relay` (`Signal=5`, `Duration=160`) and `application/dtmf` (the digit alone).
enum InfoDTMF {
  static func digit(in body: String, type: String) -> Character? {
    var text = Substring(body)
    let line = body.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("signal=") }
    // Some phones put the lines of dtmf-relay under the other name.
    if let line {
      text = line.dropFirst("signal=".count)
    } else if type.hasPrefix("application/dtmf-relay") {
      return nil
    }
    let value = text.filter { !$0.isWhitespace }.uppercased()
    switch value {
    case "10": return "*"
    case "11": return "#"
    default: return value.count == 1 && "0123456789*#ABCD".contains(value) ? value.first : nil
    }
  }

  /// `Duration=` in milliseconds, within what a tone may last; 160 where it is missing.
  static func duration(in body: String) -> Int {
    guard
      let line = body.split(whereSeparator: \.isNewline).first(where: { $0.lowercased().hasPrefix("duration=") }),
      let value = Int(line.dropFirst("duration=".count).filter { !$0.isWhitespace })
    else { return 160 }
    return min(max(value, 70), 6000)
  }
}
