import Core
import Foundation
import LiveKitProtocol
import SDP
import SFU
import Testing

@testable import Rooms

/// Comings and goings in any order, with what media workers, clocks and servers say in between: nothing of one who has
/// left is spoken to, and nothing of it stays.
@Suite struct ChurnTests {
  /// One random hour of a few guests.
  private struct Hour {
    let rooms = RoomHarness { $0.autoCreate = true }
    var random: SeededRandom
    let offer: Livekit_SessionDescription
    /// Every participant and room that was ever seen, by SID.
    private(set) var seen: [String: Weak] = [:]
    /// SIDs of all participants: what has gone leaves its identifier in `seen` to others.
    private(set) var participants: Set<String> = []

    struct Weak { weak var object: AnyObject? }

    init(seed: UInt64) throws {
      random = SeededRandom(seed: seed)
      let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      let data = try Data(contentsOf: directory.appendingPathComponent("Vectors/sdp/livekit-native-1.2-offer.sdp"))
      offer = make(Livekit_SessionDescription()) {
        $0.type = "offer"
        $0.id = 1
        $0.sdp = String(decoding: data, as: UTF8.self)
      }
    }

    private var hall: [Participant] { rooms.core.allRooms.flatMap(\.present) }

    mutating func note() {
      for room in rooms.core.allRooms {
        seen[room.sid] = Weak(object: room)
        for participant in room.present {
          seen[participant.sid] = Weak(object: participant)
          participants.insert(participant.sid)
        }
      }
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element? { elements.randomElement(using: &random) }

    /// Peers and consumers of any time: a worker's events arrive late.
    private var peers: [PeerID] {
      rooms.media[0].commands.compactMap { if case .openPeer(let id, _, _, _) = $0 { id } else { nil } }
    }
    private var consumers: [ConsumerID] {
      rooms.media[0].commands.compactMap { if case .addConsumer(let id, _, _, _) = $0 { id } else { nil } }
    }
    private var producers: [ProducerID] {
      rooms.media[0].commands.compactMap { if case .addProducer(let id, _, _) = $0 { id } else { nil } }
    }

    mutating func step() throws {
      defer { note() }
      let client = pick(rooms.clients)
      switch Int.random(in: 0..<20, using: &random) {
      case 0, 1, 2, 3: try arrive()
      case 4:
        guard let client else { return }
        rooms.send(.leave(Livekit_LeaveRequest()), from: client)
      case 5:
        guard let client else { return }
        rooms.core.disconnected(client.session)
      case 6:
        // The goodbye of DTLS, the one over the socket and the loss of the socket, with nothing handled between them.
        guard let client, let peer = pick(peers) else { return }
        rooms.core.receive(.peerClosed(peer))
        client.send(.leave(Livekit_LeaveRequest()), rooms.core)
        rooms.core.disconnected(client.session)
      case 7:
        guard let client, rooms.core.room("hall")?.participant(client.identity) != nil else { return }
        _ = try? rooms.resume(client)
      case 8, 9: event()
      case 10:
        // Several of one turn.
        for _ in 0..<8 { event(settles: false) }
      case 11:
        guard let participant = pick(hall) else { return }
        try rooms.core.removeParticipant(participant.room.name, participant.identity)
      case 12:
        guard Bool.random(using: &random) else { return }
        try? rooms.core.deleteRoom("hall")
      case 13:
        guard let client, client.isSinglePeerConnection else { return }
        rooms.send(.offer(make(offer) { $0.id = .random(in: 1...5, using: &random) }), from: client)
      case 14:
        guard let client else { return }
        rooms.send(.offer(make(offer) { $0.sdp = "v=0\r\nnonsense" }), from: client)
      case 15:
        guard let participant = pick(hall) else { return }
        participant.change(
          permission: make(participant.permission) {
            $0.canSubscribe = .random(using: &random)
            $0.hidden = .random(using: &random)
          })
      case 16: rooms.advance(.seconds(Int64.random(in: 1...30, using: &random)))
      default: rooms.advance(.milliseconds(Int64.random(in: 10...400, using: &random)))
      }
      rooms.settle()
    }

    private mutating func arrive() throws {
      let identity = "guest\(Int.random(in: 0..<6, using: &random))"
      let isSingle = Int.random(in: 0..<3, using: &random) > 0
      let offers = Bool.random(using: &random)
      let offer = offer
      guard
        let client = try? rooms.join(
          identity,
          configure(isSingle: isSingle, offer: isSingle && offers ? offer : nil))
      else { return }
      note()
      guard !offers else { return }
      _ = try? rooms.publish(client, cid: "mic")
      if Bool.random(using: &random) { _ = try? rooms.publish(client, cid: "cam", type: .video) }
    }

    private func configure(isSingle: Bool, offer: Livekit_SessionDescription?) -> (inout JoinRequest) -> Void {
      { request in
        request.isSinglePeerConnection = isSingle
        request.publisherOffer = offer
      }
    }

    /// Something that a worker says, perhaps about somebody who is gone.
    private mutating func event(settles: Bool = true) {
      guard let peer = pick(peers) else { return }
      let media = rooms.core.room("hall")?.mediaID ?? MediaRoomID(rawValue: 1)
      let consumer = pick(consumers) ?? ConsumerID(rawValue: 1)
      let producer = pick(producers) ?? ProducerID(rawValue: 1)
      let events: [RoomMediaEvent] = [
        .peerFailed(peer, "a test"), .peerClosed(peer), .peerDisconnected(peer), .peerReconnected(peer),
        .peerConnected(peer), .receiverStuck(peer), .consumerRefused(consumer),
        .peerRestarted(peer, FakeMedia.parameters(peer, 9)), .peerOpened(peer, FakeMedia.parameters(peer, 1)),
        .data(peer, .reliable, [0x12, 0x00]),
        .router(media, .producerStarted(producer)), .router(media, .wantedLayers(producer, maximumSpatialLayer: 1)),
        .router(media, .quality(peer, score: 2)),
        .router(media, .consumerState(consumer, isPausedForBandwidth: .random(using: &random))),
        .router(media, .speakers([SpeakerLevel(producer: producer, level: 0.5, isActive: .random(using: &random))])),
      ]
      if let event = pick(events) { rooms.core.receive(event) }
      if settles { rooms.settle() }
    }
  }

  @Test(arguments: 1...24 as ClosedRange<UInt64>) func leavesNothingBehind(seed: UInt64) throws {
    var hour = try Hour(seed: seed)
    for _ in 0..<150 { try hour.step() }
    #expect(hour.participants.count > 10)
    hour.rooms.core.closeAll()
    hour.rooms.settle()
    let rooms = hour.rooms
    #expect(rooms.core.participantCount == 0)
    #expect(rooms.context.peers.values.allSatisfy { $0.connection == nil })
    #expect(rooms.context.producers.isEmpty)
    #expect(rooms.context.consumers.isEmpty)
    #expect(hour.seen.values.count { $0.object != nil } == 0, "rooms or participants are kept by somebody")
  }
}
