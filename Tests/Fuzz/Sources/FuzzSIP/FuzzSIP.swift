import Core
import SIP

private let local = SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 5060)
private let remote = SocketAddress(ip: IPAddress(v4: 0x7F00_0002), port: 40_000)
private let flows = [TransportProtocol.udp, .ws].map { Flow(id: 1, transport: $0, local: local, remote: remote) }
private let ha1 = DigestHash.ha1(username: "1001", realm: "example.com", password: "x", algorithm: .md5)

/// Parses as a datagram and as a stream; what parses is written, answered, and taken through transactions, a dialog,
/// the registrar and the digest check.
func fuzz(_ bytes: [UInt8]) {
  stream(bytes)
  let message: SIPMessage
  do throws(SIPParseError) {
    message = try SIPParser.parse(datagram: bytes)
  } catch {
    precondition(error.offset >= 0 && error.offset <= bytes.count, "an offset outside of the message")
    var layer = newLayer()
    for action in layer.reject(error, from: flows[0]) {
      guard case .transmit(.response(let response), _) = action else { preconditionFailure("not an answer") }
      precondition(!response.serialized().isEmpty)
    }
    return
  }
  let again = reparsed(message)
  precondition(again.body == message.body, "the body reads otherwise")
  views(message.headers)
  switch (message, again) {
  case (.request(let request), .request(let other)):
    precondition(other.method == request.method && other.uri.isEquivalent(to: request.uri), "reads otherwise")
    for flow in flows { serve(request, flow) }
    dialog(request)
    register(request)
  case (.response(let response), .response(let other)):
    precondition(other.status == response.status, "reads otherwise")
    answer(response)
  default: preconditionFailure("a request became a response")
  }
}

private func newLayer() -> TransactionLayer {
  TransactionLayer(sentBy: { _ in ("127.0.0.1", 5060) }, random: SeededRandom(seed: 1))
}

@discardableResult
private func reparsed(_ message: SIPMessage) -> SIPMessage {
  guard let again = try? SIPParser.parse(datagram: message.serialized()) else {
    preconditionFailure("what was written does not parse")
  }
  return again
}

/// However the bytes are cut, the same messages and the same faults come out.
private func stream(_ bytes: [UInt8]) {
  func run(_ step: Int) -> [String] {
    var parser = SIPStreamParser()
    var log: [String] = []
    var i = 0
    while i < bytes.count, !parser.isFatal {
      parser.append(bytes[i..<min(i + step, bytes.count)])
      i += step
      var more = true
      while more {
        do throws(SIPParseError) {
          switch try parser.next() {
          case .message(let message): log.append("\(message.headers.callID ?? "") \(message.body.count)")
          case .keepAlivePing, .keepAlivePong: break
          case nil: more = false
          }
        } catch {
          log.append("\(error.kind) \(error.offset)")
          more = !parser.isFatal
        }
      }
    }
    return log
  }
  let whole = run(max(bytes.count, 1))
  precondition(run(1 + Int(bytes.first ?? 0) % 7) == whole, "the cut matters")
}

private func views(_ headers: Headers) {
  _ = (headers.from, headers.to, headers.contacts, headers.vias, headers.routes, headers.recordRoutes, headers.path)
  _ = (headers.expires, headers.maxForwards, headers.contentLength, headers.sessionExpires, headers.minSE)
  _ = (headers.reasons, headers.replaces, headers.referTo, headers.mediaType, headers.retryAfter, headers.allow)
  _ = (headers.wwwChallenges, headers.proxyChallenges, headers.authorizations, headers.proxyAuthorizations)
  for contact in headers.contacts { _ = (contact.preference, contact.uri.addressOfRecord, contact.uri.address) }
  for line in headers.lines { _ = headers.all(line.name) }
}

