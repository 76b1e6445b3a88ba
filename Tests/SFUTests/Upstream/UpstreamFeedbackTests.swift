import Core
import RTP
import Testing

@testable import SFU

@Suite struct UpstreamFeedbackTests {
  private func video(_ sequence: Int, picture: Int, isKey: Bool = false, twcc: Int? = nil) -> [UInt8] {
    Client.packet(
      Client.vp8, sequence, picture * 3_000, ssrc: SSRC(20), marker: true,
      elements: twcc.map { [(.transportWideCC, Client.number($0))] } ?? [],
      payload: Client.vp8(picture: picture, isKey: isKey))
  }

  private func lost(_ reports: [RTCPPacket]) -> [[UInt16]] {
    reports.compactMap { if case .nack(_, SSRC(20), let lost) = $0 { lost } else { nil } }
  }

  @Test func asksForMissingPacketsUntilTheyCome() throws {
    let bench = Bench()
    let sink = bench.publish(Client.video(ssrc: SSRC(20), retransmission: SSRC(21)))
    bench.send(video(1, picture: 1, isKey: true))
    bench.send(video(4, picture: 4))
    #expect(bench.transport.rtcp.isEmpty, "reordering has until the tick")
    bench.wait(.milliseconds(5))
    #expect(lost(bench.transport.takeReports()) == [[2, 3]])
    bench.wait(.milliseconds(20))
    bench.send(try Client.retransmission(of: video(2, picture: 2), Client.vp8RTX, 1, ssrc: SSRC(21)))
    bench.wait(.milliseconds(40))
    let repeated = lost(bench.transport.takeReports())
    #expect(!repeated.isEmpty && repeated.allSatisfy { $0 == [3] }, "repeated after the round trip that was measured")
    bench.send(try Client.retransmission(of: video(3, picture: 3), Client.vp8RTX, 2, ssrc: SSRC(21)))
    bench.wait(.seconds(1))
    #expect(lost(bench.transport.takeReports()).isEmpty)
    #expect(sink.sequences == [1, 4, 2, 3])
  }

