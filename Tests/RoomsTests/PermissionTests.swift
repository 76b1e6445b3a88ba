import Core
import LiveKitProtocol
import Testing

@testable import Rooms

@Suite struct PermissionTests {
  private func update(
    _ rooms: RoomHarness, _ identity: String, _ change: (inout Livekit_ParticipantPermission) -> Void
  ) throws {
    let old = try #require(try rooms.room().participant(identity)).permission
    var request = Livekit_UpdateParticipantRequest()
    request.room = "hall"
    request.identity = identity
    request.permission = make(old, change)
    _ = try rooms.core.updateParticipant(request)
    rooms.advance(.milliseconds(300))
  }

  @Test func onesWhoBecomeHiddenDisappearAndReturn() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ben, cid: "mic")
    #expect(ann.receivedTracks == [sid])
    try update(rooms, "ben") { $0.hidden = true }
    #expect(ann.info("ben")?.state == .disconnected)
    #expect(ann.receivedTracks.isEmpty)
    #expect(ben.info("ben")?.permission.hidden == true)
    try update(rooms, "ben") { $0.hidden = false }
    #expect(ann.info("ben")?.state == .active)
    #expect(ann.receivedTracks == [sid])
    let versions = ann.updates.filter { $0.identity == "ben" }.map(\.version)
    #expect(zip(versions, versions.dropFirst()).allSatisfy { $0 < $1 })
  }

  @Test func subscriptionsFollowThePermission() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann")
    let ben = try rooms.join("ben")
    let sid = try rooms.publish(ben, cid: "mic")
    try update(rooms, "ann") { $0.canSubscribe = false }
    #expect(ann.receivedTracks.isEmpty)
    try update(rooms, "ann") { $0.canSubscribe = true }
    #expect(ann.receivedTracks == [sid])
    // The next token says the same.
    #expect(rooms.mintedTokens.last?.video.canSubscribe == true)
  }

  @Test func onesWhoMayNotSubscribeHaveAPublisherAsPrimary() throws {
    let rooms = RoomHarness()
    let ann = try rooms.join("ann") { $0.claims.video.canSubscribe = false }
    #expect(ann.join?.subscriberPrimary == false)
    rooms.advance(.milliseconds(100))
    #expect(try rooms.room().participant("ann")?.state == .joined)
    try rooms.publish(ann, cid: "mic")
    #expect(try rooms.room().participant("ann")?.state == .active)
  }

  @Test func knowsWhatClientsCannotDo() {
    func disabled(_ browser: String, _ os: String) -> [String] {
      let client = make(Livekit_ClientInfo()) {
        $0.browser = browser
        $0.os = os
      }
      guard let codecs = ClientQuirks.configuration(for: client)?.disabledCodecs else { return [] }
      return codecs.codecs.map(\.mime) + codecs.publish.map { "publish " + $0.mime }
    }
    #expect(disabled("Safari", "macOS") == ["video/AV1"])
    #expect(disabled("Firefox", "Linux") == ["publish video/H264"])
    #expect(disabled("Firefox", "Windows").isEmpty)
    #expect(disabled("Chrome", "Linux").isEmpty)
  }
}
