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
    await proceed()
  }

  /// Calls the target, or whom its user's settings name instead.
  func proceed() async {
    do {
      routed = try handled(routed)
    } catch {
      await refuse(error.status, reason: error.reason, by: .system, cause: error.status)
      return
    }
    switch routed.target {
    case .echo: await answerBuiltIn(.echo, name: "echo")
    case .milliwatt: await answerBuiltIn(.milliwatt, name: "milliwatt")
    case .room(let name): await leadIntoRoom(name)
    default:
      do {
        ringing = try makeFirstLegs()
      } catch {
        if await forwardInstead(of: error.status) { return }
        await refuse(error.status, reason: error.reason, by: .system, cause: error.status)
        return
      }
      for leg in ringing { noteDiversions(on: leg) }
      scheduleForward()
      await invite(ringing)
    }
  }

  /// Why a target cannot be called.
  struct Refusal: Error {
    let status: Int
    let reason: String
  }

  /// The legs that are to be invited for a target, at least one.
  func makeLegs(for routed: RoutedCall) throws(Refusal) -> [SIPLeg] {
    switch routed.target {
    case .user(let name):
      guard core.directory.user(name) != nil else { throw Refusal(status: 404, reason: "no user \(name)") }
      let bindings = core.bindings(of: name)
      guard !bindings.isEmpty else { throw Refusal(status: 480, reason: "\(name) is not registered") }
      return bindings.map { core.makeLeg(for: $0, user: name, call: self) }
    case .trunk(let name):
      guard let trunk = core.directory.trunk(name) ?? core.directory.roomTrunk(name)?.trunk else {
        throw Refusal(status: 404, reason: "no trunk \(name)")
      }
      guard let leg = core.makeLeg(for: trunk, number: routed.number, call: self) else {
        throw Refusal(status: 503, reason: "the trunk's host \(trunk.host) does not resolve")
      }
      return [leg]
    case .echo, .milliwatt, .room, .app, .queue:
      throw Refusal(status: 501, reason: "\(routed.target) is not served by this version")
    }
  }

  func invite(_ legs: [SIPLeg]) async {
    let patience = conference?.dialling?.request.ringingTimeout ?? core.configuration.noAnswerTimeout
    core.setTimer(.noAnswer, of: self, after: patience)
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
    builtIn = source
    await updateSources()
    announceAnswer()
  }

  /// What a failure to answer reads as: an offer that we cannot serve, or trouble of our own.
  static func status(of error: any Error) -> Int { error is OfferAnswerError || error is SDPParseError ? 488 : 503 }

  // MARK: The media graph

  /// Joins the two sides' audio; what each hears follows from both sides' hold state, and from a transfer under way.
  func updateSources(silencing leaving: SIPLeg? = nil) async {
    var sources: [(LegID, HostedSource)] = []
    if let transfer {
      sources = waiting(transfer)
    } else if let callee {
      sources = joined(callee)
    } else if let builtIn {
      // What a phone plays to whom it holds is not for a conference.
      sources = [(caller.id, conference != nil && caller.isHeldByPeer ? .silence : builtIn)]
    }
    if let leaving, leaving.hasMedia { sources.append((leaving.id, .silence)) }
    if !sources.isEmpty { await setSources(sources) }
    await mediaChanged()
  }

  /// Joins the caller and `leg`, which may not have answered yet (early media).
  func join(_ callee: SIPLeg) async { await setSources(joined(callee)) }

  private func joined(_ callee: SIPLeg) -> [(LegID, HostedSource)] {
    guard callee.hasMedia, caller.hasMedia else { return [] }
    return [
      (caller.id, callee.isHeldByPeer || callee.isAway ? .holdMusic : .leg(callee.id)),
      (callee.id, caller.isHeldByPeer || caller.isAway ? .holdMusic : .leg(caller.id)),
    ]
  }

  /// The transferee hears music, ringback or the target's early media, the transferor nothing.
  private func waiting(_ transfer: Transfer) -> [(LegID, HostedSource)] {
    let transferee = transfer.transferee
    var sources: [(LegID, HostedSource)] = []
    if let early = transfer.early, early.hasMedia {
      sources = [(transferee.id, .leg(early.id)), (early.id, .leg(transferee.id))]
    } else {
      sources = [(transferee.id, transfer.isRinging ? core.configuration.ringback : .holdMusic)]
    }
    if let other = peer(of: transferee), other.hasMedia { sources.append((other.id, .silence)) }
    return sources
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
    case .transferNoAnswer: await transferNotAnswered()
    case .forward: _ = await forwardInstead(of: 480)
    case .farewell(let id): await farewell(id)
    case .survival, .pulse, .revive: await survivalTimer(timer)
    case .featureKey, .conferenceDigits, .conferenceFarewell, .conferenceLimit, .menu, .hostWatch:
      await conferenceTimer(timer)
    case .mediaRecovery(let id):
      // A leg that is cut off too has its own time.
      guard let leg = legs.first(where: { $0.id == id }), leg.outage?.isCutOff != true else { return }
      await end(by: .system, status: 200, reason: "the media path of \(leg.record.party) was lost")
    case .goodbye(let id):
      // Without its connection the page may be about to be loaded anew.
      guard let leg = legs.first(where: { $0.id == id }), leg.outage?.isCutOff != true else { return }
      await ended(by: leg, reason: "left without a BYE")
    case .session(let id):
      guard let leg = legs.first(where: { $0.id == id }) else { return }
      await leg.sessionTimerFired()
    }
  }

  func media(_ leg: SIPLeg, _ event: HostedLegEvent) async {
    // Told before its media was closed, read after; and what a leg's media does that has handed over matters to nobody.
    guard leg.hasMedia, !departing.contains(where: { $0 === leg }) else { return }
    switch event {
    case .iceConnected(let local, let remote):
      core.cancelTimer(.mediaRecovery(leg.id), of: self)
      await mediaMended(leg)
      logger.debug(
        "ICE connected", metadata: ["leg": "\(leg.record.party)", "local": "\(local)", "remote": "\(remote)"])
    case .iceDisconnected:
      core.setTimer(.mediaRecovery(leg.id), of: self, after: core.configuration.mediaRecovery)
      await mediaBroke(leg)
    case .transportConnected(let profile):
      leg.wasConnected = true
      logger.debug("DTLS connected", metadata: ["leg": "\(leg.record.party)", "profile": "\(profile)"])
    case .transportFailed(let why) where transfer?.ringing.contains(where: { $0 === leg }) ?? false:
      leg.cancel(reason: nil)
      await failed(leg, status: 503, reason: "the media of \(leg.record.party) failed: \(why)")
    case .transportFailed(let why) where leg.wasConnected && leg.isUser && phase == .answered:
      logger.notice("media path lost", metadata: ["leg": "\(leg.record.party)", "why": "\(why)"])
      core.setTimer(.mediaRecovery(leg.id), of: self, after: core.configuration.mediaRecovery)
      await mediaBroke(leg)
    case .transportFailed(let why):
      await end(by: .system, status: 200, reason: "the media of \(leg.record.party) failed: \(why)")
    case .transportClosedByPeer:
      // A browser that hangs up closes its media at once; the BYE may come behind it, by another way.
      core.setTimer(.goodbye(leg.id), of: self, after: .seconds(2))
      if phase == .answered { await mediaClosed(leg) }
    case .mediaTimeout where leg.outage != nil: break
    case .mediaTimeout:
      await end(by: .system, status: 200, reason: "no media from \(leg.record.party)")
    case .dtmf(let digit):
      logger.debug("digit", metadata: ["leg": "\(leg.record.party)", "digit": "\(digit)"])
      await recordingKey(digit, from: leg)
      if leg === caller { await conferenceMedia(event) }
    case .clipEnded:
      if await recordingNoticeEnded(leg) { return }
      if leg === caller { await conferenceMedia(event) }
    case .firstPacket, .mediaResumed: break
    }
  }
}
