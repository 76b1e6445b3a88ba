import Core
import Foundation
import HTTPTypes
import Store
import Synchronization
import Testing

@testable import API

@Suite struct RESTCallTests {
  let rest: RESTHarness
  init() throws { rest = try RESTHarness() }

  func ids(_ path: String) async throws -> [String] {
    try await rest.ask(.get, path).list("calls").compactMap { $0["id"] as? String }
  }

  @Test func showsEveryFieldOfACall() async throws {
    try await rest.store.save(.sample("x"))
    let answer = try await rest.ask(.get, "/v1/calls/x")
    #expect(answer.status == 200)
    #expect(answer.headers[.contentType] == "application/json; charset=utf-8")
    #expect(answer.headers[.cacheControl] == "no-store")
    let call = answer.json
    #expect(call["startedAt"] as? String == "2025-11-20T20:53:20.000Z")
    #expect(call["answeredAt"] as? String == "2025-11-20T20:53:23.000Z")
    #expect(call["duration"] as? Double == 6)
    #expect(call["outcome"] as? String == "answered")
    #expect(call["endedBy"] as? String == "caller")
    let legs = answer.list("legs")
    #expect(legs.map { $0["party"] as? String } == ["1001", "carrier"])
    #expect((legs.first?["media"] as? [String: Any])?["roundTrip"] as? Double == 20)
    #expect(try await rest.ask(.get, "/v1/calls/y").status == 404)
  }

  @Test func pagesThroughAllCalls() async throws {
    for i in 0..<12 { try await rest.store.save(.sample("c\(i)", startedAt: 1_000_000 + Int64(i / 3))) }
    var seen: [String] = []
    var path = "/v1/calls?limit=5"
    while true {
      let answer = try await rest.ask(.get, path)
      seen += answer.list("calls").compactMap { $0["id"] as? String }
      guard let next = answer.json["next"] as? String else { break }
      path = "/v1/calls?limit=5&before=\(next)"
    }
    #expect(seen.count == 12)
    #expect(Set(seen).count == 12)
  }

  @Test func filters() async throws {
    try await rest.store.save(.sample("a", startedAt: 1_000_000, from: "1001", to: "+15550100"))
    try await rest.store.save(.sample("b", startedAt: 2_000_000, from: "1002", to: "600"))
    #expect(try await ids("/v1/calls") == ["b", "a"])
    #expect(try await ids("/v1/calls?from=1001") == ["a"])
    // A plus sign works as it is and percent-encoded.
    #expect(try await ids("/v1/calls?to=%2B15550100") == ["a"])
    #expect(try await ids("/v1/calls?to=+15550100") == ["a"])
    #expect(try await ids("/v1/calls?user=1002") == ["b"])
    #expect(try await ids("/v1/calls?outcome=busy") == [])
    #expect(try await ids("/v1/calls?active=false") == ["b", "a"])
    #expect(try await ids("/v1/calls?since=1970-01-01T00:30:00Z") == ["b"])
    #expect(try await ids("/v1/calls?until=1970-01-01T00:30:00Z") == ["a"])
    #expect(try await ids("/v1/calls?since=1970-01-01&outcome=answered&from=1002&limit=1") == ["b"])
  }

  @Test(arguments: [
    "limit=0", "limit=501", "limit=x", "before=x", "since=yesterday", "outcome=fine", "active=maybe", "form=1001",
  ])
  func refusesParameter(_ query: String) async throws {
    let answer = try await rest.ask(.get, "/v1/calls?\(query)")
    #expect(answer.status == 400)
    #expect(answer.errorCode == "invalid")
    #expect(answer.message.contains(String(query.prefix { $0 != "=" })))
  }

