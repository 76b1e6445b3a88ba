import Core
import SIP

/// Who calls, as trunks are told it (RFC 3325), and who does not want to be named (RFC 3323).
extension Call {
  /// The caller asked for privacy by itself, or through the carrier that it came by.
  var wantsPrivacy: Bool {
    guard let privacy = members.first?.inviteRequest.headers[.privacy] else { return false }
    return privacy.split(separator: ";").contains {
      ["id", "user", "header", "session", "critical"].contains($0.lowercased().filter { !$0.isWhitespace })
    }
  }
}

extension B2BUA {
  /// Makes an INVITE of ours tell the caller's identity as the caller wants it: a trunk gets it asserted, with or without
  /// the wish that it be passed on; who is called gets no name where privacy is wanted.
  func identify(_ request: inout SIPRequest, party: SIPLeg.Party, call: Call) {
    let (user, display) = call.presentedCaller
    if case .trunk = party, !user.isEmpty {
      var identity = NameAddress(uri: SIPURI(user: user, host: request.headers.from?.uri.host ?? configuration.domain))
      identity.displayName = display.isEmpty ? nil : display
      request.headers.set(.pAssertedIdentity, identity.description)
    }
    guard call.wantsPrivacy, let tag = request.headers.fromTag else { return }
    var anonymous = NameAddress(uri: SIPURI(user: "anonymous", host: "anonymous.invalid"))
    anonymous.displayName = "Anonymous"
    anonymous.tag = tag
    request.headers.from = anonymous
    if case .trunk = party { request.headers.set(.privacy, "id") }
  }
}
