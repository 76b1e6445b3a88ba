/// What becomes of calls to a user, as the user has set it.
package struct CallHandling: Sendable, Hashable, Codable {
  /// Nothing rings. Forwarding goes before it.
  package var doNotDisturb = false
  /// A number or a user that gets every call; nil: none.
  package var forwardAlways: String?
  /// … that gets a call while the user is busy, or wants not to be disturbed.
  package var forwardBusy: String?
  /// … that gets a call which nobody answers, or which reaches no device.
  package var forwardNoAnswer: String?
  /// Seconds of ringing before `forwardNoAnswer`.
  package var noAnswerAfter = 20

  package static let noAnswerRange = 5...300
  /// The longest number or name.
  package static let longestTarget = 128

  package init() {}

  /// What is wrong with it, in words; nil when it is fine.
  package var problem: String? {
    guard Self.noAnswerRange.contains(noAnswerAfter) else { return "noAnswerAfter must be from 5 to 300 seconds." }
    for target in [forwardAlways, forwardBusy, forwardNoAnswer] {
      guard let target else { continue }
      guard !target.isEmpty, target.utf8.count <= Self.longestTarget,
        target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && !"<>\"@;:?".utf8.contains($0) })
      else { return "What calls are forwarded to must be a number or a user." }
    }
    return nil
  }
}
