import Core
import SIP
import TestSupport
import Testing

/// A client and a server layer talk over links that lose, duplicate and reorder, byte for byte through writer and
/// parser, under a virtual clock. What must hold, holds for every seed.
@Suite struct TransactionPropertyTests {
  enum Scenario: String, CaseIterable, Sendable { case options, answered, rejected, cancelled }

  struct Outcome {
    var requestsSeen = 0
    var finals: [Int] = []
    var provisionals = 0
    var timeouts = 0
    var acknowledged = 0
    var missing = 0
    var cancelled = 0
    /// The final status that the server's user chose, once it did.
    var chosen: Int?
    var end = Instant.zero
  }

  /// Two layers and what lies between.
  struct Pair {
    var client: TransactionLayer
    var server: TransactionLayer
    var up: VirtualLink<[UInt8]>
    var down: VirtualLink<[UInt8]>
    let scenario: Scenario
    var random: SeededRandom
    var outcome = Outcome()
    var call: ClientTransactionID?
    var cancelAt: Instant?
    var answerAt: Instant?
    var pending: (id: ServerTransactionID, request: SIPRequest)?
    let clientFlow = udpFlow("192.0.2.1:5060")
    let serverFlow = udpFlow("192.0.2.2:5060")

    init(seed: UInt64, scenario: Scenario, loss: Double, duplication: Double) {
      client = TransactionLayer(host: "192.0.2.1", seed: seed)
      server = TransactionLayer(host: "192.0.2.2", seed: seed &+ 1)
      up = VirtualLink(
        seed: seed &+ 2, delay: .milliseconds(20), jitter: .milliseconds(400), loss: loss, duplication: duplication)
      down = VirtualLink(
        seed: seed &+ 3, delay: .milliseconds(20), jitter: .milliseconds(400), loss: loss, duplication: duplication)
      self.scenario = scenario
      random = SeededRandom(seed: seed &+ 4)
    }

    mutating func run() throws -> Outcome {
      var now = Instant.zero
      let (id, actions) = client.send(
        newRequest(scenario == .options ? .options : .invite), to: .flow(serverFlow), now: now)
      call = id
      if scenario == .cancelled { cancelAt = now + .milliseconds(Int64.random(in: 0...6000, using: &random)) }
      try perform(clientActions: actions, now)
      var steps = 0
      while let next = [up.nextArrival, down.nextArrival, client.nextDeadline, server.nextDeadline, cancelAt, answerAt]
        .compactMap({ $0 }).min()
      {
        steps += 1
        try #require(steps < 20_000, "the machines do not come to rest")
        #expect(next >= now, "time does not run backwards")
        now = next
        if next != cancelAt || outcome.finals.isEmpty { outcome.end = now }
        for bytes in up.receive(now: now) {
          let message = try SIPParser.parse(datagram: bytes)
          try perform(serverActions: server.receive(message, from: clientFlow, now: now), now)
        }
        for bytes in down.receive(now: now) {
          let message = try SIPParser.parse(datagram: bytes)
          try perform(clientActions: client.receive(message, from: serverFlow, now: now), now)
        }
        if let due = cancelAt, due <= now {
          cancelAt = nil
          guard outcome.finals.isEmpty else { continue }
          try perform(clientActions: client.cancel(id, now: now), now)
        }
        if let due = answerAt, due <= now {
          answerAt = nil
          try answer(now)
        }
        try perform(clientActions: client.advance(to: now), now)
        try perform(serverActions: server.advance(to: now), now)
      }
      return outcome
    }

    mutating func answer(_ now: Instant) throws {
      guard let (id, request) = pending else { return }
      pending = nil
      let status = scenario == .rejected ? 486 : 200
      outcome.chosen = status
      let response = SIPResponse(to: request, status: status, toTag: "server")
      try perform(serverActions: server.respond(response, to: id, now: now), now)
    }

    mutating func perform(serverActions actions: [TransactionAction], _ now: Instant) throws {
      for action in actions {
        switch action {
        case .transmit(let message, let destination):
          #expect(destination == .flow(clientFlow))
          down.send(message.serialized(), now: now)
        case .request(let id, let request, _):
          outcome.requestsSeen += 1
          pending = (id, request)
          answerAt = now + .milliseconds(Int64.random(in: 0...8000, using: &random))
          if scenario != .options, Bool.random(using: &random) {
            let ringing = SIPResponse(to: request, status: 180, toTag: "server")
            try perform(serverActions: server.respond(ringing, to: id, now: now), now)
          }
        case .acknowledged: outcome.acknowledged += 1
        case .cancelled(let id, _):
          outcome.cancelled += 1
          let (_, request) = try #require(pending, "nothing that is answered is cancelled")
          pending = nil
          outcome.chosen = 487
          let response = SIPResponse(to: request, status: 487, toTag: "server")
          try perform(serverActions: server.respond(response, to: id, now: now), now)
        case .acknowledgementMissing: outcome.missing += 1
        case .response, .timeout, .transportFailure: Issue.record("not an action of a server")
        }
      }
    }

