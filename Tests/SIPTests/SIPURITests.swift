import Core
import SIP
import Testing

@Suite struct SIPURITests {
  @Test(arguments: [
    "sip:alice@atlanta.com", "sip:alice:secretword@atlanta.com;transport=tcp",
    "sips:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:+1-212-555-1212:1234@gateway.com;user=phone",
    "sips:1212@gateway.com", "sip:alice@192.0.2.4", "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
    "sip:alice;day=tuesday@atlanta.com", "sip:[2001:db8::1]:5070;lr", "tel:+358-555-1234567;postd=pp22",
    "urn:service:sos", "sip:a@h:0",
  ])
  func writesWhatItRead(_ text: String) throws {
    #expect(try SIPURI(parsing: text).description == text)
  }

  @Test(arguments: [
    "", "sip", "sip:", ":a", "1sip:a", "sip:a b@c", "sip:a@b c", "sip:a@b:", "sip:a@b:x", "sip:a@b:65536", "sip:@b",
    "sip:a@[::1", "sip:a@[]", "sip:a%zz@b", "sip:a%4", "sip:<a>@b", "sip:a@b\"", "sip:a@b\r\nX: y", "sip:a@b/c",
    "sip:a@b@c", "sip:a@b;x=@c",
  ])
  func refuses(_ text: String) {
    #expect(throws: SIPParseError.self) { try SIPURI(parsing: text) }
  }

  @Test func namesItsParts() throws {
    let uri = try SIPURI(parsing: "sip:al%20ice:pw@[2001:db8::1]:5070;lr;transport=TCP;x=%41?a=b&c=")
    #expect(uri.user == "al ice")
    #expect(uri.rawUser == "al%20ice")
    #expect(uri.password == "pw")
    #expect(uri.address == IPAddress("2001:db8::1"))
    #expect(uri.port == 5070)
    #expect(uri.isLooseRouter)
    #expect(uri.transport == .tcp)
    #expect(uri.headers.map(\.name) == ["a", "c"])
    let tel = try SIPURI(parsing: "tel:+15550100;phone-context=example.com")
    #expect(tel.user == "+15550100")
    #expect(tel.host == "")
    #expect(tel.parameters["phone-context"] == "example.com")
  }

  @Test func escapesWhatAUserMayNotHold() throws {
    let uri = SIPURI(user: "a b@c\r\nX: y%", host: "h")
    #expect(uri.description == "sip:a%20b%40c%0D%0AX%3A%20y%25@h")
    #expect(try SIPURI(parsing: uri.description).user == "a b@c\r\nX: y%")
    #expect(SIPURI(user: "Ünal", host: "h").description == "sip:%C3%9Cnal@h")
  }

  // RFC 3261 §19.1.4, the examples given there.
  @Test(arguments: [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    (
      "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
      "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"
    ),
    (
      "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
      "sip:alice@atlanta.com?priority=urgent&subject=project%20x"
    ),
  ])
  func findsEquivalent(_ a: String, _ b: String) throws {
    #expect(try SIPURI(parsing: a).isEquivalent(to: try SIPURI(parsing: b)))
    #expect(try SIPURI(parsing: b).isEquivalent(to: try SIPURI(parsing: a)))
  }

  @Test(arguments: [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:a@b;security=on", "sip:a@b;security=off"), ("sip:a@b", "sips:a@b"), ("sip:b", "sip:a@b"),
  ])
  func findsDifferent(_ a: String, _ b: String) throws {
    #expect(try !SIPURI(parsing: a).isEquivalent(to: try SIPURI(parsing: b)))
    #expect(try !SIPURI(parsing: b).isEquivalent(to: try SIPURI(parsing: a)))
  }

  @Test func isEquivalentToItselfWhateverStandsTwice() throws {
    let uri = try SIPURI(parsing: "sip:a@b;tag=1;tag=2;x;x=1?h=1&h=2")
    #expect(uri.isEquivalent(to: uri))
  }

  @Test func neverResolvesInvalidDomains() throws {
    #expect(try SIPURI(parsing: "sip:x@df7jal23ls0d.invalid;transport=ws").isInvalidDomain)
    #expect(try SIPURI(parsing: "sip:x@INVALID").isInvalidDomain)
    #expect(try !SIPURI(parsing: "sip:x@notinvalid").isInvalidDomain)
  }

  @Test func writesAnAddressOfRecordInOneSpelling() throws {
    #expect(try SIPURI(parsing: "sip:%41da@Example.COM;user=phone").addressOfRecord == "sip:Ada@example.com")
    #expect(try SIPURI(parsing: "sip:ada@h:5070").addressOfRecord == "sip:ada@h:5070")
    #expect(try SIPURI(parsing: "tel:+15550100").addressOfRecord == "tel:+15550100")
  }
}

@Suite struct NameAddressTests {
  @Test func quotesAndUnquotesNames() throws {
    let name = #"A "quoted" \ name"#
    let written = NameAddress(displayName: name, uri: SIPURI(user: "a", host: "b")).description
    #expect(written == #""A \"quoted\" \\ name" <sip:a@b>"#)
    #expect(try NameAddress(parsing: written).displayName == name)
  }

  @Test func readsEachForm() throws {
    #expect(try NameAddress(parsing: "sip:a@b;tag=1").tag == "1")
    #expect(try NameAddress(parsing: "<sip:a@b;tag=1>").tag == nil)
    #expect(try NameAddress(parsing: "A B<sip:a@b>;TAG = 1").tag == "1")
    #expect(try NameAddress(parsing: "Jürgen <sip:a@b>").displayName == "Jürgen")
    #expect(try NameAddress(parsing: "\"\" <sip:a@b>").displayName == nil)
    #expect(throws: SIPParseError.self) { try NameAddress(parsing: "<sip:a@b> x") }
    #expect(throws: SIPParseError.self) { try NameAddress(parsing: "\"a\" sip:a@b") }
  }

  @Test(arguments: [
    ("1", 1000), ("0", 0), ("0.5", 500), ("0.33", 330), ("0.125", 125), (".7", 700), ("1.0", 1000), ("x", 1000),
    ("0.99999", 999), ("7", 1000), ("-1", 1000), ("0.x", 0),
  ])
  func readsPreferences(_ q: String, _ value: Int) throws {
    var address = NameAddress(uri: SIPURI(host: "h"))
    address.parameters.setRaw("q", q)
    #expect(address.preference == value)
  }

  @Test func quotesParametersThatAreNoTokens() throws {
    var address = NameAddress(uri: SIPURI(host: "h"))
    address.parameters["+sip.instance"] = "<urn:uuid:1>"
    address.parameters["expires"] = "60"
    #expect(address.description == "<sip:h>;+sip.instance=\"<urn:uuid:1>\";expires=60")
    #expect(try NameAddress(parsing: address.description) == address)
    #expect(address.parameters["+SIP.instance"] == "<urn:uuid:1>")
    address.parameters["expires"] = nil
    #expect(!address.parameters.contains("expires"))
  }
}
