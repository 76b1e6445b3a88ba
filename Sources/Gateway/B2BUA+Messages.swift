import Core
import Logging
import SIP

/// A MESSAGE on its way to a user's devices.
final class MessageRelay {
  let transaction: ServerTransactionID
  let request: SIPRequest
  /// Devices that have not answered.
  var open = 0
  var bestStatus: Int?
  var isAnswered = false

  init(transaction: ServerTransactionID, request: SIPRequest) {
    self.transaction = transaction
    self.request = request
  }
}

/// Text between users (RFC 3428): no dialog, no store. It is answered when a device has taken it.
extension B2BUA {
  /// RFC 3428 §8: more would not pass every UDP path.
  static let longestMessage = 1_300

  func message(_ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow) {
    let claimed = request.headers.from?.uri.user
    guard let user = userOfFlow(flow, from: claimed) ?? authenticate(request, transaction, flow, proxy: true) else {
      return
    }
    func refuse(_ status: Int) { respond(refusal(status, to: request), to: transaction) }
    guard request.body.count <= Self.longestMessage else { return refuse(413) }
    guard (request.headers.maxForwards ?? 70) > 0 else { return refuse(483) }
    guard let dialled = request.uri.user, case .user(let name) = directory.route(dialledByUser: dialled)?.target,
      directory.user(name) != nil
    else { return refuse(404) }
    let bindings = bindings(of: name)
    guard !bindings.isEmpty else { return refuse(480) }
    let relay = MessageRelay(transaction: transaction, request: request)
    relay.open = bindings.count
    metrics.messages.increment()
    for binding in bindings { send(relay, from: user, to: name, at: binding) }
  }

  private func send(_ relay: MessageRelay, from user: User, to name: String, at binding: Binding) {
    var from = NameAddress(uri: SIPURI(user: user.name, host: configuration.domain))
    from.displayName = user.display.isEmpty ? nil : user.display
    from.tag = newTag()
    var request = SIPRequest(method: .message, uri: binding.contact.uri)
    request.headers.maxForwards = (relay.request.headers.maxForwards ?? 70) - 1
    request.headers.from = from
    request.headers.to = NameAddress(uri: SIPURI(user: name, host: configuration.domain))
    request.headers.callID = RandomToken.hex(bytes: 12) + "@" + configuration.domain
    request.headers.cSeq = CSeq(number: 1, method: .message)
    request.headers.userAgent = configuration.product
    for path in binding.path { request.headers.append(.route, "\(path)") }
    request.setBody(relay.request.body, contentType: relay.request.headers.contentType ?? "text/plain;charset=UTF-8")
    send(request, to: binding.destination, owner: .message(relay))
  }

  /// One device's answer; nil: it gave none.
  func receive(_ status: Int?, of relay: MessageRelay) {
    if let status, status < 200 { return }
    relay.open -= 1
    let status = status ?? 408
    guard !relay.isAnswered else { return }
    if (200..<300).contains(status) {
      relay.isAnswered = true
      respond(refusal(200, to: relay.request), to: relay.transaction)
      return
    }
    if relay.bestStatus.map({ StatusMap.rank(status) < StatusMap.rank($0) }) ?? true { relay.bestStatus = status }
    guard relay.open <= 0, let best = relay.bestStatus else { return }
    relay.isAnswered = true
    respond(refusal(StatusMap.toCaller(best), to: relay.request), to: relay.transaction)
  }
}