    mutating func perform(clientActions actions: [TransactionAction], _ now: Instant) throws {
      for action in actions {
        switch action {
        case .transmit(let message, let destination):
          #expect(destination == .flow(serverFlow))
          up.send(message.serialized(), now: now)
        case .response(let id, let response, _):
          #expect(id == call)
          if response.isProvisional {
            #expect(outcome.finals.isEmpty)
            outcome.provisionals += 1
            // In Proceeding the machine waits for ever: its user is the one who loses patience.
            if cancelAt == nil, scenario != .options { cancelAt = now + .seconds(120) }
          } else {
            outcome.finals.append(response.status)
            if response.isSuccess, scenario != .options {
              var ack = newRequest(.ack)
              ack.headers[.to] = response.headers[.to]
              try perform(
                clientActions: client.acknowledge(ack, for: id, to: .flow(serverFlow), now: now), now)
            }
          }
        case .timeout: outcome.timeouts += 1
        default: Issue.record("not an action of a client")
        }
      }
    }
  }

  func check(_ pair: inout Pair, loses: Bool, _ label: String) throws {
    let outcome = try pair.run()
    let scenario = pair.scenario
    #expect(pair.client.count == 0 && pair.server.count == 0, "\(label): nothing is left behind")
    #expect(pair.client.nextDeadline == nil && pair.server.nextDeadline == nil, "\(label)")
    #expect(outcome.requestsSeen <= 1, "\(label): a request is told once")
    #expect(outcome.finals.count + outcome.timeouts == 1, "\(label): one end")
    if let status = outcome.finals.first { #expect(status == outcome.chosen, "\(label): the end is the server's") }
    #expect(outcome.acknowledged <= 1 && outcome.cancelled <= 1, "\(label)")
    if outcome.chosen == 200, scenario != .options {
      #expect(outcome.acknowledged + outcome.missing == 1, "\(label): the 2xx is acknowledged or missed")
      if outcome.acknowledged == 1 { #expect(outcome.finals == [200], "\(label)") }
    } else {
      #expect(outcome.acknowledged == 0 && outcome.missing == 0, "\(label)")
    }
    if scenario != .cancelled { #expect(outcome.cancelled == 0, "\(label)") }
    if !loses {
      #expect(outcome.requestsSeen == 1 && outcome.timeouts == 0, "\(label): nothing lost, nothing timed out")
      #expect(outcome.missing == 0, "\(label)")
      // Nothing stays longer than 64·T1 behind its last message.
      #expect(outcome.end < ms(90_000), "\(label)")
    }
  }

  @Test(arguments: Scenario.allCases) func holdsOverReorderingAndDuplication(_ scenario: Scenario) throws {
    for seed in 0..<250 as Range<UInt64> {
      var pair = Pair(seed: seed &* 7919, scenario: scenario, loss: 0, duplication: 0.3)
      try check(&pair, loses: false, "\(scenario) seed \(seed)")
    }
  }

  @Test(arguments: Scenario.allCases) func holdsOverLoss(_ scenario: Scenario) throws {
    var finished = 0
    for seed in 0..<400 as Range<UInt64> {
      let loss = [0.1, 0.3, 0.6, 0.9][Int(seed % 4)]
      var pair = Pair(seed: seed &* 104_729, scenario: scenario, loss: loss, duplication: 0.1)
      try check(&pair, loses: true, "\(scenario) seed \(seed) loss \(loss)")
      finished += pair.outcome.finals.count
    }
    // The machines are there to get through: the half with little loss does.
    #expect(finished > 190)
  }

  @Test func timesOutWhenNothingArrives() throws {
    for scenario in Scenario.allCases {
      var pair = Pair(seed: 5, scenario: scenario, loss: 1, duplication: 0)
      let outcome = try pair.run()
      #expect(outcome.timeouts == 1 && outcome.requestsSeen == 0 && outcome.end == ms(32_000))
    }
  }

  @Test func isTheSameRunForTheSameSeed() throws {
    var first = Pair(seed: 77, scenario: .cancelled, loss: 0.4, duplication: 0.2)
    var second = Pair(seed: 77, scenario: .cancelled, loss: 0.4, duplication: 0.2)
    let (a, b) = (try first.run(), try second.run())
    #expect(a.end == b.end && a.finals == b.finals && a.provisionals == b.provisionals)
    #expect(first.client.statistics == second.client.statistics)
    #expect(first.server.statistics == second.server.statistics)
  }
}
