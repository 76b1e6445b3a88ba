import Core
import RTP

/// Sends everything that goes to one peer: numbers it transport-wide, estimates what the path carries, paces, and
/// shares the bandwidth out between the consumers. Confined to the worker's thread.
///
/// A consumer with a packet in hand asks `admits(_:bytes:now:)`. If so it builds the packet in `buffer` and calls `transmit`;
/// if not it calls `enqueue`, and `write(_:isRetransmission:into:now:)` builds it when it leaves. Consumers are called
/// back (`write`, `writePadding`, `pacerDropped`, `setTarget`) from `tick` alone, never out of their own calls.
final class PeerSender {
  let transport: any PacketTransport
  /// Where consumers build packets; one for all peers of a router.
  let buffer: UnsafeMutableRawBufferPointer
  private(set) var controller: CongestionController
  private(set) var statistics = SenderStatistics()
  private var pacer = Pacer()
  private var allocator = BandwidthAllocator()
  private var slots: [Slot] = []
  private var isAllocationDue = false
  private var hasVideo = false
  /// Somebody is paused for want of bandwidth.
  private var hasPause = false
  private var redundancy = RedundancySwitch()
  private var lastAllocation: Instant?
  private var allocatedTarget: Int?
  private var wanted = 0
  private var audio = AudioRate()
  private var probe: RunningProbe?
  private var paddingSlot = 0
  private var idleSince: Instant?
  private let configuration: CongestionConfiguration

  private struct Slot {
    var consumer: (any PacedConsumer)?
    var target: LayerTarget?
    /// Video was dropped; tell it at the next tick.
    var isDropped = false
  }

  private struct RunningProbe {
    var cluster: ProbeCluster
    var startedAt: Instant
    var bytes = 0
    var packets = 0
  }

  /// - Parameter buffer: At least 1,500 bytes, outlives the sender, shared by the peers of a router.
  init(
    transport: any PacketTransport, mode: BandwidthMode = .none, buffer: UnsafeMutableRawBufferPointer,
    configuration: CongestionConfiguration = CongestionConfiguration(), now: Instant
  ) {
    self.transport = transport
    self.buffer = buffer
    self.configuration = configuration
    controller = CongestionController(mode: mode, configuration: configuration)
  }

  var mode: BandwidthMode { controller.mode }

  /// What offer and answer settled for the packets that we send. What was learnt stays while the mode does.
  func configure(mode: BandwidthMode, now: Instant) {
    guard mode != controller.mode else { return }
    controller = CongestionController(mode: mode, configuration: configuration)
    probe = nil
    isAllocationDue = true
  }

  /// Bits a second; nil where nothing limits.
  var targetBitrate: Int? { controller.target }
  var roundTrip: Duration? { controller.roundTrip }
  /// Of the last reports, 0…1.
  var lossFraction: Double { controller.loss.fraction }
  /// How long what waits takes to leave.
  var queueDelay: Duration { pacer.delay }

  // MARK: Consumers

  /// - Returns: The slot that names the consumer in `enqueue`. It is held until `detach`.
  func attach(_ consumer: any PacedConsumer, now: Instant) -> Int {
    isAllocationDue = true
    if let vacant = slots.firstIndex(where: { $0.consumer == nil }) {
      slots[vacant] = Slot(consumer: consumer)
      return vacant
    }
    slots.append(Slot(consumer: consumer))
    return slots.count - 1
  }

  /// Its queued packets are dropped.
  func detach(_ slot: Int, now: Instant) {
    guard slots.indices.contains(slot), let consumer = slots[slot].consumer else { return }
    pacer.drop(slot: UInt16(truncatingIfNeeded: slot), videoOnly: false)
    allocator.forget(consumer.id)
    slots[slot] = Slot()
    isAllocationDue = true
  }

  /// A consumer's demand changed (preferences, mute, speaker): allocate at the next tick.
  func demandChanged() { isAllocationDue = true }

  // MARK: Packets

  /// Whether a packet may leave now; if not, `enqueue` it. Always true for audio and where nothing is estimated.
  func admits(_ kind: PacketKind, bytes: Int, now: Instant) -> Bool {
    guard kind != .audio, controller.mode != .none || !pacer.isEmpty else { return true }
    if controller.target == nil, pacer.isEmpty { return true }
    return pacer.admits(kind, now: now)
  }

