import Core
import Foundation
import Testing
import TestSupport

@testable import Transport

struct STUNTests {
  static let password = Array("VOkJxbRl1RmTxUk/WvJxBt".utf8)

  static func vector(_ name: String) throws -> [UInt8] {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: directory.appendingPathComponent("Vectors/stun/rfc5769.txt"), encoding: .utf8)
    var bytes: [UInt8] = []
    var isWanted = false
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      var words = line.split(separator: " ").map(String.init)
      if !line.hasPrefix(" ") { isWanted = words.removeFirst() == name }
      if isWanted { bytes += try #require(Hex.decode(words.joined())) }
    }
    return bytes
  }

  static func parse(_ bytes: [UInt8]) throws -> STUNMessage { try STUNMessage(parsing: bytes.span.bytes) }

  static func verifies(_ bytes: [UInt8], _ message: STUNMessage, password: [UInt8] = password) throws -> Bool {
    let integrity = try STUNIntegrity()
    let attribute = try #require(message.integrity)
    return bytes.withUnsafeBytes { integrity.verify($0, attribute: attribute, password: password) }
  }

  // MARK: Published vectors

  @Test func readsTheRequestOfRFC5769() throws {
    let bytes = try Self.vector("request")
    let message = try Self.parse(bytes)
    #expect(message.messageClass == .request)
    #expect(message.method == STUNMessage.bindingMethod)
    #expect(message.username.map { String(decoding: bytes[$0], as: UTF8.self) } == "evtj:h6vY")
    #expect(message.priority == 0x6E00_01FF)
    #expect(message.controlled == 0x932F_F9B1_5126_3B36)
    #expect(message.controlling == nil)
    #expect(!message.useCandidate)
    #expect(message.unknown.isEmpty)
    #expect(try Self.verifies(bytes, message))
    let fingerprint = try #require(message.fingerprint)
    #expect(bytes.withUnsafeBytes { STUNFingerprint.verify($0, attribute: fingerprint) })
  }

  @Test(arguments: [
    ("response-v4", "192.0.2.1:32853"), ("response-v6", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
  ])
  func readsTheResponsesOfRFC5769(name: String, mapped: String) throws {
    let bytes = try Self.vector(name)
    let message = try Self.parse(bytes)
    #expect(message.messageClass == .success)
    #expect(bytes.withUnsafeBytes { message.mappedAddress(in: $0) } == SocketAddress(mapped))
    #expect(try Self.verifies(bytes, message))
    let fingerprint = try #require(message.fingerprint)
    #expect(bytes.withUnsafeBytes { STUNFingerprint.verify($0, attribute: fingerprint) })
  }

  @Test func everyChangedByteOfTheVectorIsNoticed() throws {
    let bytes = try Self.vector("request")
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 0x10
      // Where it still parses, either check must fail; a byte of the fingerprint itself is no part of the integrity.
      guard let message = try? Self.parse(changed), let integrity = message.integrity else { continue }
      let isWhole =
        message.fingerprint.map { at in changed.withUnsafeBytes { STUNFingerprint.verify($0, attribute: at) } } ?? true
      #expect(!(isWhole && message.fingerprint != nil), "byte \(index)")
      if index < integrity { #expect(try !Self.verifies(changed, message), "byte \(index)") }
    }
  }

  @Test func anotherPasswordDoesNotVerify() throws {
    let bytes = try Self.vector("request")
    let message = try Self.parse(bytes)
    #expect(try !Self.verifies(bytes, message, password: Array("VOkJxbRl1RmTxUk/WvJxBu".utf8)))
    #expect(try !Self.verifies(bytes, message, password: []))
  }

  // MARK: Answers

  static func answer(
    _ answer: STUNAnswer, to request: [UInt8], from source: String, password: [UInt8]? = password
  ) throws -> [UInt8] {
    let integrity = try STUNIntegrity()
    let source = try #require(SocketAddress(source))
    var out = [UInt8](repeating: 0xEE, count: STUNWriter.capacity)
    let length = out.withUnsafeMutableBytes { buffer in
      request.withUnsafeBytes {
        answer.write(to: $0, from: source, password: password, integrity: integrity, into: buffer)
      }
    }
    return Array(out.prefix(try #require(length)))
  }

  @Test(arguments: ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"])
  func successCarriesTheSourceAndIsSigned(source: String) throws {
    let request = try Self.vector("request")
    let bytes = try Self.answer(.success, to: request, from: source)
    let message = try Self.parse(bytes)
    #expect(message.messageClass == .success)
    #expect(Array(bytes[4..<20]) == Array(request[4..<20]))
    #expect(bytes.withUnsafeBytes { message.mappedAddress(in: $0) } == SocketAddress(source))
    #expect(try Self.verifies(bytes, message))
    let fingerprint = try #require(message.fingerprint)
    #expect(fingerprint == bytes.count - 8)
    #expect(bytes.withUnsafeBytes { STUNFingerprint.verify($0, attribute: fingerprint) })
    // The address of the vector as its authors wrote it.
    let theirs = try Self.vector(source.hasPrefix("[") ? "response-v6" : "response-v4")
    let at = try #require(message.xorMappedAddress)
    let theirAt = try #require(try Self.parse(theirs).xorMappedAddress)
    #expect(Array(bytes[at]) == Array(theirs[theirAt]))
  }

  @Test(arguments: [
    (STUNAnswer.badRequest, 400), (.unauthenticated, 401), (.unknownAttributes([0x7001, 0x0002]), 420),
    (.roleConflict, 487),
  ])
  func errorsCarryTheirCode(answer: STUNAnswer, code: Int) throws {
    let bytes = try Self.answer(answer, to: Self.vector("request"), from: "192.0.2.1:9", password: nil)
    let message = try Self.parse(bytes)
    #expect(message.messageClass == .error)
    #expect(message.errorCode == code)
    #expect(message.integrity == nil)
    #expect(message.fingerprint != nil)
    if code == 420 {
      // UNKNOWN-ATTRIBUTES with both types.
      #expect(bytes.firstRange(of: [0, 0x0A, 0, 4, 0x70, 0x01, 0, 2]) != nil)
    }
  }

  @Test func anAnswerIsNeverLongerThanItsRequestMadeUs() throws {
    // A reflector would have to give more than it gets; the shortest request that we answer has 20 bytes and no more.
    let request = try Self.vector("request")
    for answer in [STUNAnswer.success, .badRequest, .unauthenticated, .roleConflict] {
      #expect(try Self.answer(answer, to: request, from: "192.0.2.1:9").count <= request.count)
    }
    #expect(try Self.answer(.badRequest, to: Array(request.prefix(20)), from: "192.0.2.1:9", password: nil).count <= 48)
  }

  // MARK: Malformed input

  static let header: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + [UInt8](repeating: 7, count: 12)

  static func message(_ attributes: [UInt8]) -> [UInt8] {
    var bytes = header + attributes
    bytes[2] = UInt8(attributes.count >> 8)
    bytes[3] = UInt8(attributes.count & 255)
    return bytes
  }

  @Test(
    arguments: [
      ([], STUNParseError.Kind.truncated), (Array(header.prefix(19)), .truncated),
      ([0x40, 1] + Array(header[2...]), .notSTUN),
      (Array(header.prefix(4)) + [0x21, 0x12, 0xA4, 0x43] + header[8...], .notSTUN),
      (header + [0, 0, 0, 0], .wrongLength), (message([0, 6, 0]) + [0], .wrongLength),
      (message([0, 6, 0, 4]), .attributeOverrun), (message([0, 6, 0xFF, 0xFF, 0, 0, 0, 0]), .attributeOverrun),
      (message([0, 0x24, 0, 3, 1, 2, 3, 0]), .wrongAttributeLength),
      (message([0, 0x25, 0, 4, 1, 2, 3, 4]), .wrongAttributeLength),
      (message([0x80, 0x28, 0, 4, 1, 2, 3, 4, 0, 0x25, 0, 0]), .behindFingerprint),
      (message([UInt8](repeating: 0, count: 4 * 33)), .tooManyAttributes),
      (message([UInt8](repeating: 0, count: 1484)), .tooLong),
    ] as [([UInt8], STUNParseError.Kind)])
  func refusesMalformedMessages(bytes: [UInt8], kind: STUNParseError.Kind) throws {
    #expect { try Self.parse(bytes) } throws: { ($0 as? STUNParseError)?.kind == kind }
  }

  @Test func namesUnknownAttributesThatMustBeUnderstood() throws {
    // 0x0002 and 0x7FFF must be understood, 0x8FFF need not; each is named once.
    let bytes = Self.message([0, 2, 0, 0, 0x8F, 0xFF, 0, 1, 9, 0, 0, 0, 0x7F, 0xFF, 0, 0, 0, 2, 0, 0])
    #expect(try Self.parse(bytes).unknown == [2, 0x7FFF])
  }

  @Test func behindTheIntegrityOnlyTheFingerprintCounts() throws {
    let signed: [UInt8] = [0, 8, 0, 20] + [UInt8](repeating: 1, count: 20)
    let message = try Self.parse(
      Self.message(signed + [0, 0x25, 0, 0] + [0x70, 1, 0, 0] + [0x80, 0x28, 0, 4, 1, 2, 3, 4]))
    #expect(!message.useCandidate)
    #expect(message.unknown.isEmpty)
    #expect(message.fingerprint != nil)
  }

  @Test func ofTwoEqualAttributesTheFirstCounts() throws {
    let message = try Self.parse(Self.message([0, 0x24, 0, 4, 0, 0, 0, 1, 0, 0x24, 0, 4, 0, 0, 0, 2]))
    #expect(message.priority == 1)
  }

  @Test func tellsTheFourClassesAndTheMethodApart() throws {
    for (type, messageClass) in [
      (0x0001, STUNMessage.Class.request), (0x0011, .indication), (0x0101, .success), (0x0111, .error),
    ] {
      var bytes = Self.header
      bytes[0] = UInt8(type >> 8)
      bytes[1] = UInt8(type & 255)
      #expect(try Self.parse(bytes).messageClass == messageClass)
      #expect(try Self.parse(bytes).method == 1)
    }
    // All method bits: 0x3EEF.
    #expect(try Self.parse([0x3E, 0xEF] + Self.header[2...]).method == 0xFFF)
  }

  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func randomAndDamagedMessagesDoNotTrap(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let good = try Self.vector("request")
    var parsed = 0
    for _ in 0..<5000 {
      var bytes: [UInt8]
      if Bool.random(using: &random) {
        bytes = good
        for _ in 0..<Int.random(in: 1...4, using: &random) {
          bytes[Int.random(in: 20..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
        }
      } else {
        let words = Int.random(in: 0...40, using: &random)
        bytes = Self.message((0..<(4 * words)).map { _ in UInt8.random(in: 0...255, using: &random) })
      }
      guard let message = try? Self.parse(bytes) else { continue }
      parsed += 1
      if let at = message.integrity { #expect(at + 24 <= bytes.count) }
      if let at = message.username { #expect(at.upperBound <= bytes.count) }
      bytes.withUnsafeBytes { raw in
        _ = message.mappedAddress(in: raw)
        if let at = message.fingerprint { _ = STUNFingerprint.verify(raw, attribute: at) }
      }
    }
    #expect(parsed > 100)
  }

  // MARK: Bounds

  @Test func aTokenBucketGivesItsBurstAndThenItsRate() {
    var bucket = TokenBucket(perSecond: 10, burst: 5)
    let start = Instant(nanoseconds: 1_000_000_000_000)
    let first = (0..<20).filter { _ in bucket.take(now: start) }
    #expect(first.count == 5)
    let second = (1...100).filter { bucket.take(now: start + .milliseconds(10 * $0)) }
    #expect(second.count == 10)
    // Never more than the burst, however long nobody asked.
    let later = (0..<20).filter { _ in bucket.take(now: start + .seconds(1000)) }
    #expect(later.count == 5)
    // A clock that goes back gives nothing.
    let back = bucket.take(now: start)
    #expect(!back)
  }
}

/// Everything that the fuzzer found worth keeping, its crashes included, through the same function as there.
@Suite struct STUNCorpusTests {
  @Test func everyMessageAndScriptOfTheFuzzerIsTakenWithoutATrap() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let directory = tests.appendingPathComponent("Fuzz/Corpus/stun")
    let files = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
    #expect(files.count >= 6)
    for file in files { fuzzSTUN(Array(try Data(contentsOf: file))) }
  }
}
