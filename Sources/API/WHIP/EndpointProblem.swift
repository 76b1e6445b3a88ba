import Core
import HTTPTypes
import Hummingbird
import NIOCore
import Rooms

/// An answer that is no success: `application/problem+json` (RFC 9457).
struct EndpointProblem: Error, Sendable, Equatable {
  let status: HTTPResponse.Status
  /// The last part of the problem's type.
  let code: String
  /// A sentence for people.
  let detail: String
  var headers: HTTPFields = [:]

  init(_ status: HTTPResponse.Status, _ code: String, _ detail: String) {
    self.status = status
    self.code = code
    self.detail = detail
  }

  init(_ refusal: EndpointRefusal) {
    self.init(.init(code: refusal.reason.status), refusal.reason.rawValue, refusal.detail)
    if refusal.reason == .unavailable { headers[.retryAfter] = "2" }
  }

  static func unauthorized(_ detail: String) -> EndpointProblem {
    var problem = EndpointProblem(.unauthorized, "unauthorized", detail)
    problem.headers[.wwwAuthenticate] = "Bearer"
    return problem
  }

  var response: Response {
    struct Body: Encodable {
      let type: String
      let title: String
      let status: Int
      let detail: String
    }
    var response = Response.json(
      Body(
        type: "urn:parley:problem:" + code, title: code.split(separator: "-").joined(separator: " "),
        status: status.code, detail: detail), status: status)
    response.headers[.contentType] = "application/problem+json"
    for field in headers { response.headers.append(field) }
    return response
  }
}
