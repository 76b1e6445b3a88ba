import Core
import Testing
import TestSupport

@testable import Transport

/// What the channels of one side told. Touched only on its worker's thread, between `Bench.on` calls.
final class ChannelLog: @unchecked Sendable {
  struct Message: Equatable {
    var stream: UInt16
    var isBinary: Bool
    var bytes: [UInt8]
  }

  let channels: DataChannels
  var opened: [DataChannel] = []
  var messages: [Message] = []
  var closed: [UInt16] = []
  var writable = 0
  var ends: [String] = []
  /// Sends each message back on its stream.
  var echoes = false

  init(_ channels: DataChannels) {
    self.channels = channels
    channels.onOpen = { [unowned self] in self.opened.append($0) }
    channels.onMessage = { [unowned self] stream, isBinary, bytes in
      self.messages.append(Message(stream: stream, isBinary: isBinary, bytes: Array(bytes)))
      if self.echoes { self.channels.send(stream, isBinary: isBinary, bytes) }
    }
    channels.onClose = { [unowned self] in self.closed.append($0) }
    channels.onWritable = { [unowned self] in self.writable += 1 }
    channels.onEnd = { [unowned self] in self.ends.append($0) }
  }

  func stream(_ label: String) -> UInt16? { opened.first { $0.label == label }?.streamID }

  func send(_ label: String, _ bytes: [UInt8], isBinary: Bool = true) -> Bool {
    stream(label).map { channels.send($0, isBinary: isBinary, bytes) } ?? false
  }
}

/// Two transports with data channels on both.
private struct ChannelPair {
  let pair: Pair
  let a: ChannelLog
  let b: ChannelLog

  /// `a` is the DTLS client.
  init(limitB: Int = DataChannels.defaultMessageSize) async throws {
    pair = try Pair()
    try await pair.connect()
    a = await pair.a.on { ChannelLog($0.transports[0].openDataChannels()) }
    b = await pair.b.on { ChannelLog($0.transports[0].openDataChannels(maximumMessageSize: limitB)) }
  }

  @discardableResult
  func onA<Value: Sendable>(_ body: @Sendable (ChannelLog) -> Value) async -> Value { await pair.a.on { _ in body(a) } }
  @discardableResult
  func onB<Value: Sendable>(_ body: @Sendable (ChannelLog) -> Value) async -> Value { await pair.b.on { _ in body(b) } }
  func waitA(_ limit: Duration = .seconds(10), _ condition: @Sendable (ChannelLog) -> Bool) async -> Bool {
    await pair.a.wait(limit) { _ in condition(a) }
  }
  func waitB(_ limit: Duration = .seconds(10), _ condition: @Sendable (ChannelLog) -> Bool) async -> Bool {
    await pair.b.wait(limit) { _ in condition(b) }
  }
  func finish() async { await pair.finish() }
}

extension LiveTests {
  @Suite(.serialized, .timeLimit(.minutes(2)))
  struct DataChannelTests {
    @Test func opensChannelsOfBothSidesAsAsked() async throws {
      let pair = try await ChannelPair()
      await pair.onA {
        #expect($0.channels.open(label: "_reliable"))
        #expect($0.channels.open(label: "_lossy", subprotocol: "p", ordered: false, maxRetransmits: 0))
      }
      await pair.onB { #expect($0.channels.open(label: "server")) }
      #expect(await pair.waitA { $0.opened.count == 3 })
      #expect(await pair.waitB { $0.opened.count == 3 })
      // RFC 8832 §6: the DTLS client's streams are even, the server's odd.
      #expect(await pair.onA { [$0.stream("_reliable"), $0.stream("_lossy"), $0.stream("server")] } == [0, 2, 1])
      let lossy = await pair.onB { log in log.opened.first { $0.label == "_lossy" } }
      #expect(
        lossy
          == DataChannel(
            streamID: 2, label: "_lossy", subprotocol: "p", isOrdered: false, maxRetransmits: 0, maxLifetime: nil,
            isLocal: false))
      await pair.finish()
    }

    @Test(arguments: [(true, nil), (false, nil), (false, UInt16(0)), (true, 3)])
    func carriesMessagesOfEverySizeBothWays(ordered: Bool, maxRetransmits: UInt16?) async throws {
      let pair = try await ChannelPair()
      await pair.onB { $0.echoes = true }
      await pair.onA { $0.channels.open(label: "x", ordered: ordered, maxRetransmits: maxRetransmits) }
      #expect(await pair.waitA { !$0.opened.isEmpty })
      let sizes = [0, 1, 2, 1100, 1160, 1200, 5000, 65_535, 65_536]
      await pair.onA { log in
        for size in sizes {
          #expect(log.send("x", [UInt8](repeating: UInt8(size % 251), count: size), isBinary: size % 2 == 0))
        }
      }
      #expect(await pair.waitA { $0.messages.count == sizes.count })
      let back = await pair.onA { $0.messages }
      #expect(back.map(\.bytes.count).sorted() == sizes)
      for message in back {
        #expect(message.isBinary == (message.bytes.count % 2 == 0))
        #expect(message.bytes.allSatisfy { $0 == UInt8(message.bytes.count % 251) })
      }
      #expect(await pair.onA { $0.channels.statistics.messagesReceived } == UInt64(sizes.count))
      await pair.finish()
    }

