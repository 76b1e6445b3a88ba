import Core
import Foundation
import Hummingbird
import Store

extension RESTRoutes {
  /// The outbox of the webhooks: what became of each, and sending some again.
  mutating func addWebhooks() {
    let store = services.store

    on(.get, "/v1/webhooks", .apiKey) { call in
      try call.allowQuery("limit", "before", "state")
      let limit = try call.limit()
      var state: WebhookDelivery.State?
      if let text = call.query("state") {
        state = WebhookDelivery.State(rawValue: text)
        guard state != nil else { throw RESTError.invalid("state must be pending, delivered or failed.") }
      }
      var before: Int64?
      if let text = call.query("before") {
        before = Int64(text)
        guard before != nil else { throw RESTError.invalid("before must be the next of an earlier answer.") }
      }
      let page = try await store.webhooks(limit: limit, before: before, state: state)
      return .json(
        WebhookPage(
          webhooks: page.map { WebhookBody($0) },
          next: page.count == limit ? page.last.map { "\($0.record.sequence)" } : nil))
    }

    on(.post, "/v1/webhooks/{id}/replay", .apiKey) { call in
      let id = try call.parameter("id")
      let count = try await store.replayWebhooks(WebhookSelection(id: id))
      guard count > 0 else { throw RESTError.missing("There is no webhook \(id) that could be sent again.") }
      return .json(ReplayBody(deliveries: count))
    }

    on(.post, "/v1/webhooks/replay", .apiKey) { call in
      var body = try await call.body()
      var selection = WebhookSelection()
      selection.failedOnly = try body.flag("failed") ?? true
      selection.since = try time(try body.text("since"), "since")
      selection.until = try time(try body.text("until"), "until")
      selection.room = try body.text("room")
      try body.finish()
      return .json(ReplayBody(deliveries: try await store.replayWebhooks(selection)))
    }
  }
}

@Sendable private func time(_ text: String?, _ name: String) throws(RESTError) -> WallTime? {
  guard let text else { return nil }
  guard let time = WallTime(rfc3339: text) else {
    throw .invalid("\(name) must be a time such as 2026-11-20T20:00:00Z.")
  }
  return time
}

private struct ReplayBody: Encodable {
  /// How many will be sent again: one for each event and URL.
  let deliveries: Int
}

private struct WebhookPage: Encodable {
  let webhooks: [WebhookBody]
  let next: String?
}

private struct WebhookBody: Encodable {
  let id: String
  let event: String
  let room: String
  let createdAt: String
  let url: String
  let state: String
  let attempts: Int
  let nextAttemptAt: String?
  let finishedAt: String?
  let status: Int?
  let problem: String?
  /// The text that is sent.
  let body: String

  init(_ delivery: WebhookDelivery) {
    id = delivery.record.id
    event = delivery.record.event
    room = delivery.record.room
    createdAt = delivery.record.createdAt.rfc3339
    url = delivery.url
    state = delivery.state.rawValue
    attempts = delivery.attempts
    nextAttemptAt = delivery.state == .pending && delivery.attempts > 0 ? delivery.nextAttemptAt.rfc3339 : nil
    finishedAt = delivery.finishedAt?.rfc3339
    status = delivery.status
    problem = delivery.problem.isEmpty ? nil : delivery.problem
    body = delivery.record.body
  }
}
