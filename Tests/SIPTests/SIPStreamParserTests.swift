import Core
import SIP
import Testing

@Suite struct SIPStreamParserTests {
  static func message(_ callID: String, body: String = "", length: String? = nil) -> [UInt8] {
    wire(
      """
      MESSAGE sip:b@c SIP/2.0
      Via: SIP/2.0/TCP h;branch=z9hG4bK\(callID)
      From: <sip:a@b>;tag=1
      To: <sip:b@c>
      Call-ID: \(callID)
      CSeq: 1 MESSAGE
      Content-Length: \(length ?? String(body.utf8.count))


      """) + Array(body.utf8)
  }

  func describe(_ element: SIPStreamParser.Element) -> String {
    switch element {
    case .message(let message): "\(message.headers.callID ?? "?") \(String(decoding: message.body, as: UTF8.self))"
    case .keepAlivePing: "ping"
    case .keepAlivePong: "pong"
    }
  }

  func drain(_ parser: inout SIPStreamParser) throws -> [String] {
    var out: [String] = []
    while let element = try parser.next() { out.append(describe(element)) }
    return out
  }

  @Test(arguments: [1, 2, 3, 7, 64, 1000]) func cutsMessagesAtAnyStep(_ step: Int) throws {
    let stream =
      Self.message("one", body: "first body") + Self.message("two") + Self.message("three", body: "x\r\n\r\ny")
    var parser = SIPStreamParser()
    var out: [String] = []
    for start in stride(from: 0, to: stream.count, by: step) {
      parser.append(stream[start..<min(start + step, stream.count)])
      out += try drain(&parser)
    }
    #expect(out == ["one first body", "two ", "three x\r\n\r\ny"])
    #expect(parser.pendingBytes == 0)
  }

  @Test func tellsPingsPongsAndMessagesApart() throws {
    var parser = SIPStreamParser()
    parser.append(wire("\n\n") + Self.message("a") + wire("\n") + Self.message("b") + wire("\n\n") + wire("\n"))
    #expect(try drain(&parser) == ["ping", "a ", "pong", "b ", "ping", "pong"])
  }

  @Test func findsAPingThatComesInPieces() throws {
    var parser = SIPStreamParser()
    parser.append([0x0D])
    #expect(try drain(&parser) == [])
    parser.append([0x0A, 0x0D])
    #expect(try drain(&parser) == [])
    parser.append([0x0A])
    #expect(try drain(&parser) == ["ping"])
  }

  @Test func passesOverStrayLineFeeds() throws {
    var parser = SIPStreamParser()
    parser.append([0x0A, 0x0A] + Self.message("a"))
    #expect(try drain(&parser) == ["a "])
  }

  @Test func goesOnBehindAMessageThatIsOnlyMalformed() throws {
    var parser = SIPStreamParser()
    var broken = Self.message("bad", body: "body")
    let index = broken.firstIndex(of: UInt8(ascii: "<"))!
    broken[index] = UInt8(ascii: "\"")
    parser.append(broken + Self.message("good"))
    #expect(throws: SIPParseError.self) { try parser.next() }
    #expect(!parser.isFatal)
    #expect(try drain(&parser) == ["good "])
  }

  @Test(arguments: ["-1", "x", "", "1 2", "18446744073709551616", "300000"])
  func endsAtALengthThatCannotBeFollowed(_ length: String) {
    var parser = SIPStreamParser()
    parser.append(Self.message("a", length: length))
    var status: Int?
    do { _ = try parser.next() } catch { status = error.response(toTag: "t")?.status }
    #expect(parser.isFatal)
    #expect(status == (length == "300000" ? 513 : 400))
    parser.append(Self.message("b"))
    #expect((try? parser.next()) == nil)
  }

  @Test func endsWithoutContentLength() {
    var parser = SIPStreamParser()
    let text = String(decoding: Self.message("a"), as: UTF8.self).replacing("Content-Length", with: "X-Length")
    parser.append(Array(text.utf8))
    #expect(throws: SIPParseError.self) { try parser.next() }
    #expect(parser.isFatal)
  }

  @Test func refusesHeadersThatNeverEnd() {
    var limits = SIPLimits()
    limits.headBytes = 500
    var parser = SIPStreamParser(limits: limits)
    var failed: SIPParseError?
    // A slow sender: a byte at a time, never an empty line.
    for byte in wire("OPTIONS sip:a SIP/2.0\n") + [UInt8](repeating: UInt8(ascii: "x"), count: 1000) {
      parser.append([byte])
      do { _ = try parser.next() } catch { failed = error }
      if failed != nil { break }
    }
    #expect(failed?.kind == .tooLarge)
    #expect(parser.isFatal)
    #expect(parser.pendingBytes == 500)
  }

  @Test func keepsItsBufferSmallOverALongLife() throws {
    var parser = SIPStreamParser()
    let message = Self.message("a", body: String(repeating: "b", count: 1000))
    // Always half a message behind, so that the buffer never runs empty.
    parser.append(message[..<500])
    for _ in 0..<500 {
      parser.append(message[500...] + message[..<500])
      #expect(try drain(&parser).count == 1)
      #expect(parser.pendingBytes == 500)
    }
  }
}
