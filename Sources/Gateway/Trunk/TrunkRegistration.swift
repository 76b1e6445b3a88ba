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
  private var request: SIPRequest?
  private var failures = 0
  private(set) var state: TrunkState.RegistrationState = .trying
  /// When the next REGISTER is due; nil while one is under way.
  private(set) var nextDeadline: Instant?
  private var expires: UInt32 = 600

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

  /// Ends the registration at the carrier.
  func unregister() {
    guard case .registered = state else { return }
    send(expires: 0)
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
    self.request = request
    core.send(request, to: destination, owner: .trunk(self))
  }

  func receive(_ response: SIPResponse) {
    guard response.isFinal, let request else { return }
    switch response.status {
    case 200..<300:
      self.request = nil
      guard request.headers.expires != 0 else {
        state = .trying
        return
      }
      if state != .registered { core.logger.notice("registered at the carrier", metadata: ["trunk": "\(trunk.name)"]) }
      state = .registered
      failures = 0
      // Our own contact's lifetime, else the header's (RFC 3261 §10.2.4); refreshed well before it ends.
      let own = response.headers.contacts.first { $0.uri.user == (trunk.username ?? trunk.name) }
      let granted = own?.parameters["expires"].flatMap { UInt32($0) } ?? response.headers.expires ?? expires
      nextDeadline = core.now + .seconds(Int64(max(30, min(granted, 86_400)) * 9 / 10))
    case 401, 407:
      guard let answer = try? credentials?.answer(response, to: request), let destination = core.destination(of: trunk)
      else { return fail("the carrier refuses the user name or password (\(response.status))") }
      sequence = answer.headers.cSeq?.number ?? sequence
      self.request = answer
      core.send(answer, to: destination, owner: .trunk(self))
    case 423:
      guard let minimum = response.headers.minExpires, minimum > expires, minimum <= 86_400 else {
        return fail("the carrier finds the interval too brief and names no usable one")
      }
      expires = minimum
      send(expires: expires)
    default: fail("the carrier answered \(response.status) \(response.reason)")
    }
  }

  func failed(_ failure: RequestFailure) {
    fail(failure == .timeout ? "the carrier does not answer" : "the carrier cannot be reached")
  }

  private func fail(_ why: String) {
    request = nil
    failures += 1
    state = .failed(why)
    // 5, 10, 20 … 300 seconds, as RFC 5626 §4.5 spreads retries.
    let seconds = min(300, 5 << min(failures - 1, 6))
    nextDeadline = core.now + .milliseconds(Int64(Double(seconds) * 1000 * Double.random(in: 0.5...1)))
    core.logger.warning("no registration at the carrier", metadata: ["trunk": "\(trunk.name)", "reason": "\(why)"])
  }
}