private func serve(_ request: SIPRequest, _ flow: Flow) {
  var layer = newLayer()
  var actions = layer.receive(.request(request), from: flow, now: .zero)
  for case .request(let id, let request, _) in actions {
    actions += layer.respond(SIPResponse(to: request, status: 180, toTag: "t"), to: id, now: .zero)
    actions += layer.receive(.request(request), from: flow, now: .zero)
    actions += layer.respond(SIPResponse(to: request, status: 200, toTag: "t"), to: id, now: .zero)
    var ack = request
    ack.method = .ack
    actions += layer.receive(.request(ack), from: flow, now: .zero)
  }
  while let deadline = layer.nextDeadline { actions += layer.advance(to: deadline) }
  precondition(layer.count == 0, "a transaction that never ends")
  for case .transmit(let message, _) in actions { reparsed(message) }
}

private func answer(_ response: SIPResponse) {
  var layer = newLayer()
  precondition(layer.receive(.response(response), from: flows[0], now: .zero).isEmpty, "an answer to nothing")
  // The same response as the answer to a call of ours.
  var invite = SIPRequest(method: .invite, uri: SIPURI(user: "600", host: "example.com"))
  invite.headers.append(.from, "<sip:1001@example.com>;tag=f")
  invite.headers.append(.to, "<sip:600@example.com>")
  invite.headers.append(.callID, "c")
  invite.headers.append(.cSeq, "1 INVITE")
  let (id, sent) = layer.send(invite, to: .flow(flows[0]), now: .zero)
  guard case .transmit(.request(let request), _)? = sent.first else { preconditionFailure("nothing was sent") }
  var fitting = response
  fitting.headers[.via] = request.headers[.via]
  fitting.headers[.cSeq] = "1 INVITE"
  var actions = layer.receive(.response(fitting), from: flows[0], now: .zero)
  if var dialog = try? Dialog(uac: request, response: fitting) {
    dialog.receive(fitting, to: request)
    actions += layer.acknowledge(dialog.makeACK(sequence: 1), for: id, to: .flow(flows[0]), now: .zero)
  }
  actions += layer.cancel(id, now: .zero)
  actions += layer.receive(.response(fitting), from: flows[0], now: .zero)
  while let deadline = layer.nextDeadline { actions += layer.advance(to: deadline) }
  for case .transmit(let message, _) in actions { reparsed(message) }
  var client = DigestClient(username: "1001", password: Secret("x"), random: SeededRandom(seed: 2))
  if let next = try? client.answer(response, to: request) { reparsed(.request(next)) }
  _ = SessionTimer(received: response, now: .zero)
}

private func dialog(_ request: SIPRequest) {
  guard var dialog = try? Dialog(uas: request, localTag: "t", flow: flows[0]) else { return }
  dialog.confirm()
  var bye = dialog.makeRequest(.bye)
  bye.headers.prepend(.via, "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1")
  guard case .request(let again) = reparsed(.request(bye)) else { preconditionFailure("a request became a response") }
  precondition(again.uri.isEquivalent(to: bye.uri), "the target reads otherwise")
  _ = dialog.receive(request)
  var ok = SIPResponse(to: request, status: 200, toTag: "t")
  SessionTimerPolicy().answer(to: request).apply(to: &ok)
  reparsed(.response(ok))
}

private func register(_ request: SIPRequest) {
  var server = DigestServer(realm: "example.com", random: SeededRandom(seed: 3))
  let verdict = server.verify(request, now: .zero) { _, _ in ha1 }
  if case .accepted = verdict { preconditionFailure("credentials for a nonce that was never given") }
  reparsed(.response(server.challenge(request, now: .zero)))
  var registrar = Registrar()
  for flow in flows {
    let outcome = registrar.register(request, aor: "sip:1001@example.com", flow: flow, now: .zero)
    reparsed(.response(outcome.response))
    registrar.flowClosed(flow, now: .zero)
  }
  while let deadline = registrar.nextDeadline { _ = registrar.advance(to: deadline) }
  precondition(registrar.count == 0, "a binding that never ends")
}
