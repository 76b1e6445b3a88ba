import API
import Core
import Testing

@testable import parley

@Suite struct SIPBridgeTests {
  @Test(arguments: [
    ("+15550100", PhoneDestination.number("+15550100")), ("tel:+15550100;ext=1", .number("+15550100")),
    ("<sip:1001@host;transport=tcp>", .number("1001")), ("SIPS:a@b", .number("a")), ("room:sales", .room("sales")),
    ("room:my room", .room("my room")), ("user:1001", .user("1001")), ("", nil), ("tel:", nil), ("room:", nil),
    ("1 2", nil), ("sip:\r\n@a", nil),
  ])
  func readsWhereToTransfer(_ text: String, _ expected: PhoneDestination?) {
    #expect(SIPBridge.destination(text) == expected)
  }

  @Test(
    arguments: [
      ("sip.example.com", "auto", "sip.example.com", 5060, "udp"), ("192.0.2.1:5070", "tcp", "192.0.2.1", 5070, "tcp"),
      ("sip.example.com", "tls", "sip.example.com", 5061, "tls"), ("[2001:db8::1]", "auto", "2001:db8::1", 5060, "udp"),
      ("sip:a.example;transport=tls", "auto", "a.example", 5061, "tls"),
    ] as [(String, String, String, UInt16, String)])
  func anOutboundTrunkIsCalledWhereItsAddressSays(
    _ address: String, _ transport: String, _ host: String, _ port: UInt16, _ used: String
  ) throws {
    var trunk = OutboundRoomTrunk(id: "ST_1", name: "n", address: address, createdAt: .now())
    trunk.transport = transport
    (trunk.username, trunk.password) = ("u", "p")
    let made = try SIPBridge.trunk(trunk)
    #expect(made.name == "ST_1" && made.host == host && made.port == port && made.transport == used)
    #expect(made.username == "u" && made.password == "p" && !made.register && !made.codecs.isEmpty)
  }
}