    @Test func keepsTheOrderOfAReliableChannel() async throws {
      let pair = try await ChannelPair()
      await pair.onA { $0.channels.open(label: "x") }
      #expect(await pair.waitA { !$0.opened.isEmpty })
      let sent = await pair.onA { log in
        (0..<500).map { log.send("x", [UInt8](repeating: 0, count: $0 % 300) + [UInt8($0 >> 8), UInt8($0 & 255)]) }
      }
      #expect(sent.allSatisfy { $0 })
      #expect(await pair.waitB { $0.messages.count == 500 })
      let numbers = await pair.onB {
        $0.messages.map { Int($0.bytes.suffix(2)[$0.bytes.count - 2]) << 8 | Int($0.bytes.last!) }
      }
      #expect(numbers == Array(0..<500))
      await pair.finish()
    }

    @Test func refusesMessagesLargerThanThePeerTakes() async throws {
      let pair = try await ChannelPair(limitB: 1000)
      await pair.onA {
        $0.channels.remoteMaximumMessageSize = 1000
        $0.channels.open(label: "x")
      }
      #expect(await pair.waitA { !$0.opened.isEmpty })
      #expect(await pair.onA { $0.send("x", [UInt8](repeating: 1, count: 1001)) } == false)
      #expect(await pair.onA { $0.send("x", [UInt8](repeating: 1, count: 1000)) })
      #expect(await pair.waitB { $0.messages.count == 1 })
      #expect(await pair.onA { $0.channels.statistics.messagesNotSent } == 1)
      await pair.finish()
    }

    @Test func closesTheChannelOfAMessageThatIsTooLarge() async throws {
      let pair = try await ChannelPair(limitB: 1000)
      await pair.onA {
        $0.channels.open(label: "x")
        $0.channels.open(label: "y")
      }
      #expect(await pair.waitB { $0.opened.count == 2 })
      // The sender was told nothing of the limit.
      #expect(await pair.onA { $0.send("x", [UInt8](repeating: 1, count: 60_000)) })
      #expect(await pair.waitB { $0.closed == [0] })
      #expect(await pair.waitA { $0.closed == [0] })
      #expect(await pair.onA { $0.send("y", [1, 2, 3]) })
      #expect(await pair.waitB { $0.messages.map(\.bytes) == [[1, 2, 3]] })
      #expect(await pair.onB { $0.channels.statistics.messagesRejected } == 1)
      await pair.finish()
    }

    @Test func closingAChannelTellsThePeerAndFreesTheStream() async throws {
      let pair = try await ChannelPair()
      for round in 0..<3 {
        await pair.onA { $0.channels.open(label: "x\(round)") }
        #expect(await pair.waitB { $0.opened.count == round + 1 })
        #expect(await pair.onA { $0.send("x\(round)", [UInt8(round)]) })
        await pair.onA { $0.channels.close($0.stream("x\(round)")!) }
        #expect(await pair.waitB { $0.closed.count == round + 1 })
        // What was sent before the close came before it.
        #expect(await pair.onB { $0.messages.count } == round + 1)
        // Both directions are reset: the next channel gets the same stream.
        #expect(await pair.waitA { $0.channels.isFree(0) })
        #expect(await pair.waitB { $0.channels.isFree(0) })
      }
      #expect(await pair.onA { $0.opened.map(\.streamID) } == [0, 0, 0])
      #expect(await pair.onA { $0.closed } == [])
      await pair.finish()
    }

    @Test func closesManyChannelsAtOnce() async throws {
      let pair = try await ChannelPair()
      await pair.onA { log in for number in 0..<40 { log.channels.open(label: "\(number)") } }
      #expect(await pair.waitB { $0.opened.count == 40 })
      await pair.onB { log in for channel in log.channels.open { log.channels.close(channel.streamID) } }
      #expect(await pair.waitA { $0.closed.count == 40 })
      #expect(await pair.waitB { log in (0..<80).allSatisfy { log.channels.isFree(UInt16($0)) } })
      await pair.finish()
    }

    @Test func refusesWhatDoesNotFitTheBufferAndTellsWhenItFitsAgain() async throws {
      let pair = try await ChannelPair()
      await pair.onA { $0.channels.open(label: "x") }
      #expect(await pair.waitB { $0.opened.count == 1 })
      // Within one turn of the worker nothing is acknowledged.
      let taken = await pair.onA { log in
        var taken = 0
        while log.send("x", [UInt8](repeating: 7, count: 50_000)) { taken += 1 }
        #expect(log.channels.bufferedAmount(0) >= (taken - 1) * 50_000)
        #expect(log.channels.bufferedAmount(0) <= DataChannels.sendBufferSize)
        return taken
      }
      #expect((10...21).contains(taken))
      #expect(await pair.waitA { $0.writable == 1 })
      #expect(await pair.waitB { $0.messages.count == taken })
      #expect(await pair.waitA { $0.channels.bufferedAmount(0) == 0 })
      #expect(await pair.onA { $0.send("x", [1]) })
      #expect(await pair.waitB { $0.messages.last?.bytes == [1] })
      await pair.finish()
    }

