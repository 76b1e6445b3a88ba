import Core
import SIP
import Testing

/// RFC 4475: every message, with the outcome that `signaling/sip/torture/expectations.tsv` names.
@Suite struct TortureTests {
  struct Expectation: CustomTestStringConvertible {
    let file: String
    let section: String
    let outcome: String
    let kind: String
    let answer: String
    var testDescription: String { "\(section) \(file)" }

    static let all: [Expectation] = {
      guard let bytes = try? contents("signaling/sip/torture/expectations.tsv") else { return [] }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.map {
        let columns = $0.split(separator: "\t").map(String.init)
        return Expectation(
          file: columns[0], section: columns[1], outcome: columns[2], kind: columns[3], answer: columns[4])
      }
    }()
  }

  func bytes(_ name: String) throws -> [UInt8] { try contents("signaling/sip/torture/\(name).dat") }

  func request(_ name: String) throws -> SIPRequest {
    guard case .request(let request) = try SIPParser.parse(datagram: bytes(name)) else { throw NotTheKind() }
    return request
  }

  @Test func coversAllMessagesOfTheRFC() {
    #expect(Expectation.all.count == 49)
    #expect(Set(Expectation.all.map(\.file)).count == 49)
  }

  @Test(arguments: Expectation.all) func hasTheExpectedOutcome(_ expectation: Expectation) throws {
    let data = try bytes(expectation.file)
    do throws(SIPParseError) {
      let message = try SIPParser.parse(datagram: data)
      #expect(expectation.outcome == "accept")
      // What we write parses again, to the same headers and body.
      let again = try SIPParser.parse(datagram: message.serialized())
      #expect(again.body == message.body)
      let significant = { (message: SIPMessage) in
        message.headers.lines.filter { $0.name != .contentLength }.map { "\($0.name): \($0.value)" }
      }
      #expect(significant(again) == significant(message))
    } catch {
      #expect(error.kind.rawValue == expectation.kind, "\(error)")
      #expect(!error.rule.isEmpty)
      #expect(error.offset <= data.count)
      let answer = error.response(toTag: "t")
      #expect((answer.map { String($0.status) } ?? "-") == expectation.answer)
      #expect(expectation.outcome == (answer == nil ? "drop" : "reject"))
      if let answer {
        // The answer must itself be sound where the request's own parts are.
        let text = String(decoding: SIPMessage.response(answer).serialized(), as: UTF8.self)
        #expect(text.hasPrefix("SIP/2.0 \(answer.status) "))
        #expect(answer.headers.all("Call-ID").count == 1)
      }
    }
  }

  @Test(arguments: Expectation.all) func isNotTornByAStream(_ expectation: Expectation) throws {
    let data = try bytes(expectation.file)
    // Byte by byte or at once, the stream parser comes to the same end and never traps.
    func run(_ step: Int) -> [String] {
      var parser = SIPStreamParser()
      var log: [String] = []
      var i = 0
      while i < data.count, !parser.isFatal {
        let end = min(i + step, data.count)
        parser.append(data[i..<end])
        i = end
        var more = true
        while more {
          do throws(SIPParseError) {
            switch try parser.next() {
            case .message(let message): log.append("message \(message.headers.callID ?? "")")
            case .keepAlivePing, .keepAlivePong: log.append("keep-alive")
            case nil: more = false
            }
          } catch {
            log.append(error.kind.rawValue)
            more = !parser.isFatal
          }
        }
      }
      return log.filter { $0 != "keep-alive" }
    }
    #expect(run(1) == run(data.count))
  }

  @Test func readsTheShortTortuousINVITE() throws {
    let invite = try request("wsinv")
    let headers = invite.headers
    #expect(invite.uri.parameters.contains("unknownparam"))
    #expect(headers.toTag == "1918181833n")
    #expect(headers.from?.displayName == #"J Rosenberg \""#)
    #expect(headers.from?.tag == "98asjd8")
    #expect(headers.maxForwards == 68)
    #expect(headers.cSeq == CSeq(number: 9, method: .invite))
    #expect(headers.vias.map(\.host) == ["192.0.2.2", "spindle.example.com", "192.168.255.111"])
    #expect(headers.vias.map(\.branch) == ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"])
    #expect(headers[.subject] == "")
    #expect(headers["NewFangledHeader"] == "newfangled value   continued newfangled value")
    #expect(headers["unknownheaderwithunusualvalue"] == ";;,,;;,;")
    #expect(headers.routes.first?.uri.isLooseRouter == true)
    let contact = try #require(headers.contact)
    #expect(contact.displayName == #"Quoted string """#)
    #expect(contact.parameters["newparam"] == "newvalue")
    #expect(contact.parameters.contains("secondparam"))
    #expect(contact.preference == 330)
    #expect(invite.body.count == 150)
  }

