import Core
import Logging
import SIP

/// One call: a caller's leg, the legs that ring, and the one that answered.
///
/// A router: each leg runs its own dialog, offer/answer and timers and reports what matters (`LegReport`); the call
/// decides what that means for the others. Confined to the gateway's executor; events are handled one after another.
final class Call {
  enum Phase { case setup, ringing, answered, ended }

  let id: String
  let number: UInt64
  let core: B2BUA
  /// Who called; after a transfer whoever stands on that side.
  var caller: SIPLeg
  /// Where the call leads; the called user's settings may change it.
  var routed: RoutedCall
  let host: MediaHost
  /// False where the directory knows no way to the number: the call exists only to be refused and recorded.
  var isRouted = true
  /// Max-Forwards of the INVITEs that we send on (RFC 3261 §16.6 step 3, against loops through other B2BUAs).
  var maxForwards = 69
  var phase = Phase.setup
  var record: CallRecord
  /// Legs that were invited and have neither failed nor answered.
  var ringing: [SIPLeg] = []
  /// The leg that answered, or took its place; nil for a built-in.
  var callee: SIPLeg?
  /// What the caller hears where there is no callee.
  var builtIn: HostedSource?
  /// The caller's side sits in a room, or a phone is being rung into one.
  var conference: Conference?
  /// How the phone on the caller's side was shown in the room that it entered last.
  var seatedAs: PhoneEntry?
  /// The caller is on the way into a room.
  var dialIn: DialIn?
  /// The trunk of a phone that is rung into a room, where it is none of the directory's, and its address.
  var dialledTrunk: (trunk: Trunk, address: IPAddress?)?
  /// Further header fields of the INVITEs to it.
  var invitedHeaders: [String: String] = [:]
  /// One side waits while another target rings.
  var transfer: Transfer?
  let recording = CallRecording()
  /// Legs that have handed over their side and are about to leave.
  var departing: [SIPLeg] = []
  /// Users who have forwarded the call before it was answered, with the reason of RFC 5806.
  var diversions: [(user: String, reason: String)] = []
  /// The user whose calls this one is counted among: who called, or transferred to a trunk.
  var responsible: String?
  /// The best refusal so far (RFC 3261 §16.7 step 6).
  var bestFailure: (status: Int, reason: String)?
  /// The save of the running call's record that was started last.
  var lastSave: Task<Void, Never>?
  let logger: Logger

  /// Every leg that the call ever had.
  private(set) var members: [SIPLeg] = []
  private var mailbox: [CallEvent] = []
  private var isDraining = false

  init(id: String, number: UInt64, core: B2BUA, caller: SIPLeg, routed: RoutedCall, record: CallRecord) {
    self.id = id
    self.number = number
    self.core = core
    self.caller = caller
    self.routed = routed
    self.record = record
    host = caller.host
    var logger = core.logger
    logger[metadataKey: "call"] = "\(id)"
    logger[metadataKey: "sip-call-id"] = "\(caller.callID)"
    self.logger = logger
  }

  /// Adds an event; true if the mailbox needs a task to drain it.
  func enqueue(_ event: CallEvent) -> Bool {
    mailbox.append(event)
    if isDraining { return false }
    isDraining = true
    return true
  }

  func drainMailbox() async {
    while !mailbox.isEmpty { await handle(mailbox.removeFirst()) }
    isDraining = false
  }

  var legs: [SIPLeg] {
    [caller] + ringing + (callee.map { [$0] } ?? []) + (transfer?.ringing ?? []) + departing
  }