  @Test func asksForNothingWhileMuted() {
    let bench = Bench()
    let sink = bench.publish(Client.video(ssrc: SSRC(20)))
    bench.send(video(1, picture: 1, isKey: true))
    bench.router.setProducer(ProducerID(rawValue: 1), muted: true)
    bench.send(video(2, picture: 2))
    bench.send(video(9, picture: 9))
    bench.wait(.seconds(1))
    #expect(sink.sequences == [1])
    #expect(lost(bench.transport.takeReports()).isEmpty)
    bench.router.setProducer(ProducerID(rawValue: 1), muted: false)
    #expect(
      bench.transport.reports.contains(.pictureLossIndication(sender: bench.router.peerList[0].ssrc, media: SSRC(20))))
    bench.send(video(10, picture: 10, isKey: true))
    #expect(sink.sequences == [1, 10])
  }

  @Test func coalescesKeyFrameRequestsOfManySubscribers() throws {
    let bench = Bench()
    _ = bench.publish(Client.video(ssrc: SSRC(20)))
    let producer = try #require(bench.producer)
    bench.send(video(1, picture: 1))
    for _ in 0..<400 {
      for _ in 0..<50 { producer.requestKeyFrame(spatialLayer: 0, now: bench.now) }
      bench.wait(.milliseconds(5))
    }
    let requests = bench.transport.takeReports().filter {
      if case .pictureLossIndication(_, SSRC(20)) = $0 { true } else { false }
    }
    #expect((2...4).contains(requests.count), "\(requests.count) requests in 2 s without an answer")
    bench.send(video(2, picture: 2, isKey: true))
    bench.wait(.seconds(3))
    #expect(!bench.transport.reports.contains { if case .pictureLossIndication = $0 { true } else { false } })
  }

  @Test func asksForAKeyFrameOverAHoleThatIsTooLarge() {
    let bench = Bench()
    _ = bench.publish(Client.video(ssrc: SSRC(20)))
    bench.send(video(1, picture: 1, isKey: true))
    bench.send(video(900, picture: 900))
    bench.wait(.milliseconds(10))
    let reports = bench.transport.reports
    #expect(lost(reports).isEmpty)
    #expect(reports.contains { if case .pictureLossIndication = $0 { true } else { false } })
  }

  @Test func asksForNoPictureOverAHoleInSound() {
    let bench = Bench()
    _ = bench.publish(Client.audio(ssrc: SSRC(10)))
    for sequence in [1, 200] {
      bench.send(Client.packet(Client.opus, sequence, sequence * 960, ssrc: SSRC(10), payload: [1]))
    }
    bench.wait(.milliseconds(15))
    #expect(bench.transport.reports.isEmpty)
  }

  @Test func reportsArrivalsOfAllPacketsThatAreNumbered() throws {
    let bench = Bench()
    _ = bench.publish(Client.video(ssrc: SSRC(20)))
    for number in 0..<10 where number != 4 {
      // A stranger's packets are counted as well: the path carried them.
      let ssrc = number == 7 ? SSRC(99) : SSRC(20)
      bench.send(
        Client.packet(
          number == 7 ? PayloadType(77) : Client.vp8, number, 0, ssrc: ssrc,
          elements: [(.transportWideCC, Client.number(500 + number))], payload: Client.vp8(picture: number)))
      bench.wait(.milliseconds(5))
    }
    bench.wait(.milliseconds(100))
    var told: [UInt16: Bool] = [:]
    for case .transportFeedback(let feedback) in bench.transport.reports {
      for (index, arrival) in feedback.arrivals.enumerated() {
        let number = feedback.baseSequence &+ UInt16(index)
        told[number] = arrival != nil || told[number] ?? false
      }
    }
    #expect(told.filter(\.value).keys.sorted() == [500, 501, 502, 503, 505, 506, 507, 508, 509])
    #expect(!bench.transport.reports.contains { if case .receiverEstimatedMaximumBitrate = $0 { true } else { false } })
  }

  @Test func fallsBackToREMBWithoutTransportWideNumbers() {
    let bench = Bench()
    var parameters = Client.video(ssrc: SSRC(20))
    parameters.extensions[.transportWideCC] = nil
    _ = bench.publish(parameters)
    func run(loss: Int) -> UInt64? {
      bench.transport.rtcp = []
      for sequence in 0..<600 {
        if loss == 0 || sequence % loss != 0 {
          bench.send(
            Client.packet(
              Client.vp8, sequence + base, sequence * 900, ssrc: SSRC(20),
              payload: Client.vp8(picture: sequence, bytes: 1_100)))
        }
        bench.wait(.milliseconds(10))
      }
      base += 600
      var last: UInt64?
      for case .receiverEstimatedMaximumBitrate(_, let bitrate, let sources) in bench.transport.reports {
        #expect(sources == [SSRC(20)])
        last = bitrate
      }
      return last
    }
    var base = 1
    let clean = run(loss: 0)
    let lossy = run(loss: 4)
    #expect(clean ?? 0 > 1_000_000)
    #expect(lossy ?? .max < 800_000, "\(lossy ?? 0): below the 880 kbit/s that come in less a quarter")
  }

  @Test func reportsSoonAndWithTheSendersTime() throws {
    let bench = Bench()
    _ = bench.publish(Client.video(ssrc: SSRC(20)))
    bench.send(video(1, picture: 1, isKey: true))
    bench.wait(.milliseconds(30))
    var blocks: [ReportBlock] = []
    for case .receiverReport(_, let some) in bench.transport.takeReports() { blocks += some }
    #expect(blocks.map(\.source) == [SSRC(20)], "a client sends its RID until then")
    #expect(blocks[0].lastSenderReport == 0)
    bench.send(
      .senderReport(
        SenderReport(
          sender: SSRC(20), ntp: NTPTime(rawValue: 0x1122_3344_5566_7788), rtpTimestamp: 3_000, packetCount: 1,
          octetCount: 1, blocks: [])))
    for sequence in 2..<100 {
      if sequence % 10 != 0 { bench.send(video(sequence, picture: sequence)) }
      bench.wait(.milliseconds(20))
    }
    blocks = []
    for case .receiverReport(_, let some) in bench.transport.reports { blocks += some }
    let last = try #require(blocks.last)
    #expect(last.lastSenderReport == 0x3344_5566)
    #expect(last.delaySinceLastSenderReport > 0 && last.cumulativeLost >= 3 && last.fractionLost > 10)
    #expect(try RTCPCompound.parse(bench.transport.rtcp[0]).count >= 1)
  }

  @Test func namesTheSameInstantOnAllStreamsOfAPublisher() throws {
    let bench = Bench()
    _ = bench.publish(Client.audio(mid: "0", ssrc: SSRC(10)), id: 1)
    _ = bench.publish(Client.video(mid: "1", ssrc: SSRC(20)), id: 2)
    let audio = { bench.router.producers[ProducerID(rawValue: 1)]?.streams.first?.rtpTimestamp(at: bench.now) }
    let video = { bench.router.producers[ProducerID(rawValue: 2)]?.streams.first?.rtpTimestamp(at: bench.now) }
    bench.send(Client.packet(Client.opus, 1, 5_000, ssrc: SSRC(10), payload: [1]))
    bench.send(self.video(1, picture: 1))
    #expect(audio() == 5_000 && video() == 3_000, "by arrival at first")
    bench.wait(.seconds(1))
    #expect(audio() == 53_000)
    // The publisher says that its video runs 200 ms behind: 100 ms of NTP between two reports that arrive together.
    let ntp: UInt64 = 0xE000_0000_0000_0000
    func report(_ ssrc: UInt32, _ ntp: UInt64, _ timestamp: UInt32) -> RTCPPacket {
      .senderReport(
        SenderReport(
          sender: SSRC(ssrc), ntp: NTPTime(rawValue: ntp), rtpTimestamp: timestamp, packetCount: 0, octetCount: 0,
          blocks: []))
    }
    bench.send(report(10, ntp + 1 << 31, 100_000), report(20, ntp, 900_000))
    let a = try #require(audio())
    let v = try #require(video())
    // Half a second earlier on the audio clock is 76,000: there the video clock stood at 900,000.
    // The later of two reports counts for a little, as a clock that drifts.
    let sinceOnAudio = (Int(a) - 76_000) * 90 / 48
    let sinceOnVideo = Int(v) - 900_000
    #expect(abs(sinceOnVideo - sinceOnAudio) < 200)
    bench.wait(.milliseconds(500))
    let later = (Int(try #require(audio())) - Int(a), Int(try #require(video())) - Int(v))
    #expect(abs(later.0 - 24_000) <= 1 && abs(later.1 - 45_000) <= 1)
  }

  @Test func endsATrackAtBYE() {
    let bench = Bench()
    let sink = bench.publish(Client.video(ssrc: SSRC(20)))
    bench.send(video(1, picture: 1, isKey: true))
    let changes = sink.changes
    bench.send(.goodbye(sources: [SSRC(20), SSRC(77)], reason: nil))
    #expect(bench.takeEvents().contains(.producerEnded(ProducerID(rawValue: 1))))
    #expect(sink.changes == changes + 1 && bench.producer?.streams.first?.isActive == false)
    bench.send(video(2, picture: 2))
    #expect(sink.sequences == [1, 2], "it may come back")
  }

  @Test func noticesATrackThatStallsAndOneThatResumes() {
    let bench = Bench()
    _ = bench.publish(Client.audio(ssrc: SSRC(10)))
    func say(_ sequence: Int) {
      bench.send(Client.packet(Client.opus, sequence, sequence * 960, ssrc: SSRC(10), payload: [1]))
    }
    say(1)
    // Silence with DTX: a packet each 400 ms.
    for sequence in 2..<20 {
      bench.wait(.milliseconds(400))
      say(sequence)
    }
    #expect(bench.takeTrackEvents() == [.producerStarted(ProducerID(rawValue: 1))])
    bench.wait(.seconds(6))
    #expect(bench.takeTrackEvents() == [.producerStalled(ProducerID(rawValue: 1))])
    say(20)
    #expect(bench.takeTrackEvents() == [.producerResumed(ProducerID(rawValue: 1))])
    bench.router.setProducer(ProducerID(rawValue: 1), muted: true)
    bench.wait(.seconds(20))
    #expect(bench.takeTrackEvents().isEmpty, "a muted track does not stall")
  }
}