  @Test func readsUnusualCharacters() throws {
    let message = try request("intmeth")
    #expect(message.method.rawValue == "!interesting-Method0123456789_*+`.%indeed'~")
    #expect(message.uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
    #expect(message.uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
    #expect(message.headers.to?.displayName == "BEL:\u{7} NUL:\0 DEL:\u{7F}")
    #expect(message.headers.from?.displayName == "token1~` token2'+_ token3*%!.-")
    #expect(message.headers.from?.parameters["fromParam''~+*_!.-%"] == "работающий")
    #expect(message.headers.fromTag == "_token~1'+`*%!-.")
    #expect(message.headers["extensionHeader-!.%*+_`'~"] == "\u{FEFF}大停電")
    #expect(message.headers.maxForwards == 255)
  }

  @Test func takesURIsApartBeforeResolvingEscapes() throws {
    let message = try request("esc01")
    #expect(message.uri.user == "sips:user@example.com")
    #expect(message.uri.host == "example.net")
    #expect(message.headers.to?.uri.user == "user")
    #expect(message.headers.from?.uri.user == "I have spaces")
    let contact = try #require(message.headers.contact)
    #expect(contact.uri.user == "caller")
    // %6C%72 is "lr" only after decoding: it is not the lr parameter.
    #expect(!contact.uri.isLooseRouter)
    #expect(contact.uri.description == "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31")
    #expect(contact.uri.isEquivalent(to: contact.uri))
    let nulls = try request("escnull")
    #expect(nulls.headers.contacts.map(\.uri.user) == ["\0", "\0\0"])
    #expect(!nulls.headers.contacts[0].uri.isEquivalent(to: nulls.headers.contacts[1].uri))
  }

  @Test func doesNotUnescapeMethodsAndHeaderNames() throws {
    let message = try request("esc02")
    #expect(message.method != .register)
    #expect(message.headers.contacts.count == 2)
    #expect(message.headers["C%6Fntact"] != nil)
    #expect(message.headers.to?.displayName == "%Z%45")
  }

  @Test func readsLongValuesAndManyVias() throws {
    let message = try request("longreq")
    #expect(message.headers.vias.count == 34)
    #expect(message.headers.vias.last?.received == IPAddress("192.0.2.5"))
    #expect(message.headers.to?.uri.port == 6000)
  }

  @Test func leavesTheBytesBehindTheBodyAlone() throws {
    let message = try request("dblreq")
    #expect(message.method == .register)
    #expect(message.body.isEmpty)
  }

  @Test func keepsASemicolonInTheUserPart() throws {
    let message = try request("semiuri")
    #expect(message.uri.user == "user;par=u@example.net")
    #expect(message.uri.host == "example.com")
    #expect(message.uri.parameters.isEmpty)
    #expect(message.headers.all("Accept").count == 6)
  }

  @Test func keepsUnknownTransports() throws {
    let vias = try request("transports").headers.vias
    #expect(vias.map(\.transportToken) == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"])
    #expect(vias.map(\.transport) == [.udp, nil, .tls, nil, .tcp])
  }

  @Test func keepsBinaryBodies() throws {
    let message = try request("mpart01")
    #expect(message.body.count == 553)
    #expect(message.headers.mediaType == "multipart/mixed")
  }

  @Test func tellsHeaderAndURIParametersOfAContactApart() throws {
    let bare = try #require(try request("cparam01").headers.contact)
    #expect(bare.parameters.contains("unknownparam") && bare.uri.parameters.isEmpty)
    let bracketed = try #require(try request("cparam02").headers.contact)
    #expect(bracketed.uri.parameters.contains("unknownparam") && bracketed.parameters.isEmpty)
  }

  @Test func keepsSchemesItDoesNotKnow() throws {
    #expect(try request("unkscm").uri.scheme == "nobodyknowsthisscheme")
    #expect(try request("novelsc").uri.description == "soap.beep://192.0.2.103:3002")
    #expect(try request("unksm2").headers.to?.uri.opaque == "2983792873")
  }

  @Test func dropsTheBroadcastResponse() throws {
    var layer = TransactionLayer(host: "192.0.2.198", seed: 1)
    let message = try SIPParser.parse(datagram: bytes("bcast"))
    #expect(layer.receive(message, from: udpFlow("192.0.2.5:5060"), now: .zero).isEmpty)
    #expect(layer.statistics.strayResponses == 1)
  }

  @Test func treatsABareMagicCookieAsAnOldBranch() throws {
    let message = try request("badbranch")
    #expect(message.headers.topVia?.hasMagicCookie == false)
    // Two different requests with that branch are two transactions.
    var layer = TransactionLayer(host: "192.0.2.198", seed: 1)
    var other = message
    other.headers[.callID] = "another"
    let flow = udpFlow("192.0.2.1:5060")
    #expect(layer.receive(.request(message), from: flow, now: .zero).newRequest != nil)
    #expect(layer.receive(.request(other), from: flow, now: .zero).newRequest != nil)
    #expect(layer.receive(.request(message), from: flow, now: .zero).newRequest == nil)
  }
}
