import Testing

@testable import Transport

struct DCEPTests {
  private func parse(_ bytes: [UInt8]) throws -> DCEPMessage {
    try bytes.withUnsafeBytes { try DCEPMessage(parsing: $0) }
  }

  /// What Chromium sends for `createDataChannel("_lossy", { ordered: false, maxRetransmits: 0 })`.
  private static let lossy: [UInt8] =
    [3, 0x81, 1, 0, 0, 0, 0, 0, 0, 6, 0, 0] + Array("_lossy".utf8)

  @Test func readsWhatABrowserSends() throws {
    let expected = DCEPMessage.Open(label: "_lossy", isOrdered: false, reliability: .retransmissions(0))
    #expect(try parse(DCEPTests.lossy) == .open(expected))
    #expect(DCEPMessage.open(expected).bytes == DCEPTests.lossy)
    #expect(try parse([2]) == .acknowledge)
  }

  @Test(arguments: [
    DCEPMessage.open(.init(label: "_reliable")), .open(.init(label: "", subprotocol: "chat", priority: 0)),
    .open(.init(label: "ä", subprotocol: "ö", isOrdered: false, reliability: .lifetime(.max))),
    .open(.init(label: "x", reliability: .retransmissions(70_000))), .acknowledge,
  ])
  func readsWhatItWrites(message: DCEPMessage) throws { #expect(try parse(message.bytes) == message) }

  @Test func refusesEveryCutMessage() {
    for length in 0..<DCEPTests.lossy.count {
      #expect(throws: DCEPMessage.ParseError.truncated) { try parse(Array(DCEPTests.lossy.prefix(length))) }
    }
  }

  @Test func refusesLengthsBeyondTheMessage() {
    var bytes = DCEPTests.lossy
    bytes[9] = 7
    #expect(throws: DCEPMessage.ParseError.truncated) { try parse(bytes) }
    bytes[8] = 0xFF
    #expect(throws: DCEPMessage.ParseError.tooLong) { try parse(bytes) }
  }

  @Test func refusesUnknownTypesAndBrokenText() {
    #expect(throws: DCEPMessage.ParseError.unknownMessageType(1)) { try parse([1]) }
    var bytes = DCEPTests.lossy
    bytes[1] = 0x83
    #expect(throws: DCEPMessage.ParseError.unknownChannelType(0x83)) { try parse(bytes) }
    bytes[1] = 0
    bytes[12] = 0xFF
    #expect(throws: DCEPMessage.ParseError.notText) { try parse(bytes) }
  }

  @Test func cutsLabelsThatAreTooLong() throws {
    let open = DCEPMessage.Open(label: String(repeating: "a", count: 5000), subprotocol: "b")
    guard case .open(let read) = try parse(DCEPMessage.open(open).bytes) else {
      Issue.record("not an OPEN")
      return
    }
    #expect(read.label.utf8.count == DCEPMessage.maximumText)
    #expect(read.subprotocol.isEmpty)
  }
}

struct SendLedgerTests {
  @Test func countsTheOldestAsDoneFirst() {
    var ledger = SendLedger()
    ledger.sent(100, on: 1)
    ledger.sent(50, on: 3)
    ledger.sent(10, on: 1)
    #expect(ledger.total == 160)
    ledger.settle(outstanding: 110)
    #expect(ledger.amount(on: 1) == 60)
    #expect(ledger.amount(on: 3) == 50)
    ledger.settle(outstanding: 30)
    #expect(ledger.amount(on: 1) == 10)
    #expect(ledger.amount(on: 3) == 20)
    ledger.settle(outstanding: 0)
    #expect(ledger.total == 0)
    #expect(ledger.amount(on: 1) == 0)
  }

  @Test func neverGrowsWhileItIsSettled() {
    var ledger = SendLedger()
    for round in 0..<10_000 {
      ledger.sent(10, on: UInt16(round % 7))
      ledger.settle(outstanding: min(ledger.total, 500))
    }
    #expect(ledger.total == 500)
    #expect((0..<7).map { ledger.amount(on: UInt16($0)) }.reduce(0, +) == 500)
  }

  @Test func ignoresMoreThanItKnows() {
    var ledger = SendLedger()
    ledger.sent(10, on: 0)
    ledger.settle(outstanding: 1000)
    #expect(ledger.total == 10)
    ledger.settle(outstanding: -5)
    #expect(ledger.total == 0)
  }
}
