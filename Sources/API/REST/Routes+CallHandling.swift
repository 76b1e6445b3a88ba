import Core
import Hummingbird
import Store

struct CallHandlingBody: Encodable {
  let doNotDisturb: Bool
  let forwardAlways: String?
  let forwardBusy: String?
  let forwardNoAnswer: String?
  let noAnswerAfter: Int

  init(_ handling: CallHandling) {
    doNotDisturb = handling.doNotDisturb
    forwardAlways = handling.forwardAlways
    forwardBusy = handling.forwardBusy
    forwardNoAnswer = handling.forwardNoAnswer
    noAnswerAfter = handling.noAnswerAfter
  }
}

extension RESTRoutes {
  /// Do-not-disturb and forwarding: a user's own, and any user's for operators.
  mutating func addCallHandling() {
    let store = services.store

    @Sendable func change(_ user: String, _ call: Call) async throws -> Response {
      var body = try await call.body()
      guard try await store.user(user) != nil else { throw RESTError.missing("There is no user \(user).") }
      var handling = try await store.callHandling(of: user)
      if let on = try body.flag("doNotDisturb") { handling.doNotDisturb = on }
      if let target = try body.nullableText("forwardAlways") { handling.forwardAlways = target }
      if let target = try body.nullableText("forwardBusy") { handling.forwardBusy = target }
      if let target = try body.nullableText("forwardNoAnswer") { handling.forwardNoAnswer = target }
      if let seconds = try body.integer("noAnswerAfter") { handling.noAnswerAfter = seconds }
      try body.finish()
      if let problem = handling.problem { throw RESTError.invalid(problem) }
      try await store.write(handling, of: user)
      return .json(CallHandlingBody(handling))
    }

    on(.get, "/v1/me/call-handling", .user) { call in
      .json(CallHandlingBody(try await store.callHandling(of: call.user)))
    }
    on(.patch, "/v1/me/call-handling", .user) { call in try await change(call.user, call) }

    on(.get, "/v1/users/{name}/call-handling", .apiKey) { call in
      let name = try call.parameter("name")
      guard try await store.user(name) != nil else { throw RESTError.missing("There is no user \(name).") }
      return .json(CallHandlingBody(try await store.callHandling(of: name)))
    }
    on(.patch, "/v1/users/{name}/call-handling", .apiKey) { call in try await change(try call.parameter("name"), call) }
  }
}
