import HTTPTypes
import Hummingbird
import LiveKitProtocol
import Rooms

/// An answer of the server API that is no success: `{"code":"not_found","msg":"…"}`, whatever the request's type was.
struct TwirpError: Error, Sendable, Equatable {
  /// Twirp's words, with their statuses.
  enum Code: String, Sendable {
    case canceled, unknown, malformed, aborted, unauthenticated, unimplemented, `internal`, unavailable, dataloss
    case invalidArgument = "invalid_argument"
    case deadlineExceeded = "deadline_exceeded"
    case notFound = "not_found"
    case badRoute = "bad_route"
    case alreadyExists = "already_exists"
    case permissionDenied = "permission_denied"
    case resourceExhausted = "resource_exhausted"
    case failedPrecondition = "failed_precondition"
    case outOfRange = "out_of_range"

    var status: HTTPResponse.Status {
      switch self {
      case .invalidArgument, .malformed, .outOfRange: .badRequest
      case .unauthenticated: .unauthorized
      case .permissionDenied: .forbidden
      case .notFound, .badRoute: .notFound
      case .deadlineExceeded, .canceled: .requestTimeout
      case .alreadyExists, .aborted: .conflict
      case .failedPrecondition: .preconditionFailed
      case .resourceExhausted: .tooManyRequests
      case .unknown, .internal, .dataloss: .internalServerError
      case .unimplemented: .notImplemented
      case .unavailable: .serviceUnavailable
      }
    }
  }

  let code: Code
  let message: String
  /// What programs may look into; LiveKit's clients read a call's SIP status here.
  var meta: [String: String] = [:]

  init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  init(_ error: RoomError) {
    self.init(Code(rawValue: error.code.rawValue) ?? .internal, error.message)
    meta = error.details
  }

  var response: Response {
    struct Body: Encodable {
      let code: String
      let msg: String
      let meta: [String: String]?
    }
    return Response.json(
      Body(code: code.rawValue, msg: message, meta: meta.isEmpty ? nil : meta), status: code.status)
  }
}
