import Core
import SDP
import SFU
import Synchronization
import Testing
import Transport

@testable import Rooms

/// A worker's side of the rooms, on a real worker with transports that go nowhere.
@Suite struct RoomMediaTests {
  /// Transports by order of their making, and the events that came. The transports are the worker's: they are looked at
  /// on its thread only.
  private final class Watch: Sendable {
    struct State {
      nonisolated(unsafe) var transports: [FakeTransport] = []
      var events: [RoomMediaEvent] = []
      var failures: [MediaFailure] = []
    }
    let state = Mutex(State())
    var events: [RoomMediaEvent] { state.withLock { $0.events } }
  }

  private func run(_ body: (RoomMedia, Watch) async throws -> Void) async throws {
    let worker = MediaWorker(name: "test")
    let watch = Watch()
    let media = RoomMedia(
      worker: worker,
      makeTransport: { _, _, _ in
        nonisolated(unsafe) let transport = FakeTransport()
        watch.state.withLock { $0.transports.append(transport) }
        return transport
      }, failed: { failure in watch.state.withLock { $0.failures.append(failure) } },
      events: { events in watch.state.withLock { $0.events += events } })
    do {
      try await body(media, watch)
      await media.close()
      worker.stop()
    } catch {
      await media.close()
      worker.stop()
      throw error
    }
  }

  private let room = MediaRoomID(rawValue: 1)
  private let peer = PeerID(rawValue: 2)
  private let loopback = IPAddress(v4: 0x7F00_0001)

  private func remote(_ ufrag: String) -> RemoteTransport {
    RemoteTransport(
      parameters: TransportParameters(
        ufrag: ufrag, pwd: "remotepasswordremotepass", candidates: [],
        fingerprint: Fingerprint(algorithm: "sha-256", value: "AB")), isDTLSServer: true)
  }

  @Test func opensPeersAndTellsTheirParameters() async throws {
    try await run { media, watch in
      media.perform([.openRoom(room), .openPeer(peer, room: room, towards: loopback, isControlling: false)])
      #expect(await media.peerCount == 1)
      guard case .peerOpened(peer, let local) = watch.events.first else {
        Issue.record("no event: \(watch.events)")
        return
      }
      #expect(local.ufrag == "ufrag0")
      #expect(local.iceLite)
      #expect(local.candidates.count == 1)
      media.perform([.closeRoom(room)])
      #expect(await media.peerCount == 0)
      #expect(await media.roomCount == 0)
      #expect(watch.state.withLock { $0.transports.allSatisfy(\.isClosed) })
    }
  }

  @Test func tellsNewCredentialsAfterARestartOfEitherSide() async throws {
    try await run { media, watch in
      media.perform([
        .openRoom(room), .openPeer(peer, room: room, towards: loopback, isControlling: false),
        .setRemote(peer, remote("one")), .setRemote(peer, remote("one")), .setRemote(peer, remote("two")),
        .restartICE(peer), .setRemote(peer, remote("three")),
      ])
      _ = await media.peerCount
      let ufrags = watch.events.compactMap { event -> String? in
        switch event {
        case .peerOpened(_, let local), .peerRestarted(_, let local): local.ufrag
        default: nil
        }
      }
      #expect(ufrags == ["ufrag0", "ufrag1", "ufrag2"])
    }
  }

  @Test func saysOnceThatAPathIsLostAndFound() async throws {
    try await run { media, watch in
      media.perform([.openRoom(room), .openPeer(peer, room: room, towards: loopback, isControlling: false)])
      _ = await media.peerCount
      media.worker.perform {
        let transport = watch.state.withLock { $0.transports[0] }
        for event: WebRTCTransportEvent in [
          .iceConnected(local: "a", remote: "b"), .connected(profile: .aeadAES128GCM), .iceDisconnected, .consentLost,
          .iceConnected(local: "a", remote: "c"), .iceConnected(local: "a", remote: "d"),
        ] { transport.onEvent?(event) }
      }
      _ = await media.peerCount
      let kinds = watch.events.dropFirst().compactMap { event -> String? in
        switch event {
        case .load: nil
        case .peerConnected: "connected"
        case .peerDisconnected: "disconnected"
        case .peerReconnected: "reconnected"
        default: "other"
        }
      }
      #expect(kinds == ["connected", "disconnected", "reconnected"])
    }
  }

  @Test func countsWhatBreaksAPath() async throws {
    try await run { media, watch in
      media.perform([.openRoom(room), .openPeer(peer, room: room, towards: loopback, isControlling: false)])
      #expect(await media.figures().load.peers == 1)
      media.worker.perform {
        let transport = watch.state.withLock { $0.transports[0] }
        for event: WebRTCTransportEvent in [
          .connected(profile: .aeadAES128GCM), .consentLost, .iceFailed("a test"),
          .failed(.handshakeTimeout(.seconds(1))), .failed(.fingerprintMismatch(expected: "a", actual: "b")),
          .failed(.noCommonSRTPProfile), .failed(.closedByPeer),
        ] { transport.onEvent?(event) }
      }
      _ = await media.peerCount
      let failures = watch.state.withLock { $0.failures }
      #expect(failures == [.consent, .ice, .dtlsTimeout, .fingerprint, .dtlsHandshake])
    }
  }

  @Test func saysWhatCannotBe() async throws {
    try await run { media, watch in
      media.perform([
        .openRoom(room), .openPeer(peer, room: room, towards: loopback, isControlling: false),
        .setRemote(peer, remote("refused")),
        .addConsumer(
          ConsumerID(rawValue: 9), of: ProducerID(rawValue: 8), peer: peer,
          ConsumerParameters(
            mid: "0", ssrc: SSRC(1), retransmissionSSRC: nil, codecs: [], extensions: HeaderExtensionMap(), cname: "c")),
      ])
      _ = await media.peerCount
      let failed = watch.events.contains { if case .peerFailed(peer, _) = $0 { true } else { false } }
      let refused = watch.events.contains {
        if case .consumerRefused(ConsumerID(rawValue: 9)) = $0 { true } else { false }
      }
      #expect(failed)
      #expect(refused)
    }
  }

  @Test func ordersForTheUnknownDoNothing() async throws {
    try await run { media, watch in
      media.perform([
        .closePeer(peer), .restartICE(peer), .addCandidate(peer, "x"), .sendData([peer], .lossy, [1]),
        .openPeer(peer, room: room, towards: loopback, isControlling: false),
        .removeProducer(ProducerID(rawValue: 1), room: room), .closeRoom(room),
      ])
      #expect(await media.peerCount == 0)
      #expect(watch.events.isEmpty)
    }
  }
}
