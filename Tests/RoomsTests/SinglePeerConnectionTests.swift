import Core
import Foundation
import LiveKitProtocol
import SDP
import Testing

@testable import Rooms

/// `/rtc/v1`: one connection, which the client offers.
@Suite struct SinglePeerConnectionTests {
  private func nativeOffer() throws -> Livekit_SessionDescription {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let data = try Data(contentsOf: directory.appendingPathComponent("Vectors/sdp/livekit-native-1.2-offer.sdp"))
    var offer = Livekit_SessionDescription()
    offer.type = "offer"
    offer.id = 1
    offer.sdp = String(decoding: data, as: UTF8.self)
    return offer
  }

  @Test func answersTheOfferOfTheJoinAfterTheJoin() throws {
    let rooms = RoomHarness()
    let offer = try nativeOffer()
    let ann = try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    rooms.advance(.milliseconds(50))
    #expect(ann.join?.subscriberPrimary == false)
    #expect(ann.serverAnswers.map(\.id) == [1])
    #expect(ann.serverOffers.isEmpty)
    #expect(try rooms.room().participant("ann")?.state == .active)
  }

  @Test func putsTracksIntoFreeSectionsAndNamesThem() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    let mic = try rooms.publish(ben, cid: "mic")
    let cam = try rooms.publish(ben, cid: "cam", type: .video)
    let offer = try nativeOffer()
    let ann = try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    let answer = try #require(ann.serverAnswers.first)
    #expect(Set(answer.midToTrackID.values) == [mic, cam])
    #expect(answer.midToTrackID["0"] == mic)
    #expect(answer.midToTrackID["3"] == cam)
    #expect(ann.receivedTracks == [mic, cam])
    let consumers = rooms.media[0].commands.filter { if case .addConsumer = $0 { true } else { false } }
    #expect(consumers.count == 2)
  }

  @Test func asksForAnOfferWhenATrackComesLater() throws {
    let rooms = RoomHarness()
    let offer = try nativeOffer()
    let ann = try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    let ben = try rooms.join("ben")
    rooms.advance(.milliseconds(300))
    let mic = try rooms.publish(ben, cid: "mic")
    // There is a free section: an offer is all that is needed.
    #expect(ann.requirements.map { [$0.numAudios, $0.numVideos] } == [[0, 0]])
    var again = offer
    again.id = 2
    rooms.send(.offer(again), from: ann)
    #expect(ann.serverAnswers.last?.id == 2)
    #expect(ann.serverAnswers.last?.midToTrackID.values.contains(mic) == true)
    #expect(ann.requirements.count == 1)
  }

  @Test func asksForSectionsThatAreMissing() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    for i in 0..<5 { try rooms.publish(ben, cid: "mic\(i)") }
    let offer = try nativeOffer()
    let ann = try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    rooms.advance(.milliseconds(300))
    #expect(ann.receivedTracks.count == 3)
    #expect(ann.requirements.map { [$0.numAudios, $0.numVideos] } == [[2, 0]])
  }

  @Test func doesNotAskForeverAClientThatAddsNothing() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    for i in 0..<5 { try rooms.publish(ben, cid: "mic\(i)") }
    var offer = try nativeOffer()
    let ann = try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    for _ in 0..<20 {
      rooms.advance(.milliseconds(200))
      offer.id += 1
      rooms.send(.offer(offer), from: ann)
    }
    #expect(ann.requirements.count <= 5)
    #expect(ann.leaves.isEmpty)
  }

  @Test func sendsDataOverTheOnlyConnection() throws {
    let rooms = RoomHarness()
    let offer = try nativeOffer()
    try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    rooms.advance(.milliseconds(50))
    let opened = rooms.media[0].commands.compactMap { command -> [DataChannelLabel]? in
      if case .openDataChannels(_, let channels, _) = command { channels } else { nil }
    }
    // The client makes the channels.
    #expect(opened == [[]])
  }

  @Test func goesOnInOneStreamWhenTheSecondOfferSaysItDifferently() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    try rooms.publish(ben, cid: "mic")
    var offer = try nativeOffer()
    try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    let ann = try #require(rooms.clients.last)
    // Clients write their own opus line after our answer.
    offer.id = 2
    offer.sdp = offer.sdp.replacingOccurrences(of: "useinbandfec=1", with: "stereo=1;useinbandfec=1")
    rooms.send(.offer(offer), from: ann)
    let commands = rooms.media[0].commands
    let added = commands.count { if case .addConsumer = $0 { true } else { false } }
    let removed = commands.count { if case .removeConsumer = $0 { true } else { false } }
    let changed = commands.count { if case .renegotiateConsumer = $0 { true } else { false } }
    #expect(added == 1)
    #expect(removed == 0)
    #expect(changed == 1)
  }

  @Test func forwardsNothingBeforeTheConnectionWorks() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    try rooms.publish(ben, cid: "mic")
    rooms.media[0].connects = false
    let offer = try nativeOffer()
    try rooms.join("ann") { request in
      request.isSinglePeerConnection = true
      request.publisherOffer = offer
    }
    func added() -> Int { rooms.media[0].commands.count { if case .addConsumer = $0 { true } else { false } } }
    #expect(added() == 0)
    let peer = try #require(try rooms.room().participant("ann")?.publisher)
    rooms.core.receive(.peerConnected(peer.id))
    rooms.settle()
    #expect(added() == 1)
  }
}
