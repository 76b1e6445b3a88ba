import Core
import RTP
import Testing

@testable import SFU

private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

/// A consumer without media of its own.
private final class Source: PacedConsumer {
  let id: ConsumerID
  var demand: BandwidthDemand
  var history: [UInt16: Int] = [:]
  var targets: [LayerTarget] = []
  var drops = 0
  var padding = true

  init(_ id: UInt64, kind: MediaKind = .video, bitrate: Int = 500_000) {
    self.id = ConsumerID(rawValue: id)
    demand = BandwidthDemand(id: self.id, kind: kind)
    demand.bitrates[0, 0] = bitrate
  }

  func write(
    _ sequence: UInt16, isRetransmission: Bool, into buffer: UnsafeMutableRawBufferPointer, now: Instant
  ) -> BuiltPacket? {
    guard let length = history[sequence] else { return nil }
    buffer[0] = UInt8(truncatingIfNeeded: id.rawValue)
    buffer[1] = UInt8(truncatingIfNeeded: sequence)
    return BuiltPacket(length: length, transportSequenceOffset: 16)
  }

  func writePadding(_ bytes: Int, into buffer: UnsafeMutableRawBufferPointer, now: Instant) -> BuiltPacket? {
    guard padding else { return nil }
    buffer[0] = 0xFF
    return BuiltPacket(length: min(bytes, 275), transportSequenceOffset: 16)
  }

  func pacerDropped(now: Instant) { drops += 1 }
  var redundancy = true
  func setRedundancy(_ isAllowed: Bool) { redundancy = isAllowed }
  func setTarget(_ target: LayerTarget, now: Instant) { targets.append(target) }
}

private final class Wire: PacketTransport {
  struct Packet {
    var consumer: UInt8
    var sequence: UInt8
    var transportSequence: UInt16
    var length: Int
  }
  var packets: [Packet] = []
  var media: [Packet] { packets.filter { $0.consumer != 0xFF } }

  func send(rtp packet: UnsafeRawBufferPointer) {
    packets.append(
      Packet(
        consumer: packet[0], sequence: packet[1], transportSequence: UInt16(packet[16]) << 8 | UInt16(packet[17]),
        length: packet.count))
  }
  func send(rtcp packet: UnsafeRawBufferPointer) {}
}

