import Core
import Foundation
import LiveKitProtocol
import SDP
import SFU
import Synchronization
import Testing

@testable import Rooms

/// WHIP and WHEP sessions as the control plane sees them.
@Suite struct EndpointTests {
  private func offer(_ name: String) throws -> [UInt8] {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: directory.appendingPathComponent("Vectors/sdp/\(name).sdp")))
  }

  private final class Answers: Sendable {
    let results = Mutex<[Result<EndpointAnswer, EndpointRefusal>]>([])
    let patches = Mutex<[Result<EndpointPatch, EndpointRefusal>]>([])
  }

  private func post(
    _ rooms: RoomHarness, _ role: EndpointRole, _ identity: String, _ offer: [UInt8], owner: [UInt8] = [1],
    _ configure: (inout AccessClaims) -> Void = { _ in }
  ) throws -> EndpointAnswer {
    var grant = VideoGrant()
    grant.roomJoin = true
    grant.room = "hall"
    var claims = AccessClaims(issuer: "key", identity: identity, video: grant)
    if role == .publisher { claims.kind = .ingress }
    configure(&claims)
    let answers = Answers()
    rooms.core.endpoints.open(
      EndpointRequest(role: role, claims: claims, offer: offer, remote: IPAddress(v4: 0x7F00_0001), owner: owner)
    ) { result in answers.results.withLock { $0.append(result) } }
    rooms.settle()
    let results = answers.results.withLock { $0 }
    #expect(results.count == 1)
    return try #require(results.first).get()
  }

  private func patch(
    _ rooms: RoomHarness, _ id: String, _ body: String, ifMatch: String?, owner: [UInt8] = [1]
  ) throws -> EndpointPatch {
    let answers = Answers()
    rooms.core.endpoints.patch(id, owner: owner, ifMatch: ifMatch, body: Array(body.utf8)) { result in
      answers.patches.withLock { $0.append(result) }
    }
    rooms.settle()
    return try #require(answers.patches.withLock { $0 }.first).get()
  }

  private func tracks(_ rooms: RoomHarness, _ identity: String) throws -> [PublishedTrack] {
    try #require(rooms.room().participant(identity)).publishing.tracks
  }

  private func consumers(_ rooms: RoomHarness) -> [ConsumerParameters] {
    rooms.media[0].commands.compactMap {
      if case .addConsumer(_, _, _, let parameters) = $0 { parameters } else { nil }
    }
  }

  // MARK: WHIP

  @Test func publishesWhatAnEncoderOffers() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let session = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    let answer = try SessionDescription(parsing: session.answer)
    #expect(answer.media.map { answer.direction(of: $0) } == [.recvonly, .recvonly])
    #expect(answer.media[0].candidates.count == 1 && answer.media[0].endOfCandidates)
    #expect(ann.info("encoder")?.kind == .ingress)
    let published = try tracks(rooms, "encoder")
    #expect(published.map(\.info.source) == [.microphone, .camera])
    #expect(published.map(\.info.mimeType) == ["audio/opus", "video/VP8"])
    for track in published { try rooms.startMedia(track.sid) }
    #expect(ann.info("encoder")?.tracks.count == 2 && ann.info("encoder")?.state == .active)
    rooms.advance(.milliseconds(400))
    #expect(ann.receivedTracks == Set(published.map(\.sid)))
  }

  @Test func keepsASessionThatSaysNothing() throws {
    let rooms = RoomHarness()
    _ = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    rooms.advance(.seconds(120))
    #expect(rooms.core.endpoints.count == 1)
    #expect(try rooms.room().participant("encoder")?.isPresent == true)
    #expect(rooms.mintedTokens.isEmpty)
  }

  @Test func endsASessionThatNeverConnects() throws {
    let rooms = RoomHarness()
    rooms.media[0].connects = false
    _ = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    rooms.advance(.seconds(61))
    #expect(rooms.core.endpoints.count == 0)
    #expect(rooms.core.participantCount == 0)
  }

  @Test func replacesAnEncoderThatComesBack() throws {
    let rooms = RoomHarness()
    let first = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    let second = try post(rooms, .publisher, "encoder", offer("aiortc-1.16-whip-offer"))
    #expect(first.id != second.id && rooms.core.endpoints.count == 1 && rooms.core.participantCount == 1)
    #expect(throws: EndpointRefusal.self) { try rooms.core.endpoints.close(first.id, owner: [1]) }
  }

  @Test func takesSimulcastAndTheScreenBesideTheCamera() throws {
    let rooms = RoomHarness()
    _ = try post(rooms, .publisher, "page", offer("chromium-156-publish-offer"))
    let published = try tracks(rooms, "page")
    #expect(published.map(\.info.simulcast) == [false, true])
    #expect(published[1].parameters?.encodings.map(\.rid) == ["q", "h", "f"])
    #expect(published[0].parameters?.codecs.map(\.codec) == [.opus])
  }

  @Test func refusesOffersThatCannotBeServed() throws {
    let rooms = RoomHarness()
    func reason(_ role: EndpointRole, _ body: [UInt8], _ configure: (inout AccessClaims) -> Void = { _ in })
      -> EndpointRefusal.Reason?
    {
      do {
        _ = try post(rooms, role, "x", body, configure)
        return nil
      } catch { return (error as? EndpointRefusal)?.reason }
    }
    let good = try offer("pion-3.1-whip-offer")
    let text = String(decoding: good, as: UTF8.self)
    #expect(reason(.publisher, Array("nonsense".utf8)) == .malformedOffer)
    #expect(reason(.publisher, Array(text.replacing("a=ice-pwd", with: "a=x").utf8)) == .malformedOffer)
    #expect(reason(.publisher, Array(text.replacing("a=sendonly", with: "a=recvonly").utf8)) == .unacceptableOffer)
    #expect(reason(.publisher, Array(text.replacing("RTP/SAVPF", with: "RTP/AVP").utf8)) == .unacceptableOffer)
    #expect(reason(.viewer(of: nil, excluding: nil), good) == .unacceptableOffer)
    #expect(reason(.publisher, good) { $0.video.canPublishSources = [.microphone] } == .forbidden)
    #expect(reason(.publisher, good) { $0.identity = String(repeating: "x", count: 300) } == .refused)
    #expect(rooms.core.endpoints.count == 0 && rooms.core.participantCount == 0)
    let closed = RoomHarness { $0.autoCreate = false }
    #expect(throws: EndpointRefusal.self) { try post(closed, .publisher, "x", good) }
  }

  @Test func deletesForItsOwnerOnly() throws {
    let rooms = RoomHarness()
    let session = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    #expect(throws: EndpointRefusal.self) { try rooms.core.endpoints.close(session.id, owner: [2]) }
    try rooms.core.endpoints.close(session.id, owner: [1])
    rooms.settle()
    #expect(rooms.core.endpoints.count == 0 && rooms.core.participantCount == 0)
    #expect(throws: EndpointRefusal.self) { try rooms.core.endpoints.close(session.id, owner: [1]) }
  }

  @Test func endsTheSessionWithTheParticipant() throws {
    let rooms = RoomHarness()
    _ = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    try rooms.core.removeParticipant("hall", "encoder")
    #expect(rooms.core.endpoints.count == 0)
  }

  // MARK: PATCH

  @Test func tricklesUnderTheRightEntityTagOnly() throws {
    let rooms = RoomHarness()
    let session = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    let body =
      "a=ice-ufrag:JPhjRDVNwWpiXZLr\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
      + "a=candidate:9 1 udp 1 192.0.2.7 999 typ host\r\n"
    func reason(_ ifMatch: String?, _ body: String, owner: [UInt8] = [1]) -> EndpointRefusal.Reason? {
      do {
        _ = try patch(rooms, session.id, body, ifMatch: ifMatch, owner: owner)
        return nil
      } catch { return (error as? EndpointRefusal)?.reason }
    }
    #expect(reason(nil, body) == .preconditionMissing)
    #expect(reason("other", body) == .preconditionFailed)
    #expect(reason(session.entityTag, "v") == .malformedFragment)
    #expect(reason(session.entityTag, body, owner: [2]) == .sessionNotFound)
    #expect(reason(session.entityTag, body) == nil)
    let candidates = rooms.media[0].commands.compactMap {
      if case .addCandidate(_, let line) = $0 { line } else { nil }
    }
    #expect(candidates == ["candidate:9 1 udp 1 192.0.2.7 999 typ host"])
  }

  @Test func restartsICEWithANewEntityTag() throws {
    let rooms = RoomHarness()
    let session = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    let before = try #require(SDPFragment(SessionDescription(parsing: session.answer)))
    let body = "a=ice-ufrag:freshfrag\r\na=ice-pwd:0123456789012345678901234\r\n"
    guard case .restarted(let text, let tag) = try patch(rooms, session.id, body, ifMatch: "*") else {
      Issue.record("no restart")
      return
    }
    let after = try SDPFragment(parsing: Array(text.utf8))
    #expect(tag != session.entityTag && after.ufrag != before.ufrag && after.pwd != nil && !after.candidates.isEmpty)
    // The old ICE session is over, and its credentials with it.
    #expect(throws: EndpointRefusal.self) { try patch(rooms, session.id, body, ifMatch: session.entityTag) }
    #expect(try tracks(rooms, "encoder").count == 2)
    #expect(throws: EndpointRefusal.self) {
      try patch(rooms, session.id, "a=ice-ufrag:another\r\n", ifMatch: tag)
    }
    #expect(throws: EndpointRefusal.self) {
      try patch(rooms, session.id, "a=ice-ufrag:x\r\na=ice-pwd:y\r\n", ifMatch: tag)
    }
    #expect(rooms.core.endpoints.count == 1)
  }

  // MARK: WHEP

  @Test func givesAViewerTheTracksThatAreThere() throws {
    let rooms = RoomHarness()
    let ben = try rooms.join("ben")
    let mic = try rooms.publish(ben, cid: "mic")
    let cam = try rooms.publish(ben, cid: "cam", type: .video)
    let session = try post(rooms, .viewer(of: nil, excluding: nil), "eve", offer("aiortc-1.16-whep-offer"))
    let answer = try SessionDescription(parsing: session.answer)
    #expect(answer.media[0].attribute("msid")?.hasSuffix(" " + mic) == true)
    #expect(answer.media[1].attribute("msid")?.hasSuffix(" " + cam) == true)
    #expect(answer.media[1].ssrcs.count == 2 && answer.media[2].port == 0)
    let sent = consumers(rooms)
    #expect(Set(sent.map(\.ssrc)) == [answer.media[0].ssrcs[0], answer.media[1].ssrcs[0]])
    #expect(sent.map(\.mid).sorted() == ["0", "1"])
    rooms.advance(.seconds(30))
    #expect(rooms.core.endpoints.count == 1)
  }

  @Test func givesLateTracksTheSectionsThatAreFree() throws {
    let rooms = RoomHarness()
    let session = try post(rooms, .viewer(of: nil, excluding: nil), "eve", offer("aiortc-1.16-whep-offer"))
    let answer = try SessionDescription(parsing: session.answer)
    #expect(answer.media.prefix(2).allSatisfy { answer.direction(of: $0) == .sendonly && !$0.ssrcs.isEmpty })
    #expect(consumers(rooms).isEmpty)
    let ben = try rooms.join("ben")
    try rooms.publish(ben, cid: "cam", type: .video)
    let sent = consumers(rooms)
    #expect(sent.map(\.ssrc) == [answer.media[1].ssrcs[0]] && sent.map(\.mid) == ["1"])
    // There was one section for video alone.
    try rooms.publish(ben, cid: "screen", type: .video)
    #expect(consumers(rooms).count == 1)
    try rooms.publish(ben, cid: "mic")
    #expect(consumers(rooms).count == 2)
  }

  @Test func leavesOutWhomTheViewerDoesNotWant() throws {
    let rooms = RoomHarness()
    for name in ["ben", "cat"] { try rooms.publish(try rooms.join(name), cid: "mic") }
    let body = try offer("chromium-156-recvonly-offer")
    func publishers(_ role: EndpointRole, _ identity: String) throws -> Set<String> {
      _ = try post(rooms, role, identity, body)
      let viewer = try #require(rooms.room().participant(identity))
      return Set(viewer.subscribing.subscriptions.values.map(\.track.publisher.identity))
    }
    #expect(try publishers(.viewer(of: nil, excluding: nil), "a") == ["ben", "cat"])
    #expect(try publishers(.viewer(of: "cat", excluding: nil), "b") == ["cat"])
    #expect(try publishers(.viewer(of: nil, excluding: "cat"), "c") == ["ben"])
    #expect(try publishers(.viewer(of: "ben", excluding: "ben"), "d") == [])
  }

  @Test func answersOneCodecWhereTheTrackHasOne() throws {
    let rooms = RoomHarness()
    _ = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    for track in try tracks(rooms, "encoder") { try rooms.startMedia(track.sid) }
    let session = try post(rooms, .viewer(of: nil, excluding: nil), "eve", offer("chromium-156-recvonly-offer"))
    let answer = try SessionDescription(parsing: session.answer, limits: .rooms)
    let video = try #require(answer.media.first { $0.kind == "video" })
    #expect(video.formats == ["96", "97"])
    #expect(consumers(rooms).allSatisfy { $0.codecs.count == 1 })
  }

  @Test func endsAllSessionsWithTheRoom() throws {
    let rooms = RoomHarness()
    _ = try post(rooms, .publisher, "encoder", offer("pion-3.1-whip-offer"))
    _ = try post(rooms, .viewer(of: nil, excluding: nil), "eve", offer("aiortc-1.16-whep-offer"))
    #expect(rooms.core.endpoints.count == 2)
    try rooms.core.deleteRoom("hall")
    #expect(rooms.core.endpoints.count == 0)
  }

  @Test func restartsAViewersICE() throws {
    let rooms = RoomHarness()
    try rooms.publish(try rooms.join("ben"), cid: "mic")
    let session = try post(rooms, .viewer(of: nil, excluding: nil), "eve", offer("aiortc-1.16-whep-offer"))
    let body = "a=ice-ufrag:freshfrag\r\na=ice-pwd:0123456789012345678901234\r\n"
    guard case .restarted(_, let tag) = try patch(rooms, session.id, body, ifMatch: "*") else {
      Issue.record("no restart")
      return
    }
    #expect(tag != session.entityTag && consumers(rooms).count == 1)
  }
}