  private func handle(_ event: CallEvent) async {
    if let moved = event.leg?.call, moved !== self { return core.enqueue(event, to: moved) }
    switch event {
    case .start: await start()
    case .request(let leg, let transaction, let request, let flow):
      await leg.receive(request, transaction: transaction, flow: flow)
    case .acknowledged(let leg, let ack): await leg.acknowledged(ack)
    case .cancelled(let leg, let cancel): if leg === caller { await callerGaveUp(cancel: cancel) }
    case .acknowledgementMissing(let leg):
      await end(
        by: .system, status: 200, reason: "the \(leg.isCaller ? "caller" : "callee") never acknowledged the answer")
    case .callerLost: await callerGaveUp(reason: "the caller's connection closed")
    case .response(let leg, let transaction, let response): await leg.receive(response, transaction: transaction)
    case .requestFailed(let leg, let transaction, let failure): await leg.requestFailed(transaction, failure)
    case .media(let leg, let event): await media(leg, event)
    case .timer(let timer): await fired(timer)
    case .cutOff(let leg): await cutOff(leg)
    case .reachable(let leg): await reachable(leg)
    case .replace(let old, let new): await replace(old, by: new)
    case .transfer(let leg, let target, let request): await transfer(leg, to: target, request: request)
    case .surrender(let leg, let other): await surrender(leg, to: other)
    case .surrendered(let legs, let other): await adopt(legs, from: other)
    case .seat(let seat, let event): await self.seat(seat, event)
    case .recording(let event): await handle(recording: event)
    case .hangUp(let status, let reason): await end(by: .system, status: status, reason: reason)
    }
  }

  // MARK: What legs report

  /// The called side rings, perhaps with media of its own.
  func ringingReported(by leg: SIPLeg, status: Int, hasEarlyMedia: Bool) async {
    if isTransferTarget(leg) {
      return await transferProgressed(by: leg, status: status, hasEarlyMedia: hasEarlyMedia)
    }
    guard phase == .setup || phase == .ringing else { return }
    if record.ringingAt == nil { record.ringingAt = .now() }
    phase = .ringing
    conference?.rings()
    if hasEarlyMedia, ringing.count == 1 {
      await join(leg)
      await caller.progress(status: status == 180 ? 183 : status, withMedia: true)
    } else {
      await caller.progress(status: status == 183 ? 183 : 180, withMedia: false)
    }
  }

  func answered(by leg: SIPLeg) async {
    if isTransferTarget(leg) { return await transferAnswered(by: leg) }
    guard phase == .setup || phase == .ringing else {
      leg.hangUp(reason: "Call completed elsewhere")
      return
    }
    core.cancelTimer(.noAnswer, of: self)
    callee = leg
    ringing.removeAll { $0 === leg }
    for other in ringing { other.cancel(reason: Reason.completedElsewhere.description) }
    do {
      try await caller.answer()
      becomeAnswered()
      if conference == nil { await updateSources() } else { await dialledPhoneAnswered(leg) }
    } catch {
      await end(
        by: .system, status: Self.status(of: error), reason: "the caller's media could not be set up: \(error)")
    }
    guard phase == .answered else { return }
    await closeLegs(ringing, reason: "answered elsewhere")
    ringing = []
    announceAnswer()
  }

  /// The caller's 200 is out.
  func becomeAnswered() {
    phase = .answered
    core.cancelTimer(.forward, of: self)
    settleForwards(status: 200, leg: callee)
    record.answeredAt = .now()
    record.outcome = .answered
    record.status = 200
  }

  /// Tells of the answer, unless joining the media has ended the call already.
  func announceAnswer() {
    guard phase == .answered else { return }
    core.metrics.answered(record)
    logger.info("call answered", metadata: ["from": "\(record.from)", "to": "\(record.to)"])
    core.save(self)
  }

  func failed(_ leg: SIPLeg, status: Int, reason: String) async {
    if isTransferTarget(leg) { return await transferLegFailed(leg, status: status, reason: reason) }
    guard ringing.contains(where: { $0 === leg }) else { return }
    ringing.removeAll { $0 === leg }
    if bestFailure.map({ StatusMap.rank(status) < StatusMap.rank($0.status) }) ?? true {
      bestFailure = (status, reason)
    }
    await closeLegs([leg], reason: reason)
    if status >= 600 {
      for other in ringing { other.cancel(reason: nil) }
      await closeLegs(ringing, reason: "declined on another device")
      ringing = []
    }
    guard ringing.isEmpty, phase == .setup || phase == .ringing, let best = bestFailure else { return }
    if await forwardInstead(of: best.status) { return }
    await refuse(StatusMap.toCaller(best.status), reason: best.reason, by: .callee, cause: best.status)
  }

