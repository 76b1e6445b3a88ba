import Core
import RTP
import Testing

@testable import SFU

/// What a recording sees of a track.
@Suite struct TapTests {
  private final class Tap: PacketTap {
    var packets: [[UInt8]] = []
    var reports = 0
    func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant) { packets.append(Array(packet)) }
    func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant) { reports += 1 }

    func sequences(of ssrc: SSRC) throws -> [UInt16] {
      try packets.map { try RTPHeader(parsing: $0) }.filter { $0.ssrc == ssrc }.map(\.sequence)
    }
  }

  private let track = ProducerID(rawValue: 1)

  private func voice(_ sequence: Int, ssrc: SSRC = SSRC(10)) -> [UInt8] {
    Client.packet(
      Client.opus, sequence, sequence * 960, ssrc: ssrc, elements: [(.audioLevel, Client.audioLevel(20))],
      payload: [UInt8(truncatingIfNeeded: sequence), 2, 3])
  }

  @Test func seesPacketsAsTheyCameOnceEach() throws {
    let bench = Bench()
    _ = bench.publish(Client.audio(ssrc: SSRC(10)))
    let tap = Tap()
    bench.router.setTap(track, tap)
    for sequence in [1, 2, 3, 3, 5, 4, 5] { bench.send(voice(sequence)) }
    #expect(try tap.sequences(of: SSRC(10)) == [1, 2, 3, 5, 4])
    #expect(tap.packets.first == voice(1))
    bench.router.setTap(track, nil)
    bench.send(voice(6))
    #expect(tap.packets.count == 5)
  }

  @Test func seesWhatIsMutedToo() throws {
    let bench = Bench()
    let sink = bench.publish(Client.audio(ssrc: SSRC(10)))
    let tap = Tap()
    bench.router.setTap(track, tap)
    bench.send(voice(1))
    bench.router.setProducer(track, muted: true)
    bench.send(voice(2))
    bench.router.setProducer(track, muted: false)
    bench.send(voice(3))
    #expect(try tap.sequences(of: SSRC(10)) == [1, 2, 3])
    #expect(sink.sequences == [1, 3])
  }

  @Test func seesRetransmissionsInTheFormOfTheOriginal() throws {
    let bench = Bench()
    _ = bench.publish(Client.video(ssrc: SSRC(20), retransmission: SSRC(21)))
    let tap = Tap()
    bench.router.setTap(track, tap)
    func picture(_ sequence: Int) -> [UInt8] {
      Client.packet(
        Client.vp8, sequence, sequence * 3_000, ssrc: SSRC(20), marker: true,
        payload: Client.vp8(picture: sequence, isKey: sequence == 1))
    }
    bench.send(picture(1))
    bench.send(picture(3))
    bench.send(try Client.retransmission(of: picture(2), Client.vp8RTX, 900, ssrc: SSRC(21)))
    #expect(try tap.sequences(of: SSRC(20)) == [1, 3, 2])
    #expect(tap.packets.last == picture(2))
    #expect(try tap.sequences(of: SSRC(21)).isEmpty)
  }

  @Test func seesTheSenderReportsOfItsTrackOnly() {
    let bench = Bench()
    _ = bench.publish(Client.audio(mid: "0", ssrc: SSRC(10)), id: 1)
    _ = bench.publish(Client.audio(mid: "1", ssrc: SSRC(11)), id: 2)
    let tap = Tap()
    bench.router.setTap(track, tap)
    bench.send(voice(1))
    bench.send(voice(1, ssrc: SSRC(11)))
    func report(_ ssrc: SSRC) -> RTCPPacket {
      .senderReport(
        SenderReport(
          sender: ssrc, ntp: NTPTime(WallTime(milliseconds: 1_700_000_000_000)), rtpTimestamp: 5, packetCount: 1,
          octetCount: 1, blocks: []))
    }
    bench.send(report(SSRC(11)))
    #expect(tap.reports == 0)
    bench.send(report(SSRC(10)))
    #expect(tap.reports == 1)
    bench.send(RTCPPacket.receiverReport(sender: SSRC(10), blocks: []))
    #expect(tap.reports == 1)
  }

  /// A publisher on this machine asks before it encodes.
  @Test func aTrackIsWantedBySubscribersAndTaps() {
    let bench = Bench()
    _ = bench.router.addPeer(PeerID(rawValue: 9), transport: RecordingTransport(), now: bench.now)
    bench.router.addProducer(track, peer: PeerID(rawValue: 1), parameters: Client.audio(ssrc: SSRC(10)))
    #expect(!bench.router.isWanted(track))
    let tap = Tap()
    bench.router.setTap(track, tap)
    #expect(bench.router.isWanted(track))
    bench.router.setTap(track, nil)
    let isTaken = bench.router.addConsumer(
      ConsumerID(rawValue: 5), of: track, peer: PeerID(rawValue: 9),
      parameters: ConsumerParameters(
        mid: "7", ssrc: SSRC(500), retransmissionSSRC: nil, codecs: Client.audioCodecs, extensions: Client.extensions,
        cname: "ada"))
    #expect(isTaken && bench.router.isWanted(track))
    bench.router.setProducer(track, muted: true)
    #expect(!bench.router.isWanted(track))
    #expect(!bench.router.isWanted(ProducerID(rawValue: 77)))
  }

  @Test func whoIsHeardByNobodyIsASpeakerAllTheSame() {
    let bench = Bench()
    bench.router.addProducer(track, peer: PeerID(rawValue: 1), parameters: Client.audio(ssrc: SSRC(10)))
    for _ in 0..<50 {
      bench.router.noteLevel(of: track, attenuation: 20, milliseconds: 20)
      bench.wait(.milliseconds(20))
    }
    let isTold = bench.takeEvents().contains {
      if case .speakers(let changes) = $0 { changes.contains { $0.producer == track && $0.isActive } } else { false }
    }
    #expect(isTold)
  }
}