@Suite final class PeerSenderTests {
  private let wire = Wire()
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1500, alignment: 8)
  deinit { buffer.deallocate() }

  private func sender(_ mode: BandwidthMode) -> PeerSender {
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    return PeerSender(transport: wire, mode: mode, buffer: buffer, now: .zero)
  }

  /// As a consumer does: at once, or by the queue.
  private func send(
    _ sender: PeerSender, _ source: Source, slot: Int, _ sequence: UInt16, bytes: Int, kind: PacketKind = .video,
    now: Instant
  ) {
    source.history[sequence] = bytes
    if sender.admits(kind, bytes: bytes, now: now) {
      guard
        let packet = source.write(
          sequence, isRetransmission: kind == .retransmission, into: sender.buffer, now: now)
      else { return }
      sender.transmit(packet, kind: kind, now: now)
    } else {
      sender.enqueue(slot, sequence: sequence, bytes: bytes, kind: kind, now: now)
    }
  }

  @Test func passesEverythingThroughWhereNothingIsEstimated() {
    let sender = sender(.none)
    let source = Source(1)
    let slot = sender.attach(source, now: .zero)
    for i in 0..<500 { send(sender, source, slot: slot, UInt16(i), bytes: 1200, now: .zero) }
    #expect(wire.packets.count == 500)
    #expect(sender.targetBitrate == nil)
    // No transport-wide number was written.
    #expect(wire.packets.allSatisfy { $0.transportSequence == 0 })
    sender.tick(now: at(5))
    #expect(source.targets == [.layer(spatial: 2, temporal: 3)])
  }

  @Test func numbersEveryPacketTransportWide() {
    let sender = sender(.transportCC)
    let audio = Source(1, kind: .audio)
    let video = Source(2)
    let first = sender.attach(audio, now: .zero)
    let second = sender.attach(video, now: .zero)
    for i in 0..<50 {
      send(sender, audio, slot: first, UInt16(i), bytes: 100, kind: .audio, now: at(i * 20))
      send(sender, video, slot: second, UInt16(i), bytes: 300, now: at(i * 20 + 10))
      sender.tick(now: at(i * 20 + 15))
    }
    for (a, b) in zip(wire.packets, wire.packets.dropFirst()) {
      #expect(b.transportSequence == a.transportSequence &+ 1)
    }
  }

  @Test func aBurstWaitsInOrderAndLeavesAtThePace() {
    let sender = sender(.transportCC)
    let source = Source(1)
    source.padding = false
    let slot = sender.attach(source, now: .zero)
    sender.tick(now: .zero)
    for i in 0..<30 { send(sender, source, slot: slot, UInt16(i), bytes: 1200, now: at(1)) }
    #expect(wire.packets.count < 5)
    var time = 5
    while wire.media.count < 30, time < 5000 {
      sender.tick(now: at(time))
      time += 5
    }
    #expect(wire.media.map(\.sequence) == (0..<30).map { UInt8($0) })
    // 36,000 bytes at 1.1 · 300 kbps are 870 ms.
    #expect(time > 780 && time < 980)
  }

  @Test func audioPassesAFullQueue() {
    let sender = sender(.transportCC)
    let audio = Source(1, kind: .audio)
    let video = Source(2)
    let first = sender.attach(audio, now: .zero)
    let second = sender.attach(video, now: .zero)
    sender.tick(now: .zero)
    for i in 0..<40 { send(sender, video, slot: second, UInt16(i), bytes: 1200, now: at(1)) }
    let before = wire.packets.count
    send(sender, audio, slot: first, 7, bytes: 100, kind: .audio, now: at(1))
    #expect(wire.packets.count == before + 1)
    #expect(wire.packets.last?.consumer == 1)
  }

  @Test func whatFindsNoRoomIsDroppedFromTheHeaviestConsumerWhichIsTold() {
    let sender = sender(.transportCC)
    let heavy = Source(1)
    let light = Source(2)
    heavy.padding = false
    light.padding = false
    let first = sender.attach(heavy, now: .zero)
    let second = sender.attach(light, now: .zero)
    sender.tick(now: .zero)
    send(sender, light, slot: second, 0, bytes: 1000, now: at(1))
    for i in 0..<45 { send(sender, heavy, slot: first, UInt16(i), bytes: 1200, now: at(1)) }
    #expect(sender.queueDelay <= .milliseconds(1600))
    for i in 1..<40 { send(sender, light, slot: second, UInt16(i), bytes: 1200, now: at(2)) }
    #expect(sender.statistics.dropped > 0)
    sender.tick(now: at(5))
    #expect(heavy.drops == 1)
    #expect(sender.queueDelay <= .milliseconds(1600))
  }

  @Test func detachedConsumersAreNotAskedAgain() {
    let sender = sender(.transportCC)
    let source = Source(1)
    source.padding = false
    let slot = sender.attach(source, now: .zero)
    for i in 0..<10 { send(sender, source, slot: slot, UInt16(i), bytes: 1200, now: at(1)) }
    let before = wire.packets.count
    sender.detach(slot, now: at(2))
    for time in stride(from: 5, to: 3000, by: 5) { sender.tick(now: at(time)) }
    #expect(wire.packets.count == before)
    #expect(sender.attach(Source(2), now: at(3000)) == slot)
  }

  @Test func packetsThatHistoryLostArePassedOver() {
    let sender = sender(.transportCC)
    let source = Source(1)
    source.padding = false
    let slot = sender.attach(source, now: .zero)
    for i in 0..<10 { send(sender, source, slot: slot, UInt16(i), bytes: 1200, now: at(1)) }
    source.history = [9: 1200]
    let before = wire.packets.count
    for time in stride(from: 5, to: 3000, by: 5) { sender.tick(now: at(time)) }
    #expect(wire.packets.count == before + 1)
    #expect(wire.packets.last?.sequence == 9)
  }

  @Test func probesAtTheStartWhenMoreWouldBeOfUse() {
    let sender = sender(.transportCC)
    _ = sender.attach(Source(1, bitrate: 2_000_000), now: .zero)
    for time in stride(from: 5, to: 100, by: 5) { sender.tick(now: at(time)) }
    #expect(sender.statistics.probes == 1)
    // 900 kbps for 25 ms and the tick at its end.
    #expect(sender.statistics.paddingBytes > 2500 && sender.statistics.paddingBytes < 4500)
    let content = self.sender(.transportCC)
    _ = content.attach(Source(1, bitrate: 200_000), now: .zero)
    for time in stride(from: 5, to: 100, by: 5) { content.tick(now: at(time)) }
    #expect(content.statistics.probes == 0)
  }

  @Test func aReceiverWithoutRetransmissionStreamIsNotProbed() {
    let sender = sender(.transportCC)
    let source = Source(1, bitrate: 2_000_000)
    source.padding = false
    _ = sender.attach(source, now: .zero)
    for time in stride(from: 5, to: 1000, by: 5) { sender.tick(now: at(time)) }
    #expect(wire.packets.isEmpty)
    #expect(sender.statistics.probes == 0)
    // Once one can be padded, it is.
    source.padding = true
    for time in stride(from: 1000, to: 1400, by: 5) { sender.tick(now: at(time)) }
    #expect(sender.statistics.probes == 1)
  }

  @Test func theReceiversMaximumIsTheEstimateWhereThatIsAllThereIs() {
    let sender = sender(.remb)
    let source = Source(1, bitrate: 500_000)
    _ = sender.attach(source, now: .zero)
    sender.receive(maximumBitrate: 2_000_000, now: at(1))
    sender.tick(now: at(5))
    #expect(sender.targetBitrate == 2_000_000)
    #expect(source.targets == [.layer(spatial: 0, temporal: 3)])
    sender.receive(maximumBitrate: 100_000, now: at(100))
    sender.tick(now: at(150))
    // Held for a moment, then paused.
    #expect(source.targets.last == .layer(spatial: 0, temporal: 3))
    for time in stride(from: 200, to: 4000, by: 50) { sender.tick(now: at(time)) }
    #expect(source.targets.last == .paused)
    for time in stride(from: 4000, to: 9500, by: 100) {
      sender.receive(maximumBitrate: 1_500_000, now: at(time))
      sender.tick(now: at(time))
    }
    #expect(source.targets.last == .layer(spatial: 0, temporal: 3))
    sender.receive(maximumBitrate: .max, now: at(9500))
    sender.tick(now: at(9505))
    #expect(sender.targetBitrate == CongestionConfiguration().maximumBitrate)
  }

  @Test func theReceiversMaximumCapsWhatFeedbackAllows() {
    let sender = sender(.transportCC)
    sender.receive(maximumBitrate: 150_000, now: at(1))
    #expect(sender.targetBitrate == 150_000)
    sender.receive(maximumBitrate: 5_000_000, now: at(2))
    #expect(sender.targetBitrate == 300_000)
  }

  @Test func aReceiverThatNeverReportsIsSentWithoutAnEstimate() {
    for mode in [BandwidthMode.remb, .transportCC] {
      let sender = sender(mode)
      let source = Source(1, bitrate: 2_000_000)
      source.padding = false
      let slot = sender.attach(source, now: .zero)
      for time in stride(from: 5, to: 4000, by: 5) {
        send(sender, source, slot: slot, UInt16(truncatingIfNeeded: time), bytes: 100, now: at(time))
        sender.tick(now: at(time))
      }
      #expect(sender.targetBitrate == nil)
      #expect(source.targets.last == .layer(spatial: 2, temporal: 3))
    }
  }

  @Test func lossInReportBlocksLimitsWhereNothingElseDoes() {
    let sender = sender(.none)
    let source = Source(1, bitrate: 1_000_000)
    let slot = sender.attach(source, now: .zero)
    var sequence: UInt32 = 0
    var lost: Int32 = 0
    var lowest: Int?
    for step in 0..<60 {
      for i in 0..<50 {
        sequence += 1
        if step >= 20, i % 3 == 0 { lost += 1 }
        let now = at(step * 500 + i * 10)
        send(sender, source, slot: slot, UInt16(truncatingIfNeeded: sequence), bytes: 1200, now: now)
        sender.tick(now: now)
      }
      let block = ReportBlock(
        source: SSRC(1), fractionLost: 0, cumulativeLost: lost, extendedHighestSequence: sequence, jitter: 0,
        lastSenderReport: 0, delaySinceLastSenderReport: 0)
      sender.receive([block], now: at(step * 500 + 499))
      if step == 19 { #expect(sender.targetBitrate == nil) }
      if let target = sender.targetBitrate { lowest = min(lowest ?? target, target) }
    }
    // 960 kbps were sent; 640 arrived.
    #expect(lowest.map { $0 > 500_000 && $0 < 800_000 } ?? false)
    #expect(source.targets.contains(.paused))
  }

  @Test func survivesHostileReportBlocks() {
    let sender = sender(.none)
    var random = SeededRandom(seed: 5)
    for i in 0..<20_000 {
      sender.receive(
        [
          ReportBlock(
            source: SSRC(.random(in: 0...UInt32(i % 5000), using: &random)), fractionLost: 255,
            cumulativeLost: .random(in: .min ... .max, using: &random),
            extendedHighestSequence: .random(in: 0...UInt32.max, using: &random), jitter: 0, lastSenderReport: 0,
            delaySinceLastSenderReport: 0)
        ], now: at(i))
      sender.receive(maximumBitrate: .random(in: 0...UInt64.max, using: &random), now: at(i))
      sender.receive(roundTrip: .nanoseconds(Int64.random(in: .min ... .max, using: &random)))
      sender.tick(now: at(i))
    }
    #expect(sender.targetBitrate.map { $0 >= 40_000 } ?? true)
  }

  @Test func changingTheModeStartsAnew() {
    let sender = sender(.none)
    #expect(sender.targetBitrate == nil)
    sender.configure(mode: .transportCC, now: .zero)
    #expect(sender.targetBitrate == 300_000)
    sender.receive(maximumBitrate: 100_000, now: .zero)
    sender.configure(mode: .transportCC, now: at(1))
    #expect(sender.targetBitrate == 100_000)
  }
}

