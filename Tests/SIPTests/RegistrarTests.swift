import Core
import SIP
import Testing

@Suite struct RegistrarTests {
  let aor = "sip:alice@example.com"
  let flow = udpFlow("192.0.2.1:5060")

  func register(
    _ contact: String?, callID: String = "reg", cSeq: UInt32 = 1, expires: UInt32? = nil, supported: String? = nil,
    rport: Bool = true
  ) -> SIPRequest {
    var message = newRequest(.register, to: "sip:example.com", callID: callID, cSeq: cSeq)
    message.headers[.contact] = contact
    message.headers.expires = expires
    message.headers[.supported] = supported
    message.headers.prepend(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\(cSeq)" + (rport ? ";rport=5060" : ""))
    return message
  }

  func names(_ outcome: RegistrarOutcome) -> [String] { outcome.changes.map(name) }
  func name(_ change: RegistrarChange) -> String {
    switch change {
    case .added(let binding): "added \(binding.uri.host)"
    case .refreshed(let binding): "refreshed \(binding.uri.host)"
    case .removed(let binding, let reason): "removed \(binding.uri.host) \(reason)"
    }
  }

  @Test func bindsRefreshesListsAndUnbinds() {
    var registrar = Registrar()
    let first = registrar.register(register("<sip:a@h1>;expires=600"), aor: aor, flow: flow, now: .zero)
    #expect(first.response.status == 200)
    #expect(names(first) == ["added h1"])
    #expect(first.response.headers.contact?.description == "<sip:a@h1>;expires=600")
    let second = registrar.register(register("<sip:a@h1>", cSeq: 2, expires: 900), aor: aor, flow: flow, now: ms(1000))
    #expect(names(second) == ["refreshed h1"])
    let query = registrar.register(register(nil, cSeq: 3), aor: aor, flow: flow, now: ms(2500))
    #expect(query.changes.isEmpty)
    #expect(query.response.headers.contacts.map { $0.parameters["expires"] } == ["899"])
    let last = registrar.register(register("<sip:a@h1>;expires=0", cSeq: 4), aor: aor, flow: flow, now: ms(3000))
    #expect(names(last) == ["removed h1 unregistered"])
    #expect(last.response.headers.contacts.isEmpty)
    #expect(registrar.count == 0 && registrar.nextDeadline == nil && registrar.addressesOfRecord.isEmpty)
  }

  @Test func takesEveryContactOfARequest() {
    var registrar = Registrar()
    let outcome = registrar.register(
      register("<sip:a@h1>;q=0.2, <sip:a@h2>;q=0.9;expires=120"), aor: aor, flow: flow, now: .zero)
    #expect(names(outcome) == ["added h1", "added h2"])
    #expect(registrar.bindings(aor, now: .zero).map(\.uri.host) == ["h2", "h1"], "best first")
    #expect(registrar.bindings(aor, now: ms(120_000)).map(\.uri.host) == ["h1"])
  }

  @Test func unbindsAllWithAStar() {
    var registrar = Registrar()
    _ = registrar.register(register("<sip:a@h1>, <sip:a@h2>"), aor: aor, flow: flow, now: .zero)
    #expect(registrar.register(register("*", cSeq: 2), aor: aor, flow: flow, now: .zero).response.status == 400)
    #expect(
      registrar.register(register("*", cSeq: 2, expires: 60), aor: aor, flow: flow, now: .zero).response.status == 400)
    #expect(
      registrar.register(register("*", cSeq: 1, expires: 0), aor: aor, flow: flow, now: .zero).response.status == 500)
    #expect(registrar.count == 2)
    let outcome = registrar.register(register("*", cSeq: 2, expires: 0), aor: aor, flow: flow, now: .zero)
    #expect(names(outcome) == ["removed h1 unregistered", "removed h2 unregistered"])
    #expect(registrar.count == 0)
  }

  @Test func refusesIntervalsThatAreTooBrief() {
    var registrar = Registrar()
    let outcome = registrar.register(register("<sip:a@h1>;expires=30"), aor: aor, flow: flow, now: .zero)
    #expect(outcome.response.status == 423)
    #expect(outcome.response.headers.minExpires == 60)
    #expect(registrar.count == 0)
    registrar.policy.minimumExpires = 7200
    registrar.policy.maximumExpires = 86_400
    #expect(
      registrar.register(register("<sip:a@h1>;expires=3600"), aor: aor, flow: flow, now: .zero).response.status == 200,
      "an hour is never too brief")
  }

  @Test(
    arguments: [
      ("<sip:a@h>;expires=99999", nil, "3600"), ("<sip:a@h>", nil, "3600"), ("<sip:a@h>;expires=x", nil, "3600"),
      ("<sip:a@h>;expires=99999999999999999999", 90, "3600"), ("<sip:a@h>", 90, "90"),
      ("<sip:a@h>;expires=61", 90, "61"),
    ] as [(String, UInt32?, String)])
  func grantsAnInterval(_ contact: String, _ expires: UInt32?, _ granted: String) {
    var registrar = Registrar()
    let outcome = registrar.register(register(contact, expires: expires), aor: aor, flow: flow, now: .zero)
    #expect(outcome.response.headers.contact?.parameters["expires"] == granted)
  }

  @Test func keepsTheOrderOfACallID() {
    var registrar = Registrar()
    _ = registrar.register(register("<sip:a@h1>", cSeq: 5), aor: aor, flow: flow, now: .zero)
    let old = registrar.register(register("<sip:a@h1>;expires=0", cSeq: 5), aor: aor, flow: flow, now: .zero)
    #expect(old.response.status == 500 && old.changes.isEmpty && registrar.count == 1)
    let other = registrar.register(register("<sip:a@h1>", callID: "new", cSeq: 1), aor: aor, flow: flow, now: .zero)
    #expect(names(other) == ["refreshed h1"], "a restarted phone counts from one")
  }

  @Test func changesNothingWhenOneContactFails() {
    var registrar = Registrar()
    let outcome = registrar.register(register("<sip:a@h1>, <sip:a@h2>;expires=5"), aor: aor, flow: flow, now: .zero)
    #expect(outcome.response.status == 423 && registrar.count == 0)
    #expect(
      registrar.register(register("<sip:a@h1>, <tel:1>"), aor: aor, flow: flow, now: .zero).response.status == 400)
    #expect(registrar.count == 0)
  }

  @Test func boundsTheContactsOfAUser() {
    var registrar = Registrar()
    registrar.policy.maximumContacts = 2
    for number in 1...2 as ClosedRange<UInt32> {
      _ = registrar.register(register("<sip:a@h\(number)>", cSeq: number), aor: aor, flow: flow, now: .zero)
    }
    #expect(
      registrar.register(register("<sip:a@h3>", cSeq: 3), aor: aor, flow: flow, now: .zero).response.status == 403)
    #expect(
      registrar.register(register("<sip:a@h2>", cSeq: 4), aor: aor, flow: flow, now: .zero).response.status == 200)
    let swap = register("<sip:a@h1>;expires=0, <sip:a@h3>", cSeq: 5)
    #expect(registrar.register(swap, aor: aor, flow: flow, now: .zero).response.status == 200)
    #expect(registrar.count == 2)
  }

  @Test func expiresOnTime() {
    var registrar = Registrar()
    _ = registrar.register(register("<sip:a@h1>;expires=100"), aor: aor, flow: flow, now: .zero)
    _ = registrar.register(
      register("<sip:b@h2>;expires=200"), aor: "sip:bob@example.com", flow: flow, now: .zero)
    #expect(registrar.nextDeadline == ms(100_000))
    #expect(registrar.advance(to: ms(99_999)).isEmpty)
    #expect(registrar.advance(to: ms(100_000)).map(name) == ["removed h1 expired"])
    #expect(registrar.nextDeadline == ms(200_000))
    // A refresh moves the end.
    _ = registrar.register(
      register("<sip:b@h2>;expires=200", cSeq: 2), aor: "sip:bob@example.com", flow: flow, now: ms(150_000))
    #expect(registrar.nextDeadline == ms(350_000))
    #expect(registrar.advance(to: ms(200_000)).isEmpty)
    #expect(registrar.count == 1)
  }

  @Test func keepsFewTimersForClientsThatRefreshOften() {
    var registrar = Registrar()
    for number in 1...20_000 as ClosedRange<UInt32> {
      _ = registrar.register(
        register("<sip:a@h1>;expires=3600", cSeq: number), aor: aor, flow: flow, now: ms(Int64(number)))
    }
    #expect(registrar.nextDeadline == ms(3_620_000))
    #expect(registrar.advance(to: ms(3_620_000)).count == 1)
  }

  // MARK: Browsers

  let browser = "<sip:8d7gs2@k3b7.invalid;transport=ws>;+sip.ice;reg-id=1;+sip.instance=\"<urn:uuid:1>\";expires=600"

  @Test func sendsDownTheFlowOfABrowser() throws {
    var registrar = Registrar()
    let outcome = registrar.register(
      register(browser, supported: "path,gruu,outbound"), aor: aor, flow: wsFlow(1), now: .zero)
    #expect(outcome.response.headers.require == ["outbound"])
    let contact = try #require(outcome.response.headers.contact)
    #expect(contact.parameters["+sip.instance"] == "<urn:uuid:1>" && contact.parameters["reg-id"] == "1")
    let binding = try #require(registrar.bindings(aor, now: .zero).first)
    #expect(binding.destination == .flow(wsFlow(1)))
    #expect(binding.instanceID == "<urn:uuid:1>" && binding.regID == 1)
    #expect(binding.uri.isInvalidDomain)
  }

  @Test func replacesTheFlowOfTheSameInstance() {
    var registrar = Registrar()
    _ = registrar.register(register(browser, supported: "outbound"), aor: aor, flow: wsFlow(1), now: .zero)
    let reloaded = browser.replacing("8d7gs2@k3b7", with: "zzzzzz@q9x1")
    let outcome = registrar.register(
      register(reloaded, callID: "other", supported: "outbound"), aor: aor, flow: wsFlow(2), now: ms(1000))
    #expect(names(outcome) == ["refreshed q9x1.invalid"])
    #expect(registrar.bindings(aor, now: ms(1000)).map(\.destination) == [.flow(wsFlow(2))])
    // The old connection closes only now: it is nobody's any more.
    registrar.flowClosed(wsFlow(1), now: ms(2000))
    #expect(registrar.bindings(aor, now: ms(2000)).count == 1)
  }

  @Test func keepsTwoFlowsOfAnInstanceAndRingsOne() {
    var registrar = Registrar()
    _ = registrar.register(register(browser), aor: aor, flow: wsFlow(1), now: .zero)
    _ = registrar.register(
      register(browser.replacing("reg-id=1", with: "reg-id=2"), cSeq: 2), aor: aor, flow: wsFlow(2), now: ms(10))
    #expect(registrar.count == 2)
    #expect(registrar.bindings(aor, now: ms(20)).map(\.regID) == [2])
    registrar.flowClosed(wsFlow(2), now: ms(30))
    #expect(registrar.bindings(aor, now: ms(40)).map(\.regID) == [1], "the other flow takes over")
  }

  @Test func knowsABrowserWithoutInstanceByItsConnection() {
    var registrar = Registrar()
    let plain = "<sip:abc@one.invalid;transport=ws>"
    _ = registrar.register(register(plain), aor: aor, flow: wsFlow(1), now: .zero)
    let renamed = registrar.register(
      register("<sip:xyz@two.invalid;transport=ws>", callID: "b"), aor: aor, flow: wsFlow(1), now: ms(10))
    #expect(names(renamed) == ["refreshed two.invalid"])
    let moved = registrar.register(
      register("<sip:xyz@two.invalid;transport=ws>", callID: "c"), aor: aor, flow: wsFlow(2), now: ms(20))
    #expect(names(moved) == ["refreshed two.invalid"])
    #expect(registrar.bindings(aor, now: ms(20)).map(\.flow.id) == [2])
    let second = registrar.register(
      register("<sip:qqq@three.invalid;transport=ws>", callID: "d"), aor: aor, flow: wsFlow(3), now: ms(30))
    #expect(names(second) == ["added three.invalid"], "another tab")
  }

  @Test func putsAClosedFlowOutOfUseAndThenAway() {
    var registrar = Registrar()
    _ = registrar.register(register(browser), aor: aor, flow: wsFlow(1), now: .zero)
    registrar.flowClosed(wsFlow(1), now: ms(5000))
    #expect(registrar.bindings(aor, now: ms(5000)).isEmpty)
    #expect(registrar.allBindings(aor).count == 1)
    #expect(registrar.nextDeadline == ms(35_000))
    #expect(registrar.advance(to: ms(35_000)).map(name) == ["removed k3b7.invalid flowClosed"])
    #expect(registrar.count == 0)
  }

  @Test func takesABrowserBackWithinTheGraceTime() {
    var registrar = Registrar()
    _ = registrar.register(register(browser), aor: aor, flow: wsFlow(1), now: .zero)
    registrar.flowClosed(wsFlow(1), now: ms(5000))
    let back = registrar.register(register(browser, cSeq: 2), aor: aor, flow: wsFlow(2), now: ms(8000))
    #expect(names(back) == ["refreshed k3b7.invalid"])
    #expect(registrar.bindings(aor, now: ms(8000)).count == 1)
    #expect(registrar.advance(to: ms(40_000)).isEmpty)
  }

  // MARK: Phones

  @Test func sendsToTheSourceOfAUDPPhone() {
    var registrar = Registrar()
    let nat = udpFlow("198.51.100.7:40001")
    _ = registrar.register(register("<sip:a@10.0.0.5:5060>"), aor: aor, flow: nat, now: .zero)
    #expect(registrar.bindings(aor, now: .zero).map(\.destination) == [.flow(nat)])
    // Without rport and with its own address in Contact the phone means that port.
    let plain = udpFlow("192.0.2.1:33333")
    _ = registrar.register(
      register("<sip:b@192.0.2.1:5066>", rport: false), aor: "sip:b@example.com", flow: plain, now: .zero)
    #expect(
      registrar.bindings("sip:b@example.com", now: .zero).map(\.destination) == [.flow(udpFlow("192.0.2.1:5066"))])
  }

  @Test func reachesATCPPhoneByANewConnection() {
    var registrar = Registrar()
    let connection = Flow(
      id: 8, transport: .tcp, local: address("192.0.2.100:5060"), remote: address("192.0.2.1:50123"))
    _ = registrar.register(register("<sip:a@192.0.2.1:5060;transport=tcp>"), aor: aor, flow: connection, now: .zero)
    registrar.flowClosed(connection, now: ms(10))
    #expect(
      registrar.bindings(aor, now: ms(10)).map(\.destination) == [.address(.tcp, address("192.0.2.1:5060"))])
  }

  @Test func echoesPathForThoseWhoKnowIt() {
    var registrar = Registrar()
    var message = register("<sip:a@h1>", supported: "path")
    message.headers.append(.path, "<sip:edge;lr>")
    let outcome = registrar.register(message, aor: aor, flow: flow, now: .zero)
    #expect(outcome.response.headers.path.map(\.uri.host) == ["edge"])
    #expect(registrar.bindings(aor, now: .zero).first?.path.map(\.uri.host) == ["edge"])
  }

  @Test func letsTheOperatorThrowAUserOut() {
    var registrar = Registrar()
    _ = registrar.register(register("<sip:a@h1>"), aor: aor, flow: flow, now: .zero)
    #expect(registrar.remove(aor).map(name) == ["removed h1 administrative"])
    #expect(registrar.count == 0)
  }

  /// Random registers, closes and time; the indexes must agree with the bindings at every step.
  @Test func staysConsistentUnderAnyOrder() {
    var random = SeededRandom(seed: 5626)
    var registrar = Registrar()
    var now = Instant.zero
    var balance = 0
    func count(_ changes: [RegistrarChange]) {
      for change in changes {
        switch change {
        case .added: balance += 1
        case .removed: balance -= 1
        case .refreshed: break
        }
      }
    }
    for step in 1...20_000 as ClosedRange<UInt32> {
      now = now + .milliseconds(Int64.random(in: 0...20_000, using: &random))
      count(registrar.advance(to: now))
      let user = Int.random(in: 0..<5, using: &random)
      let id = UInt64.random(in: 1...6, using: &random)
      let expires = [0, 60, 600].randomElement(using: &random)!
      let contact: String
      switch Int.random(in: 0..<4, using: &random) {
      case 0: contact = "<sip:u@h\(id)>;expires=\(expires)"
      case 1: contact = "<sip:u\(id)@x.invalid;transport=ws>;expires=\(expires)"
      case 2: contact = "<sip:u@y.invalid>;reg-id=\(id % 2);+sip.instance=\"<urn:\(id)>\";expires=\(expires)"
      default: contact = "*"
      }
      let flow = Bool.random(using: &random) ? wsFlow(id) : udpFlow("192.0.2.\(id):5060")
      if Int.random(in: 0..<6, using: &random) == 0 {
        registrar.flowClosed(flow, now: now)
      } else {
        let message = register(contact, callID: "c\(id % 3)", cSeq: step, expires: contact == "*" ? 0 : nil)
        count(registrar.register(message, aor: "user\(user)", flow: flow, now: now).changes)
      }
      #expect(registrar.count == balance)
      let all = (0..<5).flatMap { registrar.allBindings("user\($0)") }
      #expect(all.count == balance && Set(all.map(\.id)).count == balance)
      #expect((registrar.nextDeadline == nil) == (balance == 0))
      #expect(registrar.nextDeadline.map { $0 > now } ?? true)
    }
    count(registrar.advance(to: now + .seconds(4000)))
    #expect(registrar.count == 0 && balance == 0 && registrar.nextDeadline == nil)
  }
}
