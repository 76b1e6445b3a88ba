import Core
import RTP
import SFU
import Synchronization
import Testing
import Transport

@testable import Rooms

/// A room on two real workers: its tracks arrive at one, a peer of the other takes them.
@Suite(.timeLimit(.minutes(1))) struct RoomPipeTests {
  /// One worker with its rooms. Transports are looked at on its thread only.
  private final class Side: Sendable {
    let worker: MediaWorker
    let media: RoomMedia
    private let state: Box

    private final class Box: Sendable {
      struct State {
        nonisolated(unsafe) var transports: [FakeTransport] = []
        var events: [RoomMediaEvent] = []
      }
      let state = Mutex(State())
    }

    init(_ index: Int) {
      let box = Box()
      state = box
      worker = MediaWorker(name: "side-\(index)")
      media = RoomMedia(
        worker: worker, index: index,
        makeTransport: { _, _, _ in
          nonisolated(unsafe) let transport = FakeTransport()
          box.state.withLock { $0.transports.append(transport) }
          return transport
        }, events: { events in box.state.withLock { $0.events += events } })
    }

    var events: [RoomMediaEvent] { state.state.withLock { $0.events } }

    /// Runs `body` on the worker with its only transport.
    func on<Value: Sendable>(_ body: @escaping @Sendable (FakeTransport, Instant) -> Value) async -> Value {
      await withCheckedContinuation { continuation in
        worker.perform { [self] in
          continuation.resume(returning: body(state.state.withLock { $0.transports[0] }, worker.now))
        }
      }
    }

    func deliver(rtp packets: [[UInt8]]) async {
      await on { transport, now in
        for packet in packets { packet.withUnsafeBytes { transport.receiver?.receive(rtp: $0, now: now) } }
      }
    }

    func wait(_ condition: @escaping @Sendable (FakeTransport) -> Bool) async -> Bool {
      let end = Instant.now() + .seconds(10)
      while Instant.now() < end {
        if await on({ transport, _ in condition(transport) }) { return true }
        try? await Task.sleep(for: .milliseconds(2))
      }
      return false
    }

    func wait(event: @escaping @Sendable (RoomMediaEvent) -> Bool) async -> Bool {
      let end = Instant.now() + .seconds(10)
      while Instant.now() < end {
        if events.contains(where: event) { return true }
        try? await Task.sleep(for: .milliseconds(2))
      }
      return false
    }
  }

  private let room = MediaRoomID(rawValue: 1)
  private let publisher = PeerID(rawValue: 2)
  private let viewer = PeerID(rawValue: 3)
  private let track = ProducerID(rawValue: 4)
  private let consumer = ConsumerID(rawValue: 5)
  private let loopback = IPAddress(v4: 0x7F00_0001)
  private let pipe = RoomPipe()

  private func codecs(_ kind: MediaKind) -> [CodecParameters] {
    kind == .audio
      ? [CodecParameters(codec: .opus, payloadType: PayloadType(111))]
      : [CodecParameters(codec: .vp8, payloadType: PayloadType(96))]
  }

  private func withSides(_ kind: MediaKind, _ body: (_ home: Side, _ replica: Side) async throws -> Void) async throws {
    let (home, replica) = (Side(0), Side(1))
    home.media.perform([
      .openRoom(room), .openPeer(publisher, room: room, towards: loopback, isControlling: false),
      .addProducer(
        track, peer: publisher,
        ProducerParameters(
          kind: kind, mid: "0", codecs: codecs(kind), extensions: HeaderExtensionMap(),
          encodings: [EncodingParameters(ssrc: SSRC(77))])),
    ])
    // The viewer's side comes first: what it wants waits for the track.
    replica.media.perform([
      .openReplica(room, pipe, index: 1), .openPeer(viewer, room: room, towards: loopback, isControlling: true),
      .addConsumer(
        consumer, of: track, peer: viewer,
        ConsumerParameters(
          mid: "1", ssrc: SSRC(99), retransmissionSSRC: nil, codecs: codecs(kind), extensions: HeaderExtensionMap(),
          cname: "c")),
      .updateConsumer(consumer, room: room, ConsumerPreferences(maximumSpatialLayer: 1)),
    ])
    _ = await replica.media.peerCount
    home.media.perform([.addPipe(pipe, of: track, room: room)])
    _ = await home.media.peerCount
    try await body(home, replica)
    for side in [home, replica] {
      await side.media.close()
      side.worker.stop()
    }
  }

  private func packet(_ sequence: UInt16, type: UInt8, payload: [UInt8], marker: Bool = false) -> [UInt8] {
    let timestamp = UInt32(sequence) &* 64
    return [
      0x80, type | (marker ? 0x80 : 0), UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence),
      UInt8(truncatingIfNeeded: timestamp >> 24), UInt8(truncatingIfNeeded: timestamp >> 16),
      UInt8(truncatingIfNeeded: timestamp >> 8), UInt8(truncatingIfNeeded: timestamp), 0, 0, 0, 77,
    ] + payload
  }

  @Test func packetsReachAPeerOfAnotherWorker() async throws {
    try await withSides(.audio) { home, replica in
      _ = await replica.wait(event: { if case .peerOpened = $0 { true } else { false } })
      // The track is there once the pipe's word has come.
      try await Task.sleep(for: .milliseconds(50))
      await home.deliver(rtp: (0..<40).map { packet(65_520 &+ $0, type: 111, payload: [UInt8($0), 1, 2, 3]) })
      #expect(await replica.wait { $0.sentRTP.count == 40 })
      let payloads = await replica.on { transport, _ in transport.sentRTP.map { $0.suffix(4).first } }
      #expect(payloads == (0..<40).map { UInt8($0) })
      let sources = await replica.on { transport, _ in Set(transport.sentRTP.map { Array($0[8..<12]) }) }
      #expect(sources == [[0, 0, 0, 99]])
      #expect(pipe.packetsDropped == 0)
      #expect(await home.on { transport, _ in transport.sentRTP.isEmpty })
    }
  }

  @Test func aKeyFrameIsAskedOfThePublisher() async throws {
    try await withSides(.video) { home, replica in
      try await Task.sleep(for: .milliseconds(50))
      // A key frame of VP8 in one packet, then a delta frame.
      let keyFrame: [UInt8] = [0x10, 0x10, 0x02, 0x00, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00, 0, 0]
      await home.deliver(rtp: [packet(1, type: 96, payload: keyFrame, marker: true)])
      #expect(await replica.wait { $0.sentRTP.count == 1 })
      #expect(await home.on { transport, _ in Self.keyFrameRequests(transport).count } <= 1)
      // The throttle lets one through in half a second.
      try await Task.sleep(for: .milliseconds(700))
      let before = await home.on { transport, _ in Self.keyFrameRequests(transport).count }
      var loss: [UInt8] = []
      RTCPPacket.pictureLossIndication(sender: SSRC(1), media: SSRC(99)).append(to: &loss)
      await replica.on { [loss] transport, now in
        loss.withUnsafeBytes { transport.receiver?.receive(rtcp: $0, now: now) }
      }
      #expect(await home.wait { Self.keyFrameRequests($0).count > before })
      #expect(
        await home.on { transport, _ in Self.keyFrameRequests(transport).allSatisfy { $0 == SSRC(77) } })
    }
  }

  private static func keyFrameRequests(_ transport: FakeTransport) -> [SSRC] {
    transport.sentRTCP.flatMap { (try? RTCPCompound.parse($0)) ?? [] }.flatMap { packet -> [SSRC] in
      switch packet {
      case .pictureLossIndication(_, let media): [media]
      case .fullIntraRequest(_, let requests): requests.map(\.media)
      default: []
      }
    }
  }

  private static func demand(_ event: RoomMediaEvent) -> Int?? {
    if case .wantedAtReplica(ProducerID(rawValue: 4), let layer, replica: 1) = event { layer } else { nil }
  }

  @Test func aReplicaTellsWhatItWantsAndForgetsATrackThatEnded() async throws {
    try await withSides(.video) { home, replica in
      #expect(await replica.wait(event: { Self.demand($0) == .some(1) }))
      home.media.perform([.removeProducer(track, room: room)])
      #expect(await replica.wait(event: { Self.demand($0) == .some(nil) }))
      await home.deliver(rtp: [packet(1, type: 96, payload: [0x10, 0x10], marker: true)])
      try await Task.sleep(for: .milliseconds(50))
      #expect(await replica.on { transport, _ in transport.sentRTP.isEmpty })
    }
  }

  @Test func mutingStopsTheOtherWorkerToo() async throws {
    try await withSides(.audio) { home, replica in
      try await Task.sleep(for: .milliseconds(50))
      await home.deliver(rtp: [packet(1, type: 111, payload: [1])])
      #expect(await replica.wait { $0.sentRTP.count == 1 })
      home.media.perform([.setProducerMuted(track, room: room, true)])
      _ = await home.media.peerCount
      await home.deliver(rtp: [packet(2, type: 111, payload: [2])])
      try await Task.sleep(for: .milliseconds(50))
      #expect(await replica.on { transport, _ in transport.sentRTP.count } == 1)
      home.media.perform([.setProducerMuted(track, room: room, false)])
      _ = await home.media.peerCount
      try await Task.sleep(for: .milliseconds(50))
      await home.deliver(rtp: [packet(3, type: 111, payload: [3])])
      #expect(await replica.wait { $0.sentRTP.count == 2 })
    }
  }
}
