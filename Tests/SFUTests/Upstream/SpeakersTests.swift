import Core
import RTP
import Testing

@testable import SFU

@Suite struct ActiveSpeakersTests {
  private func at(_ milliseconds: Int) -> Instant { Instant.zero + .milliseconds(milliseconds) }

  /// An interval of packets of 20 ms, `loud` of them at that level.
  private func interval(loud: Int, attenuation: Int) -> ActiveSpeakers.Observation {
    var observation = ActiveSpeakers.Observation()
    for index in 0..<20 {
      let level = AudioLevel(byte: UInt8(index < loud ? attenuation : 90))
      observation.add(level, threshold: 35, duration: 20_000)
    }
    return observation
  }

  private let ada = ProducerID(rawValue: 1)
  private let bob = ProducerID(rawValue: 2)

  @Test func tellsSpeakersLoudestFirstAndOnlyWhatChanged() {
    var speakers = ActiveSpeakers(interval: .milliseconds(400), threshold: 35)
    let first = speakers.update(
      [(ada, interval(loud: 20, attenuation: 20)), (bob, interval(loud: 20, attenuation: 6))], now: at(0))
    #expect(first.map(\.producer) == [bob, ada] && first.allSatisfy(\.isActive))
    // −6 dBov is 0.5; smoothing gives two thirds of it at first: 0.334, three eighths.
    #expect(first.map(\.level) == [0.375, 0.125])
    let second = speakers.update(
      [(ada, interval(loud: 20, attenuation: 20)), (bob, interval(loud: 20, attenuation: 6))], now: at(400))
    #expect(second == [SpeakerLevel(producer: bob, level: 0.5, isActive: true)])
    #expect(
      speakers.update(
        [(ada, interval(loud: 20, attenuation: 20)), (bob, interval(loud: 20, attenuation: 6))], now: at(800)
      ).isEmpty)
  }

  @Test func takesBriefNoiseForNoSpeech() {
    var speakers = ActiveSpeakers(interval: .milliseconds(400), threshold: 35)
    #expect(speakers.update([(ada, interval(loud: 7, attenuation: 10))], now: at(0)).isEmpty, "35 % of the interval")
    #expect(!speakers.update([(ada, interval(loud: 9, attenuation: 10))], now: at(400)).isEmpty)
    #expect(speakers.update([(bob, interval(loud: 20, attenuation: 40))], now: at(800)).map(\.producer) == [ada])
  }

  @Test func saysOnceThatSomebodyStopped() {
    var speakers = ActiveSpeakers(interval: .milliseconds(400), threshold: 35)
    _ = speakers.update([(ada, interval(loud: 20, attenuation: 20))], now: at(0))
    #expect(speakers.isActive(ada))
    var stops: [SpeakerLevel] = []
    for step in 1..<20 { stops += speakers.update([(ada, .init())], now: at(step * 400)) }
    #expect(stops.last == SpeakerLevel(producer: ada, level: 0, isActive: false))
    #expect(stops.filter { !$0.isActive }.count == 1 && !speakers.isActive(ada) && !speakers.isAnyoneActive)
    _ = speakers.update([(ada, interval(loud: 20, attenuation: 20))], now: at(9_000))
    #expect(speakers.update([], now: at(9_400)) == [SpeakerLevel(producer: ada, level: 0, isActive: false)], "gone")
  }

  @Test func goesThroughTheRouterWithEachInterval() {
    let bench = Bench()
    _ = bench.publish(Client.audio(ssrc: SSRC(10)))
    for sequence in 0..<140 {
      let level = sequence < 50 ? 15 : 80
      bench.send(
        Client.packet(
          Client.opus, sequence, sequence * 960, ssrc: SSRC(10),
          elements: [(.audioLevel, Client.audioLevel(level))], payload: [1]))
      bench.wait(.milliseconds(20))
    }
    var told: [SpeakerLevel] = []
    for case .speakers(let levels) in bench.takeEvents() { told += levels }
    #expect(told.first?.isActive == true && told.last?.isActive == false)
    #expect(told.count <= 5)
  }
}

@Suite struct LoudestSelectorTests {
  private struct Talker {
    let id: ProducerID
    var state = LoudestSelector.Talker()
  }

  /// Runs rounds of 20 ms, everybody at the attenuation that `level` says.
  ///
  /// - Returns: Packets that went through, by talker.
  private func run(
    _ selector: inout LoudestSelector, _ talkers: inout [Talker], from start: inout Instant, rounds: Int,
    level: (Int, Int) -> Int?
  ) -> [Int] {
    var heard = [Int](repeating: 0, count: talkers.count)
    for round in 0..<rounds {
      for index in talkers.indices {
        guard let attenuation = level(index, round) else { continue }
        let level = AudioLevel(byte: UInt8(attenuation) | (attenuation < 60 ? 0x80 : 0))
        if selector.admits(talkers[index].id, &talkers[index].state, level: level, now: start) { heard[index] += 1 }
      }
      start = start + .milliseconds(20)
    }
    return heard
  }

