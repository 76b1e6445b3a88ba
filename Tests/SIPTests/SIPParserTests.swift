import Core
import SIP
import Testing

@Suite struct SIPParserTests {
  static let options = """
    OPTIONS sip:bob@example.com SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport
    From: "Ada" <sip:ada@example.com>;tag=1
    To: <sip:bob@example.com>
    Call-ID: abc@192.0.2.1
    CSeq: 7 OPTIONS
    Max-Forwards: 70
    Content-Length: 0


    """

  /// `options` with one line in another form.
  func changed(_ line: String, _ replacement: String) -> String {
    Self.options.split(separator: "\n", omittingEmptySubsequences: false).map {
      $0.hasPrefix(line) ? replacement : String($0)
    }.joined(separator: "\n")
  }

  func failure(_ text: String, limits: SIPLimits = .default) -> SIPParseError? { failure(wire(text), limits: limits) }

  func failure(_ bytes: [UInt8], limits: SIPLimits = .default) -> SIPParseError? {
    do throws(SIPParseError) {
      _ = try SIPParser.parse(datagram: bytes, limits: limits)
      return nil
    } catch {
      return error
    }
  }

  @Test func readsAllPartsOfARequest() throws {
    let message = try request(Self.options)
    #expect(message.method == .options)
    #expect(message.uri == SIPURI(user: "bob", host: "example.com"))
    #expect(message.headers.from?.displayName == "Ada")
    #expect(message.headers.fromTag == "1")
    #expect(message.headers.toTag == nil)
    #expect(message.headers.callID == "abc@192.0.2.1")
    #expect(message.headers.cSeq == CSeq(number: 7, method: .options))
    #expect(message.headers.topVia?.wantsRport == true)
    #expect(message.headers.topVia?.branch == "z9hG4bKa")
  }

  @Test func expandsCompactForms() throws {
    let message = try request(
      """
      INVITE sip:bob@example.com SIP/2.0
      v: SIP/2.0/TCP h;branch=z9hG4bKb
      f: <sip:a@b>;tag=1
      t: <sip:b@b>
      i: x
      CSeq: 1 INVITE
      m: <sip:a@h>
      k: timer, replaces
      s: hello
      c: application/sdp
      x: 90
      r: <sip:c@d>
      e: gzip
      o: presence
      u: talk
      b: <sip:e@f>
      l: 2

      ab
      """)
    let headers = message.headers
    #expect(headers.contact?.uri.user == "a")
    #expect(headers.supported == ["timer", "replaces"])
    #expect(headers[.subject] == "hello")
    #expect(headers.mediaType == "application/sdp")
    #expect(headers.sessionExpires?.seconds == 90)
    #expect(headers.referTo?.uri.user == "c")
    #expect(headers[.contentEncoding] == "gzip")
    #expect(headers[.event] == "presence")
    #expect(headers["Allow-Events"] == "talk")
    #expect(headers.referredBy?.uri.user == "e")
    #expect(message.body == Array("ab".utf8))
  }

  @Test func unfoldsValues() throws {
    let message = try request(changed("To:", "To:\n\t<sip:bob@example.com>\n  ;tag\n =\n x"))
    #expect(message.headers.toTag == "x")
  }

  @Test func readsSeveralValuesOnOneLineAndOnSeveral() throws {
    let message = try request(
      changed("Max-", "Route: <sip:a;lr>, \"x, y\" <sip:b,c@d;lr>\nRoute: <sip:e;lr>\nSupported: a,b ,\n c"))
    #expect(message.headers.routes.map(\.uri.host) == ["a", "d", "e"])
    #expect(message.headers.routes[1].displayName == "x, y")
    #expect(message.headers.supported == ["a", "b", "c"])
    #expect(message.headers.all(.route).count == 3)
  }

  @Test func skipsLineBreaksBeforeTheStartLine() throws {
    #expect(try request("\n\n" + Self.options).method == .options)
    #expect(SIPParser.isKeepAlive(wire("\n\n")))
    #expect(failure("\n\n")?.kind == .empty)
    #expect(failure([UInt8]())?.kind == .empty)
  }

