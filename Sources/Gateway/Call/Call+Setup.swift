import Core
import Logging
import SDP
import SIP

/// From the caller's INVITE to the first answer.
extension Call {
  /// Nothing is written yet: the promise is for answered calls, and each durable write costs as much as a message.
  func start() async {
    logger.info("call", metadata: ["from": "\(record.from)", "to": "\(record.to)", "target": "\(routed.target)"])
    if let failure = caller.offerFailure {
      await refuse(failure.status, reason: failure.reason, by: .system, cause: failure.status)
      return
    }
    guard isRouted else {
      await refuse(404, reason: "no number, user or route matches \(record.to)", by: .system, cause: 404)
      return
    }
    switch routed.target {
    case .user(let name): await ringUser(name)
    case .trunk(let name): await ringTrunk(name)
    case .echo: await answerBuiltIn(.echo, name: "echo")
    case .milliwatt: await answerBuiltIn(.milliwatt, name: "milliwatt")
    case .room, .app, .queue:
      await refuse(501, reason: "\(routed.target) is not served by this version", by: .system, cause: 501)
    }
  }

  private func ringUser(_ name: String) async {
    guard core.directory.user(name) != nil else {
      await refuse(404, reason: "no user \(name)", by: .system, cause: 404)
      return
    }
    let bindings = core.bindings(of: name)
    guard !bindings.isEmpty else {
      await refuse(480, reason: "\(name) is not registered", by: .system, cause: 480)
      return
    }
    ringing = bindings.map { core.makeLeg(for: $0, user: name, call: self) }
    await invite(ringing)
  }

  private func ringTrunk(_ name: String) async {
    guard let trunk = core.directory.trunk(name) else {
      await refuse(404, reason: "no trunk \(name)", by: .system, cause: 404)
      return
    }
    guard let leg = core.makeLeg(for: trunk, number: routed.number, call: self) else {
      await refuse(503, reason: "the trunk's host \(trunk.host) does not resolve", by: .system, cause: 503)
      return
    }
    ringing = [leg]
    await invite(ringing)
  }

  private func invite(_ legs: [SIPLeg]) async {
    core.setTimer(.noAnswer, of: self, after: core.configuration.noAnswerTimeout)
    for leg in legs {
      do {
        try await leg.invite()
      } catch {
        logger.error("a leg could not be set up", metadata: ["leg": "\(leg.record.party)", "error": "\(error)"])
        await failed(leg, status: 503, reason: "media: \(error)")
      }
    }
    // The caller's own media is made while the other side rings: answering then costs nothing.
    if phase == .setup || phase == .ringing {
      do {
        try await caller.prepareMedia()
      } catch {
        await end(
          by: .system, status: Self.status(of: error), reason: "the caller's media could not be set up: \(error)")
      }
    }
  }

  private func answerBuiltIn(_ source: HostedSource, name: String) async {
    do {
      try await caller.answer()
    } catch {
      let status = Self.status(of: error)
      await refuse(status, reason: "media: \(error)", by: .system, cause: status)
      return
    }
    becomeAnswered()
    var leg = LegRecord(index: 1, kind: .builtIn, party: name, sipCallID: "", startedAt: .now())
    leg.answeredAt = .now()
    record.legs.append(leg)
    await setSources([(caller.id, source)])
    announceAnswer()
  }

  /// What a failure to answer reads as: an offer that we cannot serve, or trouble of our own.
  static func status(of error: any Error) -> Int { error is OfferAnswerError || error is SDPParseError ? 488 : 503 }

  // MARK: The media graph

  /// Joins the two sides' audio; what each hears follows from both sides' hold state.
  func updateSources() async {
    if let callee { await join(callee) }
  }

  /// Joins the caller and `leg`, which may not have answered yet (early media).
  func join(_ callee: SIPLeg) async {
    guard callee.hasMedia, caller.hasMedia else { return }
    await setSources([
      (caller.id, callee.isHeldByPeer ? .holdMusic : .leg(callee.id)),
      (callee.id, caller.isHeldByPeer ? .holdMusic : .leg(caller.id)),
    ])
  }

  private func setSources(_ sources: [(LegID, HostedSource)]) async {
    do {
      try await host.setSources(sources)
    } catch {
      await end(by: .system, status: 500, reason: "the legs' audio could not be joined: \(error)")
    }
  }

  // MARK: Timers and media events

  func fired(_ timer: CallTimer) async {
    switch timer {
    case .noAnswer:
      guard phase == .setup || phase == .ringing else { return }
      for leg in ringing { leg.cancel(reason: "Q.850;cause=19;text=\"No answer\"") }
      let rang = record.ringingAt != nil
      await refuse(
        480, reason: "nobody answered", by: .system, cause: rang ? 480 : 408, outcome: rang ? .noAnswer : .failed)
    case .mediaRecovery(let id):
      guard let leg = legs.first(where: { $0.id == id }) else { return }
      await end(by: .system, status: 200, reason: "the media path of \(leg.record.party) was lost")
    case .goodbye(let id):
      guard let leg = legs.first(where: { $0.id == id }) else { return }
      await ended(by: leg, reason: "left without a BYE")
    case .session(let id):
      guard let leg = legs.first(where: { $0.id == id }) else { return }
      await leg.sessionTimerFired()
    }
  }

  func media(_ leg: SIPLeg, _ event: HostedLegEvent) async {
    // Told before its media was closed, read after.
    guard leg.hasMedia else { return }
    switch event {
    case .iceConnected(let local, let remote):
      core.cancelTimer(.mediaRecovery(leg.id), of: self)
      logger.debug(
        "ICE connected", metadata: ["leg": "\(leg.record.party)", "local": "\(local)", "remote": "\(remote)"])
    case .iceDisconnected:
      core.setTimer(.mediaRecovery(leg.id), of: self, after: core.configuration.mediaRecovery)
    case .transportConnected(let profile):
      logger.debug("DTLS connected", metadata: ["leg": "\(leg.record.party)", "profile": "\(profile)"])
    case .transportFailed(let why):
      await end(by: .system, status: 200, reason: "the media of \(leg.record.party) failed: \(why)")
    case .transportClosedByPeer:
      // A browser that hangs up closes its media at once; the BYE may come behind it, by another way.
      core.setTimer(.goodbye(leg.id), of: self, after: .seconds(2))
    case .mediaTimeout:
      await end(by: .system, status: 200, reason: "no media from \(leg.record.party)")
    case .dtmf(let digit):
      logger.debug("digit", metadata: ["leg": "\(leg.record.party)", "digit": "\(digit)"])
    case .firstPacket, .mediaResumed: break
    }
  }
}