  @Test func runningCallsAreShownAsTheyStand() async throws {
    var live = CallRecord.sample("live")
    live.endedAt = nil
    live.outcome = .inProgress
    try await rest.store.save(live)
    live.legs[0].media.packetsSent = 77
    let running = live
    rest.control.state.withLock { $0.calls = [running] }
    #expect(try await ids("/v1/calls?active=true") == ["live"])
    #expect(try await ids("/v1/calls?active=true&from=1002") == [])
    let call = try await rest.ask(.get, "/v1/calls/live")
    #expect((call.list("legs").first?["media"] as? [String: Any])?["packetsSent"] as? Int == 77)
    #expect(call.json["duration"] as? Double ?? 0 > 1000)
  }

  @Test func hangsUpRunningCallsOnly() async throws {
    rest.control.state.withLock { $0.calls = [.sample("live")] }
    try await rest.store.save(.sample("over"))
    #expect(try await rest.ask(.delete, "/v1/calls/live").status == 204)
    #expect(rest.control.state.withLock { $0.hungUp } == ["live"])
    let over = try await rest.ask(.delete, "/v1/calls/over")
    #expect(over.status == 409)
    #expect(over.errorCode == "ended")
    #expect(try await rest.ask(.delete, "/v1/calls/none").status == 404)
  }

  @Test func listsRegistrations() async throws {
    rest.control.state.withLock {
      $0.registrations = [
        RegistrationInfo(
          user: "1001", contact: "sip:a@b.invalid;transport=ws", transport: "WSS", address: "192.0.2.1:1",
          userAgent: "x", expiresIn: 60)
      ]
    }
    let list = try await rest.ask(.get, "/v1/registrations").list("registrations")
    #expect(list.count == 1)
    #expect(list.first?["expiresIn"] as? Int == 60)
  }

  @Test func theHistoryIsTheUsersOwn() async throws {
    try await rest.addUser("1001")
    try await rest.addUser("1002")
    try await rest.store.save(.sample("out", startedAt: 1_000_000))
    var missed = CallRecord.sample("missed", startedAt: 2_000_000, from: "+15550188", to: "1001")
    missed.outcome = .cancelled
    missed.answeredAt = nil
    missed.legs[0].kind = .trunk
    missed.legs[1].kind = .user
    missed.legs[1].party = "1001"
    missed.legs[1].answeredAt = nil
    try await rest.store.save(missed)
    // Rung on both phones, answered on the other one.
    var elsewhere = missed
    elsewhere.id = "elsewhere"
    elsewhere.startedAt = WallTime(milliseconds: 3_000_000)
    elsewhere.outcome = .answered
    elsewhere.answeredAt = WallTime(milliseconds: 3_001_000)
    var other = elsewhere.legs[1]
    other.index = 2
    other.party = "1002"
    other.answeredAt = elsewhere.answeredAt
    elsewhere.legs.append(other)
    try await rest.store.save(elsewhere)

    let mine = try await rest.ask(.get, "/v1/me/calls", login: .basic("1001", "1001-password"))
    let calls = mine.list("calls")
    #expect(calls.map { $0["id"] as? String } == ["elsewhere", "missed", "out"])
    #expect(calls.map { $0["outcome"] as? String } == ["answered-elsewhere", "missed", "answered"])
    #expect(calls.map { $0["direction"] as? String } == ["incoming", "incoming", "outgoing"])
    #expect(calls.map { $0["party"] as? String } == ["+15550188", "+15550188", "+15550199"])
    #expect(calls[0]["duration"] == nil)
    #expect(calls[2]["duration"] as? Double == 6)
    // No addresses, no Call-IDs, nobody else's calls.
    #expect(!mine.text.contains("192.0.2"))
    let theirs = try await rest.ask(.get, "/v1/me/calls?limit=1", login: .basic("1002", "1002-password"))
    #expect(theirs.list("calls").map { $0["id"] as? String } == ["elsewhere"])
    #expect(theirs.list("calls").first?["outcome"] as? String == "answered")
    let strange = try await rest.ask(.get, "/v1/me/calls?user=1001", login: .basic("1002", "1002-password"))
    #expect(strange.status == 400)
  }
}
