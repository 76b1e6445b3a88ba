import Core
import Logging
import SDP
import SIP

/// A call survives a dropped WebSocket, a page that is loaded anew and a change of network.
///
/// The leg that has lost its way to us is held for `GatewayConfiguration.survival`. Its audio goes on as long as packets
/// come; if none do, the other side hears music. The same page that registers again over another flow goes on with its
/// dialog, and gets a re-INVITE with an ICE restart if its media has not come back by then; a new page takes the leg's
/// place by an INVITE with Replaces.
extension Call {
  private static let pulse = Duration.milliseconds(500)

  /// The connection of a browser's leg closed.
  func cutOff(_ leg: SIPLeg) async {
    guard phase == .answered, leg.phase == .answered, leg === caller || leg === callee else { return }
    var outage = leg.outage ?? Outage()
    outage.isCutOff = true
    outage.isBeingMended = false
    leg.outage = outage
    logger.notice("connection lost, call held", metadata: ["leg": "\(leg.record.party)"])
    core.setTimer(.survival(leg.id), of: self, after: core.configuration.survival)
    core.setTimer(.pulse(leg.id), of: self, after: Self.pulse)
    let packets = await host.counters(leg.id)?.packetsReceived
    leg.outage?.packets = packets ?? 0
  }

  /// The far end can be reached again, over a new flow.
  func reachable(_ leg: SIPLeg) async {
    guard var outage = leg.outage, outage.isCutOff else { return }
    outage.isCutOff = false
    leg.outage = outage
    logger.info("connection restored", metadata: ["leg": "\(leg.record.party)", "media": "\(!outage.isMute)"])
    // A page that notices by itself that its media is gone restarts ICE at once.
    core.setTimer(.revive(leg.id), of: self, after: .milliseconds(800))
    await lookAfter(leg)
  }

  func survivalTimer(_ timer: CallTimer) async {
    switch timer {
    case .pulse(let id):
      guard let leg = legs.first(where: { $0.id == id }), leg.outage != nil else { return }
      await feelPulse(leg)
    case .revive(let id):
      guard let leg = legs.first(where: { $0.id == id }), let outage = leg.outage else { return }
      if outage.isMute, !outage.isCutOff, !outage.isBeingMended { await leg.restartICE() }
    case .survival(let id):
      guard let leg = legs.first(where: { $0.id == id }), let outage = leg.outage else { return }
      if outage.isMute {
        await end(by: .system, status: 200, reason: "\(leg.record.party) did not come back")
      } else if outage.isCutOff {
        // They talk: what is missing is signalling alone.
        core.setTimer(.survival(id), of: self, after: core.configuration.survival)
      }
    default: break
    }
  }

  private func feelPulse(_ leg: SIPLeg) async {
    let packets = await host.counters(leg.id)?.packetsReceived ?? 0
    guard var outage = leg.outage else { return }
    let wasMute = outage.isMute
    outage.isSilent = packets == outage.packets && (outage.isCutOff || outage.isClosed || outage.isSilent)
    if packets != outage.packets { outage.isBroken = false }
    outage.packets = packets
    leg.outage = outage
    core.setTimer(.pulse(leg.id), of: self, after: Self.pulse)
    if wasMute != outage.isMute { await updateSources() }
    await lookAfter(leg)
  }

  /// ICE or DTLS of a leg failed or closed.
  func mediaBroke(_ leg: SIPLeg) async {
    var outage = leg.outage ?? Outage()
    let wasMute = outage.isMute
    outage.isBroken = true
    outage.isBeingMended = false
    leg.outage = outage
    if !wasMute { await updateSources() }
  }

  /// The far end closed its media. Who hangs up does so too, just before the BYE: no music for those milliseconds.
  func mediaClosed(_ leg: SIPLeg) async {
    var outage = leg.outage ?? Outage()
    outage.isClosed = true
    leg.outage = outage
    core.setTimer(.pulse(leg.id), of: self, after: Self.pulse)
    let packets = await host.counters(leg.id)?.packetsReceived
    leg.outage?.packets = packets ?? 0
  }

  /// ICE found a way again.
  func mediaMended(_ leg: SIPLeg) async {
    guard var outage = leg.outage else { return }
    let wasMute = outage.isMute
    (outage.isBroken, outage.isSilent, outage.isClosed) = (false, false, false)
    leg.outage = outage
    if wasMute { await updateSources() }
    await lookAfter(leg)
  }

  /// Ends an outage that is over. A held far end sends nothing: there its connection is enough.
  private func lookAfter(_ leg: SIPLeg) async {
    guard var outage = leg.outage else { return }
    if leg.isHeldByPeer, !outage.isBroken { outage.isSilent = false }
    guard outage.isOver else { return }
    leg.outage = nil
    for timer in [CallTimer.survival(leg.id), .pulse(leg.id), .revive(leg.id)] { core.cancelTimer(timer, of: self) }
    logger.info("call goes on", metadata: ["leg": "\(leg.record.party)"])
    await updateSources()
  }
}

extension SIPLeg {
  /// Nobody can be heard there: the other side gets music.
  var isAway: Bool { outage?.isMute ?? false }

  /// Offers new ICE credentials by a re-INVITE.
  func restartICE() async {
    guard phase == .answered, profile == .webRTC, reinvite == nil, !awaitsAnswerInACK, session != nil else { return }
    outage?.isBeingMended = true
    let local: LocalWebRTC
    do {
      guard let found = try await host.restartICE(id) else { return }
      local = found
    } catch {
      call?.logger.error("ICE restart failed", metadata: ["leg": "\(record.party)", "error": "\(error)"])
      return
    }
    // Meanwhile the far end may have offered, or gone.
    guard phase == .answered, reinvite == nil, !awaitsAnswerInACK, var request = dialog?.makeRequest(.invite) else {
      return
    }
    session?.updateTransport(.webRTC(parameters(local), address: Self.defaultAddress(local.candidates)))
    guard let offer = try? session?.makeOffer() else { return }
    sessionTimer?.offer(in: &request, minimum: core.sessionPolicy.minimum)
    request.headers.set(.contact, core.contactHeader(for: destination))
    request.headers.set(.allow, B2BUA.allow)
    request.setBody(Array(offer.description.utf8), contentType: "application/sdp")
    credentials?.authorize(&request)
    refreshRequest = request
    reinvite = send(request)
  }
}
