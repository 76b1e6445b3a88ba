import HTTPTypes
import LiveKitProtocol
import Testing

@testable import API

/// Which token opens which WHIP or WHEP endpoint, and as whom.
@Suite struct EndpointAccessTests {
  private func token(_ identity: String, _ change: (inout VideoGrant) -> Void) -> AccessClaims {
    var grant = VideoGrant()
    change(&grant)
    return AccessClaims(issuer: "key", identity: identity, video: grant)
  }

  private func guest(_ identity: String = "ann", _ change: (inout VideoGrant) -> Void = { _ in }) -> AccessClaims {
    token(identity) {
      $0.roomJoin = true
      $0.room = "hall"
      change(&$0)
    }
  }

  private func claims(
    _ token: AccessClaims, room: String = "hall", identity: String? = nil,
    _ direction: EndpointAccess.Direction = .publish
  ) throws -> AccessClaims {
    try EndpointAccess.claims(token, room: room, identity: identity, direction, makeSuffix: { "1234" })
  }

  @Test func letsGuestsPublishAsThemselves() throws {
    let found = try claims(guest())
    #expect(found.identity == "ann" && found.kind == .ingress && found.video.room == "hall" && found.video.roomJoin)
    #expect(found.video.canPublish && !found.video.canSubscribe && !found.video.canPublishData)
    #expect(try claims(guest(), identity: "ann").identity == "ann")
    #expect(try claims(guest("")).identity == "whip-1234")
    #expect(try claims(guest(""), identity: "camera").identity == "camera")
    var agent = guest()
    agent.kind = .agent
    #expect(try claims(agent).kind == .agent)
  }

  @Test func givesEveryViewerAnIdentityOfItsOwn() throws {
    let found = try claims(guest(), .receive)
    #expect(found.identity == "ann-1234" && found.kind == .standard && !found.video.canPublish)
    #expect(try claims(guest(""), .receive).identity == "viewer-1234")
    #expect(try claims(guest(String(repeating: "x", count: 256)), .receive).identity.count == 205)
    // The URL's identity names whom it watches.
    #expect(try claims(guest(), identity: "ben", .receive).identity == "ann-1234")
  }

  @Test func letsOperatorsBeAnybodyAnywhere() throws {
    let anywhere = token("") { $0.ingressAdmin = true }
    #expect(try claims(anywhere, room: "attic", identity: "camera").identity == "camera")
    #expect(try claims(anywhere, room: "attic", identity: "camera").video.room == "attic")
    let somewhere = token("ops") {
      $0.ingressAdmin = true
      $0.room = "hall"
    }
    #expect(try claims(somewhere, identity: "camera").identity == "camera")
    #expect(try claims(somewhere).identity == "ops")
    #expect(throws: EndpointProblem.self) { try claims(somewhere, room: "attic") }
    #expect(try claims(guest("ann") { $0.roomAdmin = true }, identity: "camera").identity == "camera")
  }

  @Test func refusesWhatTheTokenDoesNotGrant() {
    let cases: [(AccessClaims, String, String?, EndpointAccess.Direction)] = [
      (guest(), "attic", nil, .publish), (guest("ann") { $0.roomJoin = false }, "hall", nil, .publish),
      (guest("ann") { $0.canPublish = false }, "hall", nil, .publish),
      (guest("ann") { $0.canSubscribe = false }, "hall", nil, .receive), (guest(), "hall", "ben", .publish),
      (token("ann") { $0.roomAdmin = true }, "hall", nil, .publish),
      (token("ann") { $0.roomCreate = true }, "hall", nil, .receive),
    ]
    for (token, room, identity, direction) in cases {
      #expect(throws: EndpointProblem.self) {
        try EndpointAccess.claims(token, room: room, identity: identity, direction)
      }
    }
  }

  @Test(
    arguments: [
      (nil, nil), ("*", "*"), ("\"abc\"", "abc"), (" \"abc\" , \"def\"", "abc"), ("abc", "abc"),
      ("W/\"abc\"", "W/\"abc\""),
      ("", nil),
    ] as [(String?, String?)])
  func readsIfMatch(field: String?, tag: String?) {
    #expect(EndpointHeaders.entityTag(field) == tag)
  }

  @Test func linksICEServersWithTheirCredentials() {
    var turn = Livekit_ICEServer()
    turn.urls = ["turn:t.example?transport=udp", "turns:t.example"]
    turn.username = "a\"b"
    turn.credential = "c\\d"
    var stun = Livekit_ICEServer()
    stun.urls = ["stun:s.example"]
    var headers: HTTPFields = [:]
    EndpointHeaders.add([stun, turn], to: &headers)
    let links = headers[values: HTTPField.Name("Link")!]
    #expect(links.count == 3 && links[0] == "<stun:s.example>; rel=\"ice-server\"")
    #expect(
      links[1]
        == "<turn:t.example?transport=udp>; rel=\"ice-server\"; username=\"a\\\"b\"; credential=\"c\\\\d\"; "
        + "credential-type=\"password\"")
  }
}
