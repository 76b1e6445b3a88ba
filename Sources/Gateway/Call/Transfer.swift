import Core
import SIP

/// Who wants a leg to be moved, and hears how it goes.
///
/// `report` is called on the gateway's executor with 100, perhaps 180 or 183, and once with a final status: 200 when the
/// leg has been joined to its target, else why not; the leg then has its old call back.
struct TransferRequest {
  enum Kind: String { case blind, attended }

  /// The leg that asked and leaves when it is done; nil for an operator.
  var transferor: SIPLeg?
  /// As written by who asked, for the record.
  var dialled: String
  var kind = Kind.blind
  /// Whether the transferor hears of the end and then says BYE itself, before we do.
  var leavesByItself = false
  var report: (_ status: Int, _ reason: String) -> Void = { _, _ in }
}

/// A transfer under way: the transferee waits while the target rings.
final class Transfer {
  var request: TransferRequest
  /// The leg that is moved.
  var transferee: SIPLeg
  let target: RoutedCall
  /// Position of its entry in the record.
  let entry: Int
  /// Legs that were invited and have neither failed nor answered.
  var ringing: [SIPLeg] = []
  /// The leg whose early media the transferee hears.
  var early: SIPLeg?
  /// The target rings: the transferee hears ringback instead of music.
  var isRinging = false
  var bestFailure: (status: Int, reason: String)?
  /// The transferor said BYE before the end: there is nobody to give the call back to.
  var hasTransferorLeft = false

  init(request: TransferRequest, transferee: SIPLeg, target: RoutedCall, entry: Int) {
    self.request = request
    self.transferee = transferee
    self.target = target
    self.entry = entry
  }
}

extension Call {
  /// Whom the invited side sees as calling: the caller, or the one who is transferred.
  var presentedCaller: (user: String, display: String) {
    guard let transferee = transfer?.transferee, transferee !== members.first else {
      return (record.from, record.fromDisplay)
    }
    if case .user(let name) = transferee.party { return (name, core.directory.user(name)?.display ?? "") }
    let far = transferee.dialog?.remoteURI
    return (far?.uri.user ?? record.to, far?.displayName ?? "")
  }
}