  /// Sends what stands in `buffer`.
  func transmit(_ packet: BuiltPacket, kind: PacketKind, now: Instant) {
    guard packet.length >= RTPHeader.fixedLength, packet.length <= buffer.count else { return }
    let offset = packet.transportSequenceOffset
    let isTracked = offset > 0 && offset + 2 <= packet.length
    let number = controller.sent(
      bytes: packet.length, isTracked: isTracked, cluster: probe?.cluster.id ?? 0, now: now)
    if let number {
      buffer[offset] = UInt8(truncatingIfNeeded: number >> 8)
      buffer[offset + 1] = UInt8(truncatingIfNeeded: number)
    }
    probe?.bytes += packet.length
    probe?.packets += 1
    if controller.mode != .none, kind != .padding { pacer.spend(bytes: packet.length, now: now) }
    statistics.count(packet.length, kind: kind)
    if kind == .audio { audio.bytes &+= packet.length }
    transport.send(rtp: UnsafeRawBufferPointer(rebasing: buffer[..<packet.length]))
  }

  /// Queues a packet by its output sequence number.
  ///
  /// - Parameter bytes: Its length, roughly.
  /// - Returns: false when it was dropped for want of room. Video then needs a key frame (of a lower layer, best).
  @discardableResult
  func enqueue(_ slot: Int, sequence: UInt16, bytes: Int, kind: PacketKind, now: Instant) -> Bool {
    guard slots.indices.contains(slot) else { return false }
    let packet = PacketReference(
      slot: UInt16(truncatingIfNeeded: slot), sequence: sequence, bytes: UInt16(clamping: bytes), kind: kind,
      queuedAt: now)
    if pacer.enqueue(packet) { return true }
    statistics.dropped += 1
    guard kind == .video else { return false }
    // No room: the consumer that takes most of the queue gives way, and others keep their pictures.
    let heaviest = pacer.heaviestSlot ?? packet.slot
    statistics.dropped += pacer.drop(slot: heaviest, videoOnly: false)
    isAllocationDue = true
    guard heaviest != packet.slot else { return false }
    if slots.indices.contains(Int(heaviest)) { slots[Int(heaviest)].isDropped = true }
    guard pacer.enqueue(packet) else { return false }
    statistics.dropped -= 1
    return true
  }

  // MARK: What the receiver reports

  func receive(_ feedback: TransportFeedback, now: Instant) { controller.receive(feedback, now: now) }
  /// A REMB in bits a second.
  func receive(maximumBitrate: UInt64, now: Instant) { controller.receive(maximumBitrate: maximumBitrate, now: now) }
  /// Report blocks on our streams.
  func receive(_ blocks: [ReportBlock], now: Instant) { controller.receive(blocks, now: now) }
  /// A round trip measured from a report block.
  func receive(roundTrip: Duration) { controller.receive(roundTrip: roundTrip) }
  /// A stream of ours is no more.
  func forget(_ ssrc: SSRC) { controller.forget(ssrc) }

  // MARK: Time

  /// Drains the queue, probes, allocates. Every 5 ms.
  func tick(now: Instant) {
    controller.tick(now: now)
    let target = controller.target
    pacer.setTarget(target ?? configuration.maximumBitrate)
    drain(now: now)
    if target != nil || probe != nil { continueProbe(now: now) }
    allocate(target: target, now: now)
  }

  private func drain(now: Instant) {
    guard !pacer.isEmpty else {
      if let since = idleSince {
        if now - since > .seconds(5) { pacer.release() }
      } else {
        idleSince = now
      }
      return
    }
    idleSince = nil
    while let reference = pacer.next(now: now) {
      let slot = Int(reference.slot)
      guard slots.indices.contains(slot), let consumer = slots[slot].consumer else { continue }
      let isRetransmission = reference.kind == .retransmission
      if let packet = consumer.write(
        reference.sequence, isRetransmission: isRetransmission, into: buffer, now: now)
      {
        transmit(packet, kind: reference.kind, now: now)
      }
    }
    for slot in slots.indices where slots[slot].isDropped {
      slots[slot].isDropped = false
      slots[slot].consumer?.pacerDropped(now: now)
    }
  }

  // MARK: Probes

  private func continueProbe(now: Instant) {
    if probe == nil {
      guard hasVideo, wanted > 0,
        let cluster = controller.nextProbe(
          wanted: wanted, isUrgent: hasPause, isQueueEmpty: pacer.isEmpty, now: now)
      else { return }
      probe = RunningProbe(cluster: cluster, startedAt: now)
    }
    guard let running = probe else { return }
    let elapsed = now - running.startedAt
    // A tick sends what its interval carries, however late it is; the first one what 5 ms carry.
    let due = Int(Double(running.cluster.bitrate) / 8 * (elapsed + .milliseconds(5)).inSeconds)
    while let current = probe, current.bytes < due {
      guard sendPadding(due - current.bytes, now: now) else {
        // Nobody has a retransmission stream: only media can be sent.
        if current.packets == 0 { controller.cancelProbe(now: now) }
        probe = nil
        return
      }
      if current.packets == 0 { statistics.probes += 1 }
    }
    guard let sent = probe else { return }
    let isComplete = elapsed >= sent.cluster.duration && sent.bytes >= sent.cluster.bytes
    if isComplete && sent.packets >= ProbeCluster.packets || elapsed > .seconds(1) {
      probe = nil
      controller.probeSent(now: now)
    }
  }

