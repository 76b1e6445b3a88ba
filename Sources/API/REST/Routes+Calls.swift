import Core
import Hummingbird
import Store

extension RESTRoutes {
  mutating func addCalls() {
    let store = services.store
    let control = services.control

    on(.get, "/v1/calls", .apiKey) { call in
      try call.allowQuery("limit", "before", "from", "to", "user", "outcome", "since", "until", "active")
      let limit = try call.limit()
      let filter = try call.callFilter()
      if filter.active == true {
        let live = await control.liveCalls().filter { filter.admits($0) }.reversed().prefix(limit)
        return .json(CallPage(calls: live.map { CallBody($0) }, next: nil))
      }
      let calls = try await store.calls(limit: limit + 1, before: try call.cursor(), filter: filter)
      let page = calls.prefix(limit)
      return .json(
        CallPage(
          calls: page.map { CallBody($0) },
          next: calls.count > limit ? page.last.map { CallCursor($0).description } : nil))
    }

    on(.get, "/v1/calls/{id}", .apiKey) { call in
      let id = try call.parameter("id")
      // A running call's counters are newer than its record.
      if let live = await control.liveCalls().first(where: { $0.id == id }) { return .json(CallBody(live)) }
      guard let record = try await store.call(id: id) else { throw RESTError.missing("There is no call \(id).") }
      return .json(CallBody(record))
    }

    on(.delete, "/v1/calls/{id}", .apiKey) { call in
      let id = try call.parameter("id")
      guard await control.hangUp(callID: id) else {
        if try await store.call(id: id) != nil {
          throw RESTError(.conflict, "ended", "The call has ended already.")
        }
        throw RESTError.missing("There is no call \(id).")
      }
      return .noContent
    }

    on(.get, "/v1/registrations", .apiKey) { _ in
      .json(["registrations": await control.registrations()])
    }
  }

  /// The call history of the user whose password comes with the request.
  mutating func addHistory() {
    let store = services.store
    on(.get, "/v1/me/calls", .user) { call in
      try call.allowQuery("limit", "before")
      let limit = try call.limit()
      var filter = CallFilter()
      filter.user = call.user
      let calls = try await store.calls(limit: limit + 1, before: try call.cursor(), filter: filter)
      let page = calls.prefix(limit)
      return .json(
        HistoryPage(
          calls: page.map { HistoryBody($0, for: call.user) },
          next: calls.count > limit ? page.last.map { CallCursor($0).description } : nil))
    }

    on(.get, "/v1/me", .user) { call in
      guard let user = try await store.user(call.user) else { throw RESTError.missing("The user was removed.") }
      return .json(UserBody(user))
    }
  }
}

extension RESTRoutes.Call {
  func limit() throws(RESTError) -> Int {
    guard let text = query("limit") else { return 50 }
    guard let limit = Int(text), (1...500).contains(limit) else {
      throw .invalid("limit must be a whole number from 1 to 500.")
    }
    return limit
  }

  func cursor() throws(RESTError) -> CallCursor? {
    guard let text = query("before") else { return nil }
    guard let cursor = CallCursor(text) else { throw .invalid("before must be the next of an earlier answer.") }
    return cursor
  }

  func callFilter() throws(RESTError) -> CallFilter {
    func time(_ name: Substring) throws(RESTError) -> WallTime? {
      guard let text = query(name) else { return nil }
      guard let time = WallTime(rfc3339: text) else {
        throw .invalid("\(name) must be a time such as 2026-11-20T08:00:00Z or a date.")
      }
      return time
    }
    var filter = CallFilter()
    filter.from = query("from")
    filter.to = query("to")
    filter.user = query("user")
    filter.since = try time("since")
    filter.until = try time("until")
    if let text = query("outcome") {
      guard let outcome = CallRecord.Outcome(rawValue: text) else {
        throw .invalid(
          "outcome must be in-progress, answered, busy, cancelled, rejected, failed, no-answer or interrupted.")
      }
      filter.outcome = outcome
    }
    if let text = query("active") {
      guard text == "true" || text == "false" else { throw .invalid("active must be true or false.") }
      filter.active = text == "true"
    }
    return filter
  }
}

extension CallFilter {
  /// Whether a running call passes; the database decides the same way for stored ones.
  func admits(_ call: CallRecord) -> Bool {
    if let from, call.from != from { return false }
    if let to, call.to != to { return false }
    if let outcome, call.outcome != outcome { return false }
    if let since, call.startedAt < since { return false }
    if let until, call.startedAt >= until { return false }
    if let user, !call.legs.contains(where: { $0.kind == .user && $0.party == user }) { return false }
    return true
  }
}