  private func talkers(_ count: Int) -> [Talker] { (0..<count).map { Talker(id: ProducerID(rawValue: UInt64($0))) } }

  @Test func cutsNobodyOffInASmallRoom() {
    var selector = LoudestSelector(count: 3)
    var all = talkers(3)
    var now = Instant.zero
    #expect(run(&selector, &all, from: &now, rounds: 100) { index, _ in [20, 70, 127][index] } == [100, 100, 100])
  }

  @Test func letsANewTalkerInWithinSyllables() {
    var selector = LoudestSelector(count: 3)
    var all = talkers(50)
    var now = Instant.zero
    // Three talk, 47 breathe.
    _ = run(&selector, &all, from: &now, rounds: 100) { index, _ in index < 3 ? 25 : 75 }
    // Talker 2 falls silent, talker 40 begins.
    let heard = run(&selector, &all, from: &now, rounds: 50) { index, _ in
      switch index {
      case 0, 1, 40: 25
      default: 75
      }
    }
    #expect(heard[0] == 50 && heard[1] == 50)
    #expect(heard[40] >= 40, "\(heard[40]) of 50: in within 200 ms")
    #expect(heard[10] == 0)
  }

  @Test func neverForwardsMoreThanItsCountAtOnce() {
    var selector = LoudestSelector(count: 4)
    var all = talkers(200)
    var now = Instant.zero
    var random = SeededRandom(seed: 9)
    for _ in 0..<100 {
      let levels = (0..<200).map { _ in Int.random(in: 10...100, using: &random) }
      let heard = run(&selector, &all, from: &now, rounds: 1) { index, _ in levels[index] }
      // A round in which one talker replaces another may carry a packet of both.
      #expect(heard.reduce(0, +) <= 8)
    }
    let steady = run(&selector, &all, from: &now, rounds: 200) { index, _ in index < 4 ? 15 : 70 }
    #expect(steady.prefix(4).allSatisfy { $0 > 150 } && steady.dropFirst(4).reduce(0, +) <= 200)
  }

  @Test func twoOfEqualVoiceDoNotPushEachOtherOut() {
    var selector = LoudestSelector(count: 1)
    var all = talkers(2)
    var now = Instant.zero
    var random = SeededRandom(seed: 4)
    let jitter = (0..<2_000).map { _ in Int.random(in: -4...4, using: &random) }
    _ = run(&selector, &all, from: &now, rounds: 500) { index, round in 30 + jitter[2 * round + index] }
    #expect(selector.replacements <= 1, "\(selector.replacements)")
  }

  @Test func givesTheSlotOfWhoWentAwayToWhoeverSpeaks() {
    var selector = LoudestSelector(count: 1)
    var all = talkers(2)
    var now = Instant.zero
    _ = run(&selector, &all, from: &now, rounds: 50) { index, _ in index == 0 ? 20 : nil }
    // The first sends nothing any more, the second speaks softly.
    let heard = run(&selector, &all, from: &now, rounds: 100) { index, _ in index == 1 ? 50 : nil }
    #expect(heard[1] > 40)
    selector.remove(all[1].id)
    let other = run(&selector, &all, from: &now, rounds: 1) { index, _ in index == 0 ? 80 : nil }
    #expect(other[0] == 1, "a free slot is anybody's")
  }

  @Test func interruptsConsumersOnceWhenOthersAreLouder() {
    let bench = Bench(configuration: RouterConfiguration(loudest: 1))
    let loud = bench.publish(Client.audio(mid: "0", ssrc: SSRC(10)), id: 1)
    let soft = bench.publish(Client.audio(mid: "1", ssrc: SSRC(11)), id: 2)
    func say(_ ssrc: UInt32, _ sequence: Int, _ level: Int) {
      bench.send(
        Client.packet(
          Client.opus, sequence, sequence * 960, ssrc: SSRC(ssrc),
          elements: [(.audioLevel, Client.audioLevel(level))], payload: [1]))
    }
    for sequence in 0..<100 {
      say(11, sequence, 60)
      say(10, sequence, 15)
      bench.wait(.milliseconds(20))
    }
    #expect(soft.packets.count < 60 && soft.interruptions == 1)
    #expect(loud.packets.count > 50 && loud.interruptions == 1, "it came second and had to get in first")
    let statistics = bench.router.statistics()
    #expect(statistics.producers.map(\.packetsUnheard).reduce(0, +) == 200 - soft.packets.count - loud.packets.count)
  }
}