  @Test(arguments: [
    ("Via:", "Via: SIP/2.0/UDP", SIPParseError.Kind.headerValue),
    ("Via:", "Via: SIP/2.0 UDP h", .headerValue),
    ("Via:", "Via: SIP/2.0/UDP h:99999", .number),
    ("Via:", "Via: SIP/2.0/UDP [::1;branch=x", .uri),
    ("Via:", "Via: SIP/2.0/UDP h;branch=", .parameter),
    ("From:", "From: <sip:a@b", .headerValue),
    ("From:", "From: \"Ada <sip:a@b>", .quotedString),
    ("From:", "From: sip:a@b x", .headerValue),
    ("From:", "From: <sip:a@b>, <sip:c@d>", .headerValue),
    ("From:", "From: <sip:@b>", .uri),
    ("From:", "From: <sip:a@>", .uri),
    ("From:", "From: <sip:a%4@b>", .uri),
    ("From:", "X: y", .missingHeader),
    ("To:", "To: ", .headerValue),
    ("Call-ID:", "Call-ID: a b", .headerValue),
    ("Call-ID:", "Call-ID:", .headerValue),
    ("CSeq:", "CSeq: 2147483648 OPTIONS", .number),
    ("CSeq:", "CSeq: OPTIONS", .headerValue),
    ("CSeq:", "CSeq: 7 INVITE", .methodMismatch),
    ("CSeq:", "CSeq: 7 OPTIONS more", .headerValue),
    ("Max-", "Max-Forwards: 256", .number),
    ("Max-", "Max-Forwards: 7 0", .number),
    ("Max-", "Contact: *, <sip:a@b>", .uri),
    ("Max-", "Contact: *\nContact: <sip:a@b>", .headerValue),
    ("Max-", "Record-Route: <sip:a>,", .headerValue),
    ("Max-", "Expires: 4294967296", .number),
    ("Max-", "Bad Name: x", .headerName),
    ("Max-", ": x", .headerName),
    ("Max-", "NoColon", .headerName),
    ("Content-", "Content-Length: 1", .contentLength),
    ("Content-", "Content-Length: +0", .contentLength),
    ("Content-", "Content-Length: 0\nl: 0", .repeatedHeader),
    ("OPTIONS", "OPTIONS sip:bob@example.com SIP/3.0", .version),
    ("OPTIONS", "OPTIONS sip:bob@example.com HTTP/1.1", .startLine),
    ("OPTIONS", "OPTIONS  sip:bob@example.com SIP/2.0", .uri),
    ("OPTIONS", "OPTIONS SIP/2.0", .startLine),
    ("OPTIONS", "OPTIONS", .startLine),
    ("OPTIONS", "OPTIONS bob SIP/2.0", .uri),
    ("OPTIONS", "SIP/2.0 99 Low", .statusCode),
    ("OPTIONS", "SIP/2.0 700 High", .statusCode),
    ("OPTIONS", "SIP/2.0 20 Short", .statusCode),
    ("OPTIONS", "SIP/2.0 2000 Long", .statusCode),
  ])
  func namesTheFault(_ line: String, _ replacement: String, _ kind: SIPParseError.Kind) throws {
    let error = try #require(failure(changed(line, replacement)))
    #expect(error.kind == kind, "\(error)")
    #expect(error.rule.contains("RFC") || error.rule.contains("here"))
  }

  @Test func pointsAtTheFault() throws {
    let text = changed("CSeq:", "CSeq: 99999999999 OPTIONS")
    let error = try #require(failure(text))
    let offset = wire(String(text[..<text.firstRange(of: "99999999999")!.lowerBound])).count
    #expect(error.offset == offset)
    #expect(error.rule.contains("§8.1.1.5"))
  }

  @Test func offersTheRequestThatItCouldNotTakeForAnAnswer() throws {
    let error = try #require(failure(changed("Max-", "Max-Forwards: x\nbroken line")))
    let answer = try #require(error.response(toTag: "me"))
    #expect(answer.status == 400)
    #expect(answer.headers.toTag == "me")
    #expect(answer.headers.callID == "abc@192.0.2.1")
    #expect(answer.headers.topVia?.branch == "z9hG4bKa")
    #expect(failure(changed("OPTIONS", "OPTIONS sip:b@c SIP/9.0"))?.response(toTag: "x")?.status == 505)
  }

  @Test func neverAnswersAnACKOrAResponse() {
    let ack = changed("OPTIONS", "ACK sip:b@c SIP/2.0").replacing("7 OPTIONS", with: "x ACK")
    #expect(failure(ack)?.partial == nil)
    #expect(failure(changed("OPTIONS", "SIP/2.0 20x OK"))?.partial == nil)
  }

  @Test func refusesBareLineFeeds() {
    let bytes = Array(Self.options.utf8)
    #expect(failure(bytes) != nil)
    var mixed = wire(Self.options)
    let index = mixed.firstIndex(of: 0x0D)! + 2
    let second = mixed[index...].firstIndex(of: 0x0D)!
    mixed.remove(at: second)
    #expect(failure(mixed)?.kind == .lineEnd)
  }

  @Test func refusesAMessageWithoutEnd() {
    let whole = wire(Self.options)
    for count in 0..<whole.count {
      let error = failure(Array(whole[..<count]))
      #expect(error != nil, "\(count) bytes of it")
    }
    #expect(failure(whole) == nil)
  }

