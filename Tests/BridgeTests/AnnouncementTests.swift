import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

@Suite struct AnnouncementTests {
  private func clip(_ frequency: Double, rate: Int, milliseconds: Int) -> AudioClip {
    let tone = Sound.sine(frequency, rate: rate, peak: 9_000)
    return AudioClip(sampleRate: rate, samples: (0..<(rate * milliseconds / 1_000)).map(tone))
  }

  private func share(_ frequency: Double, _ samples: [Int16], _ rate: Int) -> Double {
    Sound.shareInWindows(of: frequency, in: samples, rate: rate)
  }

  // MARK: In a conference

  @Test func phonesHearAnAnnouncementOverTheTalk() throws {
    let room = Conference()
    let first = try room.addPhone(Peer(.pcmu, id: 1), tone: 440)
    try room.addPhone(Peer(.g722, id: 2), tone: 620)
    var ended: [UInt64] = []
    room.mixer.onAnnouncementEnded = { ended.append($0) }
    room.run(.seconds(2))
    // Speech engines give odd rates.
    room.mixer.announce(7, clip(1_000, rate: 22_050, milliseconds: 1_500), to: [first])
    room.run(.milliseconds(1_300))
    var heard = try room.heard(by: 0)
    #expect(share(1_000, heard, 8_000) > 0.8, "\(share(1_000, heard, 8_000))")
    #expect((0.005..<0.2).contains(share(620, heard, 8_000)), "the talk goes on more quietly")
    #expect(share(1_000, try room.heard(by: 1), 16_000) < 0.001)
    #expect(ended.isEmpty)
    room.run(.seconds(2))
    #expect(ended == [7])
    heard = try room.heard(by: 0)
    #expect(share(620, heard, 8_000) > 0.95)
  }

  @Test func announcementsForAPhoneFollowEachOther() throws {
    let room = Conference()
    let phone = try room.addPhone(Peer(.pcma, id: 1))
    var ended: [(UInt64, Instant)] = []
    room.mixer.onAnnouncementEnded = { [unowned room] in ended.append(($0, room.now)) }
    room.run(.seconds(1))
    let start = room.now
    room.mixer.announce(1, clip(500, rate: 16_000, milliseconds: 400), to: [phone])
    room.mixer.announce(2, clip(700, rate: 8_000, milliseconds: 400), to: [phone])
    room.run(.seconds(2))
    #expect(ended.map(\.0) == [1, 2])
    #expect((ended.first.map { $0.1 - start } ?? .zero) < .milliseconds(480))
    #expect((.milliseconds(780)...(.milliseconds(900))).contains(ended.last.map { $0.1 - start } ?? .zero))
  }

  @Test func anAnnouncementEndsForWhoeverWaits() throws {
    let room = Conference()
    let phone = try room.addPhone(Peer(.pcma, id: 1))
    var ended: [UInt64] = []
    room.mixer.onAnnouncementEnded = { ended.append($0) }
    room.mixer.announce(1, clip(500, rate: 8_000, milliseconds: 400), to: [])
    #expect(ended == [1], "nobody to hear it")
    room.mixer.announce(2, AudioClip(sampleRate: 8_000, samples: []), to: [phone])
    room.run(.milliseconds(100))
    #expect(ended == [1, 2], "nothing to hear")
    room.mixer.announce(3, clip(500, rate: 8_000, milliseconds: 5_000), to: [phone])
    room.run(.milliseconds(100))
    room.mixer.end(3)
    #expect(ended == [1, 2, 3])
    room.run(.milliseconds(100))
    room.mixer.announce(4, clip(500, rate: 8_000, milliseconds: 5_000), to: [phone])
    room.run(.milliseconds(100))
    room.mixer.remove(phone)
    #expect(ended == [1, 2, 3, 4], "the phone left")
  }

  @Test func anAnnouncerSaysItAsATrack() throws {
    let room = Conference()
    let phone = try room.addPhone(Peer(.pcma, id: 1))
    let ear = try TrackEar()
    let track = try VoiceTrack(
      sampleRate: 48_000, ssrc: SSRC(77), cname: "announcer", firstSequence: 1, firstTimestamp: 1, seed: 1, now: .zero,
      wall: WallTime(milliseconds: 1_700_000_000_000))
    track.receiver = ear
    let announcer = room.mixer.addAnnouncer(track)
    room.run(.seconds(1))
    #expect(ear.headers.isEmpty)
    room.mixer.announce(1, clip(900, rate: 16_000, milliseconds: 1_000), to: [phone], toAll: true)
    for _ in 0..<50 {
      room.run(.milliseconds(20))
      ear.play(now: room.now)
    }
    #expect((48...53).contains(ear.headers.count), "\(ear.headers.count)")
    #expect(share(900, Array(ear.heard.suffix(40_000).prefix(30_000)), 48_000) > 0.9)
    #expect(share(900, try room.heard(by: 0, seconds: 0.5), 8_000) > 0.9)
    room.mixer.remove(announcer)
  }