@Suite struct SenderMemoryTests {
  /// What a sender without traffic holds: everything in place, since histories, queues and windows are allocated late.
  @Test func anIdleSenderStaysUnder8KB() {
    let controller = CongestionController(mode: .transportCC)
    #expect(controller.history.capacity == 0)
    #expect(Pacer().memory == 0)
    let parts =
      MemoryLayout<CongestionController>.size + MemoryLayout<Pacer>.size + MemoryLayout<BandwidthAllocator>.size
      + MemoryLayout<SenderStatistics>.size
    #expect(parts < 2048, "\(parts)")
  }

  @Test func anActiveHistoryOfOneSubscriberIsSmall() {
    var history = SendHistory()
    // 3 Mbps with 100 ms of feedback.
    for i in 0..<3000 {
      _ = history.add(bytes: 1100, cluster: 0, now: .zero + .milliseconds(Int64(i) * 3))
      if i % 30 == 29 {
        var report = FeedbackReport()
        history.receive(
          TransportFeedback(
            sender: SSRC(1), media: SSRC(2), baseSequence: UInt16(truncatingIfNeeded: i - 29), referenceTime: 0,
            feedbackCount: 0, arrivals: [Int16?](repeating: 4, count: 30)), into: &report)
        #expect(report.acknowledged.count == 30)
      }
    }
    #expect(history.capacity == 64)
  }
}
