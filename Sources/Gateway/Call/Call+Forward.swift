import Core
import Logging
import SIP

/// Do-not-disturb and forwarding, as the called user has set them (`CallHandling`). A user's calls go where the user could
/// call, and those that go out by a trunk count as the user's.
extension Call {
  /// Users who forward to each other are a loop.
  static let maximumForwards = 5

  /// Where a call leads before anything rings.
  /// - Throws: 486 for a user who does not want to be disturbed, and what `forward` throws.
  func handled(_ wanted: RoutedCall) throws(Refusal) -> RoutedCall {
    var routed = wanted
    while case .user(let name) = routed.target, let handling = core.directory.user(name)?.handling {
      if let number = handling.forwardAlways {
        routed = try forward(to: number, of: name, because: "always", diversion: "unconditional")
      } else if handling.doNotDisturb {
        guard let number = handling.forwardBusy else {
          throw Refusal(status: 486, reason: "\(name) does not want to be disturbed")
        }
        routed = try forward(to: number, of: name, because: "busy", diversion: "do-not-disturb")
      } else {
        break
      }
    }
    return routed
  }

  /// One step, noted in the record.
  private func forward(
    to number: String, of name: String, because kind: String, diversion: String
  ) throws(Refusal) -> RoutedCall {
    guard diversions.count < Self.maximumForwards, !diversions.contains(where: { $0.user == name }) else {
      throw Refusal(status: 480, reason: "the call is forwarded in a circle")
    }
    guard let target = core.directory.route(dialledByUser: number) else {
      throw Refusal(status: 480, reason: "\(name) forwards to \(number), which leads nowhere")
    }
    if case .trunk = target.target {
      guard core.callsCharged(to: name, except: self) < core.configuration.maximumCallsPerUser else {
        throw Refusal(status: 486, reason: "\(name) has too many calls")
      }
      responsible = name
    }
    diversions.append((name, diversion))
    record.transfers.append(
      TransferRecord(at: .now(), kind: "forward-\(kind)", by: nil, moved: caller.record.index, to: number))
    logger.info("forwarded", metadata: ["by": "\(name)", "to": "\(number)", "because": "\(diversion)"])
    return target
  }

  /// Sets the clock for a user whose calls go elsewhere when nobody answers.
  func scheduleForward() {
    guard case .user(let name) = routed.target, let handling = core.directory.user(name)?.handling,
      handling.forwardNoAnswer != nil
    else { return }
    core.setTimer(.forward, of: self, after: .seconds(Int64(handling.noAnswerAfter)))
  }

  /// Calls whom the user's settings name when the devices did not take the call; false where they name nobody.
  func forwardInstead(of status: Int) async -> Bool {
    guard phase == .setup || phase == .ringing, case .user(let name) = routed.target,
      let handling = core.directory.user(name)?.handling
    else { return false }
    let next: RoutedCall
    do {
      switch status {
      case 486, 600:
        guard let number = handling.forwardBusy else { return false }
        next = try forward(to: number, of: name, because: "busy", diversion: "user-busy")
      case 408, 480:
        guard let number = handling.forwardNoAnswer else { return false }
        next = try forward(to: number, of: name, because: "no-answer", diversion: "no-answer")
      default: return false
      }
    } catch {
      await refuse(error.status, reason: error.reason, by: .system, cause: error.status)
      return true
    }
    core.cancelTimer(.forward, of: self)
    bestFailure = nil
    let gone = ringing
    ringing = []
    for leg in gone { leg.cancel(reason: "Q.850;cause=19;text=\"No answer\"") }
    await closeLegs(gone, reason: "forwarded")
    guard phase == .setup || phase == .ringing else { return true }
    routed = next
    await proceed()
    return true
  }

  /// Tells a trunk on whose behalf it is called (RFC 5806), the latest first.
  func noteDiversions(on leg: SIPLeg) {
    guard case .trunk = leg.party else { return }
    for (user, reason) in diversions.reversed() {
      leg.inviteRequest.headers.append(.diversion, "<sip:\(user)@\(core.configuration.domain)>;reason=\(reason)")
    }
  }

  /// What became of the last forwarding, at the call's answer or end.
  func settleForwards(status: Int, leg: SIPLeg?) {
    for index in record.transfers.indices
    where record.transfers[index].kind.hasPrefix("forward-") && record.transfers[index].status == nil {
      record.transfers[index].status = status
      record.transfers[index].leg = leg?.record.index
    }
  }
}