  // MARK: On a leg

  @Test func aClipIsPlayedOnceAndItsEndIsTold() throws {
    let peer = try Peer(.pcmu, id: 1)
    try peer.leg.setSource(.clip(clip(700, rate: 16_000, milliseconds: 1_000), loops: false), now: .zero)
    var now = Instant.zero
    for _ in 0..<100 {
      now = now + .milliseconds(20)
      peer.advance(to: now)
      peer.leg.tick(now: now)
    }
    peer.advance(to: now + .milliseconds(20))
    #expect(peer.events.filter { $0 == .clipEnded }.count == 1)
    let heard = try peer.audio(peer.heard)
    #expect((8_000...8_500).contains(heard.count), "\(heard.count)")
    #expect(share(700, Array(heard.prefix(7_900)), 8_000) > 0.98)
    if case .silence = peer.leg.source {} else { Issue.record("still a source") }
  }

  @Test func aClipThatLoopsGoesOn() throws {
    let peer = try Peer(.g722, id: 1)
    // Half a second holds whole waves: the joint cannot be heard.
    try peer.leg.setSource(.clip(clip(700, rate: 16_000, milliseconds: 500), loops: true), now: .zero)
    var now = Instant.zero
    for _ in 0..<150 {
      now = now + .milliseconds(20)
      peer.advance(to: now)
      peer.leg.tick(now: now)
    }
    #expect(!peer.events.contains(.clipEnded))
    #expect(share(700, try peer.audio(lastSeconds: 2, now: now), 16_000) > 0.95)
  }

  @Test(arguments: [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
  func clipsOfAnyRateKeepPitchAndLength(_ rate: Int) throws {
    var player = try ClipPlayer(clip(1_000, rate: rate, milliseconds: 1_000), sampleRate: 16_000)
    var out: [Int16] = []
    var frame = [Int16](repeating: 1, count: 320)
    while !player.hasEnded, out.count < 32_000 {
      frame.withUnsafeMutableBufferPointer { player.generate(into: $0) }
      out += frame
    }
    #expect((16_000...16_700).contains(out.count), "\(out.count)")
    #expect(share(1_000, Array(out[800..<15_200]), 16_000) > 0.99)
  }

  // MARK: Taps

  private final class Tap: PacketTap {
    var packets: [[UInt8]] = []
    var reports = 0
    func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant) { packets.append(Array(packet)) }
    func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant) { reports += 1 }
  }

  @Test func aTapSeesWhatTheFarEndSends() throws {
    let peer = try Peer(.pcmu, id: 1)
    peer.voice = Sound.sine(500, rate: 8_000)
    let tap = Tap()
    peer.leg.tap = tap
    var now = Instant.zero
    for _ in 0..<50 {
      now = now + .milliseconds(20)
      peer.advance(to: now)
      peer.leg.tick(now: now)
    }
    let payloads = try tap.packets.map { packet in Array(packet[try RTPHeader(parsing: packet).payload]) }
    #expect(payloads.count > 45)
    #expect(payloads == Array(peer.said.prefix(payloads.count)))
    let report = RTCPPacket.compound([
      .senderReport(
        SenderReport(
          sender: peer.ssrc, ntp: NTPTime(WallTime(milliseconds: 1_700_000_000_000)), rtpTimestamp: 5, packetCount: 1,
          octetCount: 1, blocks: []))
    ])
    report.withUnsafeBytes { peer.leg.receive(rtcp: $0, now: now) }
    RTCPPacket.compound([.receiverReport(sender: peer.ssrc, blocks: [])]).withUnsafeBytes {
      peer.leg.receive(rtcp: $0, now: now)
    }
    #expect(tap.reports == 1)
    // What is no RTP of this call is not shown.
    ([0x80, 77] + [UInt8](repeating: 1, count: 18)).withUnsafeBytes { peer.leg.receive(rtp: $0, now: now) }
    #expect(tap.packets.count == payloads.count)
    peer.leg.tap = nil
    peer.advance(to: now + .milliseconds(40))
    #expect(tap.packets.count == payloads.count)
  }
}
