import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Store

/// An answer that is no success: `{"error":{"code":"not-found","message":"…"}}`.
struct RESTError: Error, Sendable, Equatable {
  let status: HTTPResponse.Status
  /// A word that programs can compare.
  let code: String
  /// A sentence for people.
  let message: String
  var headers: HTTPFields = [:]

  init(_ status: HTTPResponse.Status, _ code: String, _ message: String) {
    self.status = status
    self.code = code
    self.message = message
  }

  static func invalid(_ message: String) -> RESTError { RESTError(.badRequest, "invalid", message) }
  static func missing(_ message: String) -> RESTError { RESTError(.notFound, "not-found", message) }

  /// What a handler threw. Paths of files are for the log and the operator's terminal, not for the network.
  init(_ error: any Error) {
    switch error {
    case let error as RESTError: self = error
    case let error as StoreError:
      switch error.kind {
      case .exists: self.init(.conflict, "exists", error.problem)
      case .missing: self.init(.notFound, "not-found", error.problem)
      case .invalid: self.init(.badRequest, "invalid", error.problem)
      case .overloaded, .busy, .full:
        self.init(.serviceUnavailable, "unavailable", "The database cannot take this now.")
      case .inaccessible, .newerSchema, .damaged, .realmChanged, .other:
        self.init(.internalServerError, "database", "The database failed; the server's log says why.")
      }
    default: self.init(.internalServerError, "internal", "The request failed.")
    }
  }

  var response: Response {
    struct Body: Encodable {
      struct Content: Encodable {
        let code: String
        let message: String
      }
      let error: Content
    }
    var response = Response.json(Body(error: .init(code: code, message: message)), status: status)
    for field in headers { response.headers.append(field) }
    return response
  }
}

extension Response {
  /// A value as JSON, not to be cached.
  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Only a floating-point number that is not finite, or a type that cannot be coded, would fail; ours have neither.
    let data = (try? encoder.encode(value)) ?? Data("{}".utf8)
    return Response(
      status: status,
      headers: [
        .contentType: "application/json; charset=utf-8", .contentLength: "\(data.count)", .cacheControl: "no-store",
      ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
  }

  static func text(_ text: String, type: String = "text/plain; charset=utf-8", status: HTTPResponse.Status = .ok)
    -> Response
  {
    let buffer = ByteBuffer(string: text)
    return Response(
      status: status,
      headers: [.contentType: type, .contentLength: "\(buffer.readableBytes)", .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: buffer))
  }

  static var noContent: Response { Response(status: .noContent, headers: [.cacheControl: "no-store"]) }
}