    @Test func closingATransportEndsThePeersChannels() async throws {
      let pair = try await ChannelPair()
      await pair.onA { $0.channels.open(label: "x") }
      #expect(await pair.waitB { $0.opened.count == 1 })
      await pair.pair.a.close(0)
      #expect(await pair.waitB { $0.ends.count == 1 })
      #expect(await pair.onB { $0.send("x", [1]) } == false)
      #expect(await pair.onA { $0.ends } == [])
      #expect(await pair.onB { $0.channels.open(label: "y") } == false)
      await pair.finish()
      #expect(SCTPStack.shared.count == 0)
    }

    @Test func handlersMayCloseTheTransport() async throws {
      let pair = try await ChannelPair()
      await pair.onA { $0.channels.open(label: "x") }
      #expect(await pair.waitB { $0.opened.count == 1 })
      await pair.pair.b.on { bench in
        let transport = bench.transports[0]
        pair.b.channels.onMessage = { [unowned transport] _, _, _ in transport.close() }
      }
      #expect(await pair.onA { $0.send("x", [1]) && $0.send("x", [2]) })
      #expect(await pair.waitA { $0.ends.count == 1 })
      await pair.finish()
    }

    @Test func passesNoDataBeforeTheFingerprintIsVerified() async throws {
      let pair = try Pair()
      try await pair.connect {
        $0.fingerprint = String($0.fingerprint.dropLast(2)) + ($0.fingerprint.hasSuffix("00") ? "01" : "00")
      }
      let a = await pair.a.on { ChannelLog($0.transports[0].openDataChannels()) }
      let b = await pair.b.on { ChannelLog($0.transports[0].openDataChannels()) }
      await pair.a.on { _ in _ = a.channels.open(label: "x") }
      #expect(await pair.b.wait { _ in b.ends.count == 1 })
      #expect(await pair.b.on { _ in b.opened.isEmpty })
      await pair.finish()
    }

    @Test func timersMoveOnWhenTheirBearerLeaves() async throws {
      // Four associations on four workers: whichever bears the clock closes first, then the next one.
      let first = try await ChannelPair()
      let second = try await ChannelPair()
      for pair in [first, second] {
        await pair.onA { $0.channels.open(label: "x") }
        #expect(await pair.waitB { $0.opened.count == 1 })
      }
      await first.finish()
      #expect(SCTPStack.shared.count == 2)
      // A reset needs no timer, a lost packet does: b's DTLS stops taking packets for a while.
      await second.pair.b.on { $0.transports[0].association.dtls?.onApplicationData = { _ in } }
      #expect(await second.onA { $0.send("x", [1]) })
      try await Task.sleep(for: .milliseconds(50))
      await second.pair.b.on { bench in
        let channels = second.b.channels
        bench.transports[0].association.dtls?.onApplicationData = { channels.receive($0) }
      }
      #expect(await second.waitB { $0.messages.count == 1 })
      await second.finish()
    }

    @Test func manyAssociationsOnSeveralWorkersDoNotMix() async throws {
      var pairs: [ChannelPair] = []
      for _ in 0..<6 { pairs.append(try await ChannelPair()) }
      for (number, pair) in pairs.enumerated() {
        await pair.onB { $0.echoes = true }
        await pair.onA { $0.channels.open(label: "\(number)") }
      }
      for pair in pairs { #expect(await pair.waitA { !$0.opened.isEmpty }) }
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (number, pair) in pairs.enumerated() {
          group.addTask {
            for round in 0..<40 {
              _ = await pair.onA {
                $0.send("\(number)", [UInt8(number), UInt8(round)] + [UInt8](repeating: 9, count: 2_000))
              }
            }
          }
        }
        try await group.waitForAll()
      }
      for (number, pair) in pairs.enumerated() {
        #expect(await pair.waitA { $0.messages.count == 40 })
        #expect(await pair.onA { $0.messages.allSatisfy { $0.bytes[0] == UInt8(number) } })
        #expect(await pair.onA { $0.messages.map { Int($0.bytes[1]) } } == Array(0..<40))
      }
      for pair in pairs { await pair.finish() }
      #expect(SCTPStack.shared.count == 0)
    }

    @Test func junkEndsNothing() async throws {
      let pair = try await ChannelPair()
      await pair.onA { $0.channels.open(label: "x") }
      #expect(await pair.waitB { $0.opened.count == 1 })
      await pair.onB { log in
        var random = SeededRandom(seed: 4)
        for _ in 0..<2_000 {
          let junk = (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random)
          }
          junk.withUnsafeBytes { log.channels.receive($0) }
        }
      }
      #expect(await pair.onA { $0.send("x", [5]) })
      #expect(await pair.waitB { $0.messages.map(\.bytes) == [[5]] })
      await pair.finish()
    }
  }
}
