import Audio
import Core
import RTP
import Testing
import TestSupport

@testable import Bridge

@Suite struct MediaLegTests {
  @Test func silenceOfAFarEndThatMaySendIsToldOnceAndItsReturnToo() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.leg.mediaTimeout = .seconds(10)
    let call = try Call(a, b)
    call.run(.seconds(2))
    a.isTalking = false
    call.run(.seconds(30))
    #expect(a.events == [.firstPacket, .mediaTimeout])
    a.isTalking = true
    call.run(.seconds(1))
    #expect(a.events == [.firstPacket, .mediaTimeout, .mediaResumed])
  }

  @Test func holdIsNoTimeoutAndTheClockStartsAnewAfterIt() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.leg.mediaTimeout = .seconds(10)
    let call = try Call(a, b)
    call.run(.seconds(1))
    var audio = try #require(a.leg.negotiated)
    audio.receives = false
    try a.leg.configure(audio, now: call.now)
    a.isTalking = false
    call.run(.seconds(60))
    #expect(a.events == [.firstPacket])
    audio.receives = true
    try a.leg.configure(audio, now: call.now)
    call.run(.seconds(9))
    #expect(a.events == [.firstPacket])
    call.run(.seconds(2))
    #expect(a.events == [.firstPacket, .mediaTimeout])
  }

  @Test func aMutedPeerThatSendsRTCPLives() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    a.leg.mediaTimeout = .seconds(10)
    let call = try Call(a, b)
    call.run(.seconds(1))
    a.isTalking = false
    let report = RTCPPacket.compound([
      .receiverReport(sender: a.ssrc, blocks: []), .sourceDescription([SourceDescription(source: a.ssrc, cname: "a")]),
    ])
    for _ in 0..<12 {
      call.run(.seconds(5))
      report.withUnsafeBytes { a.leg.receive(rtcp: $0, now: call.now) }
    }
    #expect(a.events == [.firstPacket])
  }

  @Test func reportsCarryCountsAndMeasureTheRoundTrip() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(12))
    let sent = b.reports.flatMap { $0 }.compactMap { if case .senderReport(let report) = $0 { report } else { nil } }
    let report = try #require(sent.last)
    #expect(report.sender == SSRC(2) && report.packetCount > 200 && report.octetCount == report.packetCount * 160)
    #expect(report.blocks.first?.source == b.ssrc)
    // The far end answers 40 ms after that it has held the report for 15.
    let held = Duration.milliseconds(15)
    let later = call.now
    call.run(.seconds(8))
    _ = later
    let last = try #require(b.reports.last)
    guard case .senderReport(let fresh)? = last.first else {
      Issue.record("no sender report")
      return
    }
    let made =
      Double(fresh.ntp.rawValue >> 32) - 2_208_988_800 + Double(fresh.ntp.rawValue & 0xFFFF_FFFF) / 4_294_967_296
    let sentAt = Instant(nanoseconds: Int64((made - 1_700_000_000) * 1e9))
    let block = ReportBlock(
      source: SSRC(2), fractionLost: 64, cumulativeLost: 1, extendedHighestSequence: 0, jitter: 0,
      lastSenderReport: fresh.ntp.middle, delaySinceLastSenderReport: UInt32(held.inSeconds * 65_536))
    RTCPPacket.compound([.receiverReport(sender: b.ssrc, blocks: [block])]).withUnsafeBytes {
      b.leg.receive(rtcp: $0, now: sentAt + .milliseconds(55))
    }
    let quality = b.leg.quality(now: call.now)
    #expect(abs((quality.roundTrip ?? 0) - 40) < 5, "\(quality.roundTrip ?? -1)")
    #expect(quality.remoteLossFraction == 0.25)
    #expect(b.leg.counters.packetsReceived > 900 && b.leg.counters.octetsSent > 100_000)
  }

  @Test func lossThatTheFarEndReportsTurnsItsCopiesOnAndOff() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.opus, id: 2, fec: true) { $0.opus.useInbandFEC = true }
    a.voice = Sound.vowel(rate: a.rate, gaps: true)
    let call = try Call(a, b)
    func report(_ fractionLost: UInt8) {
      let block = ReportBlock(
        source: SSRC(2), fractionLost: fractionLost, cumulativeLost: 0, extendedHighestSequence: 0, jitter: 0,
        lastSenderReport: 0, delaySinceLastSenderReport: 0)
      RTCPPacket.compound([.receiverReport(sender: b.ssrc, blocks: [block])]).withUnsafeBytes {
        b.leg.receive(rtcp: $0, now: call.now)
      }
    }
    call.run(.seconds(1))
    let encoder = try #require(b.leg.encoder)
    #expect(encoder.expectedLoss == 0)
    report(26)
    #expect(encoder.expectedLoss == 10)
    try b.leg.configure(try #require(b.leg.negotiated), now: call.now)
    #expect(encoder.expectedLoss == 10)
    // The copies are there: the frame before the last packet can be had from the last packet alone.
    call.run(.seconds(2))
    let decoder = try OpusDecoder(sampleRate: 8_000)
    var frame = [Int16](repeating: 0, count: 160)
    var loudest = 0.0
    for arrival in b.heard.suffix(50) {
      // A fresh state each time: nothing but the copy can make a sound.
      decoder.reset()
      _ = try arrival.payload.withUnsafeBytes { payload in
        try frame.withUnsafeMutableBufferPointer { try decoder.recover(from: payload, into: $0) }
      }
      loudest = max(loudest, Sound.rms(frame))
    }
    #expect(loudest > 300, "\(loudest)")
    for _ in 0..<12 { report(0) }
    #expect(encoder.expectedLoss == 0)
  }

  @Test func closingSaysGoodbyeAndNothingAfter() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(1))
    a.leg.close(now: call.now)
    guard case .goodbye(let sources, _)? = a.reports.last?.last else {
      Issue.record("no BYE")
      return
    }
    #expect(sources == [SSRC(1)])
    let (reports, packets) = (a.reports.count, a.heard.count)
    #expect(a.leg.transport == nil)
    a.leg.close(now: call.now)
    call.run(.seconds(10))
    // What was under way still arrives.
    #expect(a.reports.count == reports && a.heard.count <= packets + 2)
    if case .silence = b.leg.source {} else { Issue.record("the other leg still hears it") }
  }

  @Test func aSourceThatIsGoneIsSilence() throws {
    let b = try Peer(.pcmu, id: 2)
    do {
      let a = try Peer(.opus, id: 1)
      try b.leg.setSource(.leg(a.leg), now: .zero)
      if case .leg = b.leg.source {} else { Issue.record("not connected") }
    }
    if case .silence = b.leg.source {} else { Issue.record("kept alive") }
    for n in 1...50 { b.leg.tick(now: .zero + .milliseconds(20 * n)) }
  }

  @Test func aLegIsHeardByTheLastThatAskedForIt() throws {
    let a = try Peer(.pcmu, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let c = try Peer(.pcma, id: 3)
    let call = try Call(a, b)
    try c.leg.setSource(.leg(a.leg), now: .zero)
    if case .silence = b.leg.source {} else { Issue.record("heard by two") }
    call.run(.seconds(1))
    #expect(b.heard.isEmpty)
  }

  @Test func nothingFromTheNetworkTraps() throws {
    let a = try Peer(.opus, events: 48_000, id: 1, comfortNoise: true) {
      $0.receivePayloadTypes[PayloadType(0)] = .pcmu
      $0.receivePayloadTypes[PayloadType(9)] = .g722
    }
    let b = try Peer(.pcma, events: 8_000, id: 2)
    let call = try Call(a, b)
    try a.leg.setInbandDTMFDetection(true, now: .zero)
    var random = SeededRandom(seed: 11)
    let types: [UInt8] = [0, 9, 13, 110, 111, 111, 111, 77]
    for n in 0..<6_000 {
      var packet = (0..<Int.random(in: 0...90, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if n % 4 != 0, packet.count >= 12 {
        packet[0] = n % 3 == 0 ? 0x80 : packet[0] & 0x3F | 0x80
        packet[1] = packet[1] & 0x80 | types[Int.random(in: 0..<types.count, using: &random)]
        if n % 2 == 0 { packet.replaceSubrange(8..<12, with: [1, 2, 3, 4]) }
        if n % 5 != 0 { packet.replaceSubrange(2..<4, with: [UInt8(n >> 8 & 255), UInt8(n & 255)]) }
        if n % 7 != 0 { packet.replaceSubrange(4..<6, with: [0, 0]) }
      }
      packet.withUnsafeBytes {
        a.leg.receive(rtp: $0, now: call.now)
        a.leg.receive(rtcp: $0, now: call.now)
      }
      if n % 3 == 0 { call.run(.milliseconds(5)) }
    }
    #expect(a.leg.counters.packetsRejected > 500)
    #expect(b.heard.count > 400)
    for (x, y) in zip(b.heard, b.heard.dropFirst()) { #expect(y.sequence == x.sequence + 1) }
  }

  @Test func clocksThatGoBackOrJumpAreHarmless() throws {
    let a = try Peer(.opus, id: 1)
    let b = try Peer(.pcmu, id: 2)
    let call = try Call(a, b)
    call.run(.seconds(1))
    for jump in [-3_000, 10_000, -20, 0, 86_400_000] {
      let now = call.now + .milliseconds(jump)
      a.leg.tick(now: now)
      b.leg.tick(now: now)
      [UInt8]([0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0x48, 1, 2]).withUnsafeBytes {
        a.leg.receive(rtp: $0, now: now)
      }
    }
    call.run(.seconds(1))
  }
}

@Suite struct PacketQueueTests {
  func insert(_ queue: PacketQueue, _ sequence: Int64, count: Int = 10) -> PacketQueue.Outcome {
    [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: count).withUnsafeBytes {
      queue.insert(sequence: sequence, timestamp: sequence * 160, content: .audio(.pcmu), payload: $0)
    }
  }

  func drain(_ queue: PacketQueue) -> [Int64] {
    var out: [Int64] = []
    while let first = queue.first {
      #expect(queue.payload(of: first).allSatisfy { $0 == UInt8(truncatingIfNeeded: first.sequence) })
      out.append(first.sequence)
      queue.removeFirst()
    }
    return out
  }

  @Test func ordersAndDropsDuplicates() {
    let queue = PacketQueue()
    for sequence in [5, 3, 9, 4, 3, 9] as [Int64] { _ = insert(queue, sequence) }
    #expect(queue.count == 4 && insert(queue, 5) == .duplicate)
    #expect(drain(queue) == [3, 4, 5, 9])
    #expect(queue.first == nil)
  }

  @Test func theOldestMakesRoomForTheNewest() {
    let queue = PacketQueue()
    for sequence in 0..<200 as Range<Int64> { #expect(insert(queue, sequence, count: 160) == .stored) }
    #expect(queue.count == 64)
    #expect(drain(queue) == Array(136..<200))
    for sequence in 0..<40 as Range<Int64> { #expect(insert(queue, 1_000 + sequence, count: 1_200) == .stored) }
    #expect(queue.count == 13 || queue.count == 12)
    #expect(drain(queue).last == 1_039)
    #expect(insert(queue, 1, count: 4_000) == .tooLarge)
  }

  @Test func randomOrderNeverCorruptsAPayload() {
    let queue = PacketQueue()
    var random = SeededRandom(seed: 2)
    var base: Int64 = 0
    for _ in 0..<5_000 {
      base += Int64.random(in: -2...4, using: &random)
      _ = insert(
        queue, base + Int64.random(in: -80...80, using: &random), count: Int.random(in: 0...1_500, using: &random))
      if Bool.random(using: &random), let first = queue.first {
        #expect(queue.payload(of: first).allSatisfy { $0 == UInt8(truncatingIfNeeded: first.sequence) })
        queue.removeFirst()
      }
      #expect(queue.count <= 64)
    }
    let rest = drain(queue)
    #expect(rest == rest.sorted())
  }
}

@Suite struct DelayEstimatorTests {
  @Test func coversNearlyAllPacketsAndForgets() {
    var estimator = DelayEstimator()
    var random = SeededRandom(seed: 8)
    func feed(_ count: Int, jitter: Int64, from start: Int64) {
      for n in 0..<Int64(count) {
        let media = (start + n) * 20_000_000
        let late = Int64.random(in: 0...jitter, using: &random) * 1_000_000
        estimator.note(arrival: Instant(nanoseconds: 5_000_000_000 + media + late), mediaTime: media)
      }
    }
    feed(100, jitter: 2, from: 0)
    #expect(estimator.spread <= 5)
    feed(2_000, jitter: 60, from: 100)
    #expect((50...65).contains(estimator.spread), "\(estimator.spread)")
    feed(3_000, jitter: 2, from: 2_100)
    #expect(estimator.spread <= 5)
  }

  @Test func driftDoesNotLookLikeJitter() {
    var estimator = DelayEstimator()
    for n in 0..<Int64(30_000) {
      // 500 ppm slow: 300 ms in ten minutes.
      estimator.note(arrival: Instant(nanoseconds: n * 20_010_000), mediaTime: n * 20_000_000)
    }
    #expect(estimator.spread <= 10)
  }
}