  private func sendPadding(_ bytes: Int, now: Instant) -> Bool {
    for step in 0..<slots.count {
      let slot = (paddingSlot + step) % slots.count
      guard let consumer = slots[slot].consumer,
        let packet = consumer.writePadding(min(max(bytes, 60), 1200), into: buffer, now: now), packet.length > 0
      else { continue }
      paddingSlot = slot
      transmit(packet, kind: .padding, now: now)
      return true
    }
    return false
  }

  // MARK: Allocation

  private func allocate(target: Int?, now: Instant) {
    guard isAllocationDue || isAllocationStale(target: target, now: now) else { return }
    isAllocationDue = false
    lastAllocation = now
    allocatedTarget = target
    var demands: [BandwidthDemand] = []
    demands.reserveCapacity(slots.count)
    for slot in slots { if let consumer = slot.consumer { demands.append(consumer.demand) } }
    hasVideo = demands.contains { $0.kind == .video && !$0.isIdle }
    // A queue of our own: spend less until it has drained.
    let isPressed = pacer.delay > Pacer.longDelay
    let allocation = allocator.allocate(
      target: target.map { isPressed ? $0 * 3 / 4 : $0 }, audio: audio.bitrate(now: now), demands: demands, now: now)
    wanted = allocation.wanted
    hasPause = allocation.shares.contains { $0.target == .paused }
    redundancy.update(
      target: target, used: max(allocation.used, allocation.wanted), hasPause: hasPause,
      loss: controller.loss.fraction, now: now)
    for slot in slots { slot.consumer?.setRedundancy(redundancy.isAllowed) }
    statistics.allocated = allocation.used
    // Shares come in the order of the demands.
    var slot = 0
    for share in allocation.shares {
      while slot < slots.count, slots[slot].consumer?.id != share.id { slot += 1 }
      guard slot < slots.count else { return }
      guard slots[slot].target != share.target else { continue }
      slots[slot].target = share.target
      slots[slot].consumer?.setTarget(share.target, now: now)
    }
  }

  private func isAllocationStale(target: Int?, now: Instant) -> Bool {
    guard let last = lastAllocation else { return false }
    guard let target, let allocated = allocatedTarget else { return target != allocatedTarget }
    let elapsed = now - last
    // A fall is followed at once; a rise and other bitrates by and by.
    if target < allocated - allocated / 32 { return elapsed >= .milliseconds(20) }
    return elapsed >= .milliseconds(300)
  }
}

/// Takes the redundancy out of audio while somebody has no picture for want of bandwidth and little is lost.
private struct RedundancySwitch {
  private(set) var isAllowed = true
  private var pausedSince: Instant?
  private var changedAt: Instant?

  mutating func update(target: Int?, used: Int, hasPause: Bool, loss: Double, now: Instant) {
    pausedSince = hasPause ? pausedSince ?? now : nil
    if isAllowed {
      guard let since = pausedSince, now - since >= .seconds(1), loss < 0.05 else { return }
    } else {
      // Back when there is room for it, or need of it.
      let hasRoom = target.map { !hasPause && $0 >= used + used / 4 } ?? true
      guard loss > 0.1 || hasRoom, changedAt.map({ now - $0 >= .seconds(10) }) ?? true else { return }
    }
    isAllowed.toggle()
    changedAt = now
  }
}

/// What audio takes: of the last second or so, falling slowly through pauses of speech.
private struct AudioRate {
  var bytes = 0
  private var held = 0
  private var since: Instant?

  mutating func bitrate(now: Instant) -> Int {
    guard let start = since else {
      since = now
      return held
    }
    let elapsed = now - start
    guard elapsed >= .milliseconds(900) else { return held }
    held = max(Int(Double(bytes) * 8 / elapsed.inSeconds), held - held / 8)
    bytes = 0
    since = now
    return held
  }
}

/// Counters of what was sent to a peer.
struct SenderStatistics: Hashable, Sendable {
  var packets: UInt64 = 0
  var bytes: UInt64 = 0
  var retransmissions: UInt64 = 0
  var paddingBytes: UInt64 = 0
  var probes: UInt64 = 0
  /// Packets that found no room in the pacer.
  var dropped = 0
  /// Bits a second that the allocator gave out.
  var allocated = 0

  init() {}

  mutating func count(_ length: Int, kind: PacketKind) {
    packets &+= 1
    bytes &+= UInt64(truncatingIfNeeded: length)
    switch kind {
    case .retransmission: retransmissions &+= 1
    case .padding: paddingBytes &+= UInt64(truncatingIfNeeded: length)
    case .audio, .video: break
    }
  }
}
