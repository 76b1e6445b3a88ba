import Core
import Logging
import SIP

/// Keeps Parley registered at one carrier (RFC 3261 §10.2): refreshes before expiry, answers challenges, backs off on failure.
final class TrunkRegistration {
  let trunk: Trunk
  private unowned let core: B2BUA
  private let callID = RandomToken.hex(bytes: 12)
  private var sequence = UInt32.random(in: 1...1000)
  private var credentials: DigestClient?
  /// The REGISTER under way.
  private var request: SIPRequest?
  private var transaction: ClientTransactionID?
  /// Challenges answered for the REGISTER under way.
  private var answered = 0
  /// The trunk was taken away or the server stops: the next thing said is good-bye, and the last.
  private var hasLeft = false
  private var failures = 0
  private(set) var state: TrunkState.RegistrationState = .trying
  /// When the next REGISTER is due; nil while one is under way.
  private(set) var nextDeadline: Instant?
  private var expires: UInt32 = 600

  /// The good-bye is under way.
  var isLeaving: Bool { hasLeft && request != nil }

  init(trunk: Trunk, core: B2BUA) {
    self.trunk = trunk
    self.core = core
    if let username = trunk.username, let password = trunk.password {
      credentials = DigestClient(username: username, password: Secret(password))
    }
    nextDeadline = core.now
  }

  func advance() {
    guard let due = nextDeadline, due <= core.now else { return }
    send(expires: expires)
  }

  /// Ends the registration at the carrier; for good. A REGISTER under way is awaited first.
  func unregister() {
    guard !hasLeft else { return }
    hasLeft = true
    nextDeadline = nil
    if request == nil, state == .registered { send(expires: 0) }
    state = .trying
  }

  private func send(expires: UInt32) {
    nextDeadline = nil
    guard let destination = core.destination(of: trunk) else {
      return fail("the host \(trunk.host) does not resolve")
    }
    let domain = trunk.host
    let user = trunk.username ?? trunk.name
    var to = NameAddress(uri: SIPURI(user: user, host: domain))
    var request = SIPRequest(method: .register, uri: SIPURI(host: domain))
    sequence += 1
    request.headers.maxForwards = 70
    request.headers.to = to
    to.tag = core.newTag()
    request.headers.from = to
    request.headers.callID = callID
    request.headers.cSeq = CSeq(number: sequence, method: .register)
    request.headers.set(.contact, core.contactHeader(for: destination, user: user))
    request.headers.expires = expires
    request.headers.userAgent = core.configuration.product
    credentials?.authorize(&request)
    answered = 0
    self.request = request
    transaction = core.send(request, to: destination, owner: .trunk(self))
  }

  func receive(_ response: SIPResponse, _ transaction: ClientTransactionID) {
    guard response.isFinal, let request, transaction == self.transaction else { return }
    switch response.status {
    case 200..<300:
      self.request = nil
      guard request.headers.expires != 0 else { return }
      guard !hasLeft else { return send(expires: 0) }
      if state != .registered { core.logger.notice("registered at the carrier", metadata: ["trunk": "\(trunk.name)"]) }
      let granted = granted(by: response, request)
      guard granted > 0 else { return fail("the carrier accepted the registration without keeping it") }
      state = .registered
      failures = 0
      nextDeadline = core.now + .milliseconds(Int64(max(5, min(granted, 86_400))) * 900)
    case 401, 407:
      answered += 1
      guard answered <= 3, let answer = try? credentials?.answer(response, to: request),
        let destination = core.destination(of: trunk)
      else { return fail("the carrier refuses the user name or password (\(response.status))") }
      sequence = answer.headers.cSeq?.number ?? sequence
      self.request = answer
      self.transaction = core.send(answer, to: destination, owner: .trunk(self))
    case 423:
      guard !hasLeft, let minimum = response.headers.minExpires, minimum > expires, minimum <= 86_400 else {
        return fail("the carrier finds the interval too brief and names no usable one")
      }
      expires = minimum
      send(expires: expires)
    default: fail("the carrier answered \(response.status) \(response.reason)")
    }
  }

  /// Seconds: our own contact's lifetime, else the header's (RFC 3261 §10.2.4). Contacts of ours from before, at another
  /// address, may stand beside it.
  private func granted(by response: SIPResponse, _ request: SIPRequest) -> UInt32 {
    let contacts = response.headers.contacts
    let own =
      request.headers.contact.flatMap { ours in contacts.first { $0.uri.isEquivalent(to: ours.uri) } }
      ?? contacts.first { $0.uri.user == (trunk.username ?? trunk.name) }
    return own?.parameters["expires"].flatMap { UInt32($0) } ?? response.headers.expires ?? expires
  }

  func failed(_ failure: RequestFailure, _ transaction: ClientTransactionID) {
    guard transaction == self.transaction else { return }
    fail(failure == .timeout ? "the carrier does not answer" : "the carrier cannot be reached")
  }

  private func fail(_ why: String) {
    request = nil
    guard !hasLeft else { return }
    failures += 1
    state = .failed(why)
    // 5, 10, 20 … 300 seconds, as RFC 5626 §4.5 spreads retries.
    let seconds = min(300, 5 << min(failures - 1, 6))
    nextDeadline = core.now + .milliseconds(Int64(Double(seconds) * 1000 * Double.random(in: 0.5...1)))
    core.logger.warning("no registration at the carrier", metadata: ["trunk": "\(trunk.name)", "reason": "\(why)"])
  }
}