  @Test func enforcesItsLimits() {
    var limits = SIPLimits()
    limits.headers = 6
    #expect(failure(Self.options, limits: limits)?.kind == .tooManyHeaders)
    limits = SIPLimits()
    limits.headBytes = 100
    #expect(failure(Self.options, limits: limits)?.kind == .tooLarge)
    limits = SIPLimits()
    limits.lineBytes = 40
    #expect(failure(Self.options, limits: limits)?.kind == .tooLarge)
    #expect(failure(Self.options, limits: limits)?.status == 513)
    limits = SIPLimits()
    limits.vias = 1
    #expect(failure(changed("Max-", "Via: SIP/2.0/UDP x"), limits: limits)?.kind == .tooManyHeaders)
    limits = SIPLimits()
    limits.bodyBytes = 3
    #expect(failure(changed("Content-", "Content-Length: 4") + "abcd", limits: limits)?.kind == .tooLarge)
    #expect(failure(changed("Content-", "Content-Length: 3") + "abc", limits: limits) == nil)
    // Exactly at the limit is inside.
    limits = SIPLimits()
    limits.headBytes = wire(Self.options).count
    #expect(failure(Self.options, limits: limits) == nil)
    limits.headBytes -= 1
    #expect(failure(Self.options, limits: limits)?.kind == .tooLarge)
  }

  @Test func takesAllThatFollowsWithoutContentLength() throws {
    let text = Self.options.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("Content-Length") }.joined(separator: "\n")
    #expect(try request(text + "body").body == Array("body".utf8))
  }

  @Test func readsResponses() throws {
    let message = try response(changed("OPTIONS", "SIP/2.0 486 Hier ist besetzt — ja"))
    #expect(message.status == 486)
    #expect(message.reason == "Hier ist besetzt — ja")
    #expect(try response(changed("OPTIONS", "SIP/2.0 200 ")).reason == "")
    #expect(try response(changed("OPTIONS", "SIP/2.0 200")).reason == "")
    #expect(try response(changed("OPTIONS", "sip/2.0 200 OK")).status == 200)
  }

  @Test func survivesInvalidUTF8() throws {
    var bytes = wire(changed("Max-", "Subject: x?y"))
    let index = bytes.lastIndex(of: UInt8(ascii: "?"))!
    bytes[index] = 0xFF
    let message = try SIPParser.parse(datagram: bytes)
    #expect(message.headers[.subject] == "x\u{FFFD}y")
    // Unchanged fields are written as they came.
    #expect(message.serialized().contains(0xFF))
  }

  @Test func neverTrapsOnDamagedMessages() throws {
    var random = SeededRandom(seed: 4475)
    let names = TortureTests.Expectation.all.map(\.file)
    let sources = try names.map { try contents("signaling/sip/torture/\($0).dat") } + [wire(Self.options)]
    let interesting: [UInt8] = Array("\r\n \t:;,=<>\"\\@%*[]?/.0123456789aZ".utf8) + [0, 0x7F, 0x80, 0xFF]
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = sources.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        guard !bytes.isEmpty else { break }
        let i = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[i] = interesting.randomElement(using: &random)!
        case 1: bytes.insert(interesting.randomElement(using: &random)!, at: i)
        case 2: bytes.remove(at: i)
        case 3: bytes.removeSubrange(i..<min(bytes.count, i + Int.random(in: 1...40, using: &random)))
        default: bytes.insert(contentsOf: bytes[i..<min(bytes.count, i + 30)], at: i)
        }
      }
      guard let message = try? SIPParser.parse(datagram: bytes) else { continue }
      accepted += 1
      exercise(message)
    }
    #expect(accepted > 1000)
  }
}

/// Every typed view, and the writer. What was accepted must be written so that it is accepted again.
func exercise(_ message: SIPMessage) {
  let headers = message.headers
  _ = (headers.from, headers.to, headers.contacts, headers.vias, headers.routes, headers.recordRoutes)
  _ = (headers.expires, headers.maxForwards, headers.contentLength, headers.sessionExpires, headers.minSE)
  _ = (headers.reasons, headers.replaces, headers.referTo, headers.mediaType, headers.supported, headers.allow)
  _ = (headers.authorizations, headers.wwwChallenges, headers.path, headers.retryAfter)
  _ = headers.contacts.map(\.preference)
  for line in headers.lines { _ = headers.all(line.name) }
  let bytes = message.serialized()
  let again = try? SIPParser.parse(datagram: bytes)
  #expect(again != nil, "\(String(decoding: bytes, as: UTF8.self))")
  #expect(again?.body == message.body)
  if case .request(let request) = message, case .request(let other)? = again {
    #expect(other.uri.isEquivalent(to: request.uri))
    #expect(other.method == request.method)
  }
}