  /// A leg said BYE or lost its dialog.
  func ended(by leg: SIPLeg, reason: String) async {
    if await left(leg, reason: reason) { return }
    await end(by: leg === caller ? .caller : .callee, status: 200, reason: reason)
  }

  private func isTransferTarget(_ leg: SIPLeg) -> Bool { transfer?.ringing.contains { $0 === leg } ?? false }

  /// Hold or resume: the other side hears music or this one again.
  func holdChanged() async { await updateSources() }

  func add(_ leg: SIPLeg) {
    leg.call = self
    members.append(leg)
    store(leg)
  }

  /// The index of the next leg's record.
  var nextIndex: Int { max(members.count, (record.legs.map(\.index).max() ?? -1) + 1) }

  /// Lets go of a leg that another call takes over; what it did here stays in the record.
  func detach(_ leg: SIPLeg) {
    members.removeAll { $0 === leg }
    stopRecording(of: leg)
    var past = leg.record
    past.endedAt = .now()
    past.reason = "transferred"
    if let index = record.legs.firstIndex(where: { $0.index == past.index }) { record.legs[index] = past }
  }

  // MARK: Ending

  /// The caller cancelled, said BYE before an answer, or lost its connection.
  func callerGaveUp(cancel: SIPRequest? = nil, reason: String = "cancelled by the caller") async {
    guard phase == .setup || phase == .ringing else { return }
    for other in ringing { other.cancel(reason: cancel?.headers[.reason]) }
    await refuse(487, reason: reason, by: .caller, cause: 487)
  }

  /// Ends an unanswered call with a final response.
  func refuse(
    _ status: Int, reason: String, by: CallRecord.EndedBy, cause: Int, outcome: CallRecord.Outcome? = nil
  ) async {
    guard phase == .setup || phase == .ringing else { return }
    phase = .ended
    settleForwards(status: status, leg: nil)
    record.status = status
    record.outcome =
      switch cause {
      case _ where outcome != nil: outcome ?? .failed
      case 487 where by == .caller: .cancelled
      case 486, 600: .busy
      case 603, 403: .rejected
      default: .failed
      }
    caller.reject(status, cause: cause, reason: reason)
    await finish(by: by, reason: reason)
  }

  /// Ends the call whatever its phase.
  func end(by: CallRecord.EndedBy, status: Int, reason: String) async {
    if phase == .setup || phase == .ringing {
      await refuse(status == 200 ? 480 : status, reason: reason, by: by, cause: status == 200 ? 480 : status)
      return
    }
    guard phase == .answered else { return }
    phase = .ended
    await finish(by: by, reason: reason)
  }

  private func finish(by: CallRecord.EndedBy, reason: String) async {
    core.cancelTimers(of: self)
    let legs = legs
    abandonTransfer(reason: reason)
    departing = []
    // Each leg leaves as its phase asks for; the side that said BYE is over already.
    for leg in legs { leg.hangUp(reason: reason) }
    record.endedAt = .now()
    record.endedBy = by
    record.reason = reason
    leaveConference(status: bestFailure?.status ?? record.status)
    await closeLegs(legs, reason: reason)
    endRecording(reason: reason)
    core.metrics.callEnded(record.outcome)
    logger.info(
      "call ended",
      metadata: ["outcome": "\(record.outcome.rawValue)", "by": "\(by.rawValue)", "reason": "\(reason)"])
    // The record is on disk before the BYE's answer leaves (design: promises).
    await core.saveDurably(self)
    for leg in members { leg.answerPendingBye() }
    core.forget(self)
  }

  func closeLegs(_ legs: [SIPLeg], reason: String) async {
    for leg in legs {
      await leg.closeMedia()
      leg.record.endedAt = .now()
      if leg.record.reason.isEmpty { leg.record.reason = reason }
      store(leg)
    }
  }

  func store(_ leg: SIPLeg) {
    if let index = record.legs.firstIndex(where: { $0.index == leg.record.index }) {
      record.legs[index] = leg.record
    } else {
      record.legs.append(leg.record)
    }
  }
}
