import Core
import Crypto
import HTTPTypes
import Hummingbird
import LiveKitProtocol
import NIOCore
import Rooms
import SwiftProtobuf

/// What a token must grant for a method.
enum TwirpGrant: Sendable {
  case roomCreate
  case roomList
  case roomRecord
  /// Over the room of the request.
  case roomAdmin
  case sipAdmin
  case sipCall
}

/// One method of the server API: `POST /twirp/livekit.<Service>/<Method>` with a protobuf or JSON body (Twirp v7).
struct TwirpMethod: Sendable {
  let service: String
  let name: String
  /// From the request's bytes to those of the answer.
  let call: @Sendable (TwirpCall) async throws -> [UInt8]
}

/// The bytes and the right of one request.
struct TwirpCall: Sendable {
  let body: [UInt8]
  let isJSON: Bool
  let claims: AccessClaims

  func decode<M: Message>(_ type: M.Type) throws(TwirpError) -> M {
    do {
      if isJSON {
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        return try M(jsonUTF8Bytes: body.isEmpty ? Array("{}".utf8) : body, options: options)
      }
      return try M(serializedBytes: body)
    } catch {
      throw TwirpError(.malformed, "the body is not a \(M.protoMessageName) in \(isJSON ? "JSON" : "protobuf")")
    }
  }

  func encode(_ message: some Message) throws(TwirpError) -> [UInt8] {
    do {
      guard isJSON else { return try message.serializedBytes() }
      var options = JSONEncodingOptions()
      // As LiveKit writes it: names as in the .proto files.
      options.preserveProtoFieldNames = true
      return try message.jsonUTF8Bytes(options: options)
    } catch {
      throw TwirpError(.internal, "the answer cannot be written")
    }
  }

  /// - Throws: 401, as LiveKit answers a token that lacks a grant.
  func require(_ grant: TwirpGrant, room: String = "") throws(TwirpError) {
    let video = claims.video
    switch grant {
    case .roomCreate where video.roomCreate, .roomList where video.roomList, .roomRecord where video.roomRecord: return
    case .sipAdmin where claims.sip.admin, .sipCall where claims.sip.call: return
    case .roomAdmin where video.roomAdmin:
      guard !room.isEmpty else { throw TwirpError(.invalidArgument, "the request names no room") }
      guard video.room == room else { throw TwirpError(.unauthenticated, "the token is for another room") }
    default: throw TwirpError(.unauthenticated, "the token does not grant \(grant)")
    }
  }
}

/// Adds the server API to the router, with its CORS and its errors.
func addTwirp<Context: RequestContext & RemoteAddressed>(to router: Router<Context>, services: RoomsServices) {
  let telephony = services.sip.map { sipServiceMethods($0) } ?? []
  let recording = services.egress.map { egressMethods($0) } ?? []
  for method in roomServiceMethods(services.rooms) + telephony + recording {
    let path = RouterPath("/twirp/livekit.\(method.service)/\(method.name)")
    addOthers(to: router, path, but: .post)
    router.on(path, method: .post) { request, _ in
      var response: Response
      do {
        response = try await answer(request, method, services)
      } catch {
        response = (error as? TwirpError ?? TwirpError(.internal, "the request failed")).response
      }
      CrossOrigin.open(&response)
      return response
    }
  }
  addOthers(to: router, "/twirp/**", but: nil)
}

/// Preflights are open; whatever else is asked of a path is no route.
private func addOthers<Context: RequestContext>(
  to router: Router<Context>, _ path: RouterPath, but served: HTTPRequest.Method?
) {
  router.on(path, method: .options) { _, _ in CrossOrigin.preflight }
  for method: HTTPRequest.Method in [.post, .get, .put, .delete] where method != served {
    router.on(path, method: method) { request, _ in
      var response = TwirpError(.badRoute, "no \(method.rawValue) of \(request.uri.path.prefix(200))").response
      CrossOrigin.open(&response)
      return response
    }
  }
}

@Sendable private func answer(
  _ request: Request, _ method: TwirpMethod, _ services: RoomsServices
) async throws -> Response {
  let type = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
  let isJSON: Bool
  switch type {
  case "application/json": isJSON = true
  case "application/protobuf": isJSON = false
  default: throw TwirpError(.badRoute, "Content-Type must be application/json or application/protobuf")
  }
  guard case .bearer(let token) = HTTPCredentials(request.headers[.authorization]) else {
    throw TwirpError(.unauthenticated, "the header Authorization: Bearer TOKEN is missing")
  }
  let claims: AccessClaims
  do {
    claims = try services.tokens.verify(token, now: .now())
  } catch {
    throw TwirpError(.unauthenticated, "\(error)")
  }
  var request = request
  let body: ByteBuffer
  do {
    body = try await request.collectBody(upTo: TwirpReplies.maximumBodySize)
  } catch {
    throw TwirpError(.malformed, "the body cannot be read or has more than \(TwirpReplies.maximumBodySize) bytes")
  }
  let call = TwirpCall(body: Array(body.readableBytesView), isJSON: isJSON, claims: claims)
  let outcome: Result<[UInt8], TwirpError>
  if let id = request.headers[TwirpReplies.requestID], !id.isEmpty {
    outcome = await services.replies.once(TwirpReplies.Key(id: id, method: method.name, call: call)) {
      await perform(method, call)
    }
  } else {
    outcome = await perform(method, call)
  }
  let bytes = try outcome.get()
  return Response(
    status: .ok,
    headers: [
      .contentType: isJSON ? "application/json" : "application/protobuf", .contentLength: "\(bytes.count)",
      .cacheControl: "no-store",
    ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
}

@Sendable private func perform(_ method: TwirpMethod, _ call: TwirpCall) async -> Result<[UInt8], TwirpError> {
  do {
    return .success(try await method.call(call))
  } catch let error as TwirpError {
    return .failure(error)
  } catch let error as RoomError {
    return .failure(TwirpError(error))
  } catch {
    return .failure(TwirpError(.internal, "the request failed"))
  }
}
