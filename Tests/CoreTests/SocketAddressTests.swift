import Core
import Testing

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("192.0.2.1", "192.0.2.1"), ("::1", "::1"), ("2001:db8::1", "2001:db8::1"),
    ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("::", "::"), ("1::", "1::"), ("::ffff:192.0.2.1", "::ffff:c000:201"), ("fe80:0:0:0:0:0:0:1", "fe80::1"),
  ])
  func canonicalText(_ text: String, _ canonical: String) {
    #expect(IPAddress(text)?.description == canonical)
  }

  @Test(arguments: [
    "", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1..2.3", ":", ":::", "1:2:3", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9",
    "::1:",
    ":1::", "1.2.3.4:", "g::1", "::+1",
  ])
  func rejects(_ text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test func prefixes() throws {
    let a = try #require(IPAddress("192.0.2.77"))
    #expect(a.isInside(try #require(IPAddress("192.0.2.0")), prefix: 24))
    #expect(!a.isInside(try #require(IPAddress("192.0.3.0")), prefix: 24))
    #expect(a.isInside(try #require(IPAddress("0.0.0.0")), prefix: 0))
    #expect(a.isInside(a, prefix: 32))
    let b = try #require(IPAddress("2001:db8::77"))
    #expect(b.isInside(try #require(IPAddress("2001:db8::")), prefix: 64))
    #expect(b.isInside(try #require(IPAddress("2001:db8::70")), prefix: 124))
    #expect(!b.isInside(try #require(IPAddress("2001:db8::80")), prefix: 124))
    #expect(!b.isInside(a, prefix: 0))
  }

  @Test func socketAddressText() {
    #expect(SocketAddress("[2001:db8::1]:5060")?.description == "[2001:db8::1]:5060")
    #expect(SocketAddress("127.0.0.1:80")?.port == 80)
    #expect(SocketAddress("::1:80") == nil)
    #expect(SocketAddress("127.0.0.1") == nil)
    #expect(SocketAddress("127.0.0.1:65536") == nil)
  }

  @Test func privateRanges() {
    for text in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1"] {
      #expect(IPAddress(text)?.isPrivate == true, "\(text)")
    }
    for text in ["172.32.0.1", "100.128.0.1", "8.8.8.8", "2001:db8::1"] {
      #expect(IPAddress(text)?.isPrivate == false, "\(text)")
    }
  }
}

@Suite struct TextCodeTests {
  @Test func base64RoundTrips() {
    var random = SeededRandom(seed: 1)
    for length in 0..<50 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(Base64.decode(Base64.encode(bytes)) == bytes)
    }
    #expect(Base64.encode(Array("foobar".utf8)) == "Zm9vYmFy")
    for bad in ["a", "ab=c", "====", "a===", "ab!d"] { #expect(Base64.decode(bad) == nil, "\(bad)") }
  }

  @Test func sequenceUnwrapsAcrossTheWrap() {
    var unwrapper = SequenceUnwrapper()
    let first = unwrapper.unwrap(65_530)
    #expect(unwrapper.unwrap(4) == first + 10)
    #expect(unwrapper.unwrap(65_535) == first + 5)
    #expect(unwrapper.highest == first + 10)
  }
}
