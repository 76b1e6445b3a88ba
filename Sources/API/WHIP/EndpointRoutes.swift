import Core
import Crypto
import HTTPTypes
import Hummingbird
import LiveKitProtocol
import NIOCore
import Rooms

/// Adds WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): `/whip/{room}[/{identity}]`, `/whep/{room}[/{identity}]` and the
/// sessions that they make. What is accepted stands in `signaling/whip`.
func addEndpoints<Context: RequestContext & RemoteAddressed>(to router: Router<Context>, services: RoomsServices) {
  for direction in [EndpointAccess.Direction.publish, .receive] {
    let base = direction == .publish ? "/whip" : "/whep"
    let routes = EndpointRoutes(services: services, direction: direction, base: base)
    for path in [base + "/{room}", base + "/{room}/{identity}"] {
      router.on(RouterPath(path), method: .post) { request, context in
        await routes.answer { () throws(EndpointProblem) in try await routes.create(request, context) }
      }
      router.on(RouterPath(path), method: .options) { _, _ in
        await routes.answer { () throws(EndpointProblem) in
          EndpointHeaders.options("OPTIONS, POST", (EndpointHeaders.acceptPost, EndpointRoutes.sdp))
        }
      }
      for method: HTTPRequest.Method in [.get, .head, .put, .patch, .delete] {
        router.on(RouterPath(path), method: method) { _, _ in await routes.notAllowed("OPTIONS, POST") }
      }
    }
    let session = RouterPath(base + "/sessions/{id}")
    router.on(session, method: .patch) { request, context in
      await routes.answer { () throws(EndpointProblem) in try await routes.change(request, context) }
    }
    router.on(session, method: .delete) { request, context in
      await routes.answer { () throws(EndpointProblem) in try await routes.end(request, context) }
    }
    router.on(session, method: .options) { _, _ in
      await routes.answer { () throws(EndpointProblem) in
        EndpointHeaders.options("OPTIONS, PATCH, DELETE", (EndpointHeaders.acceptPatch, EndpointPatch.contentType))
      }
    }
    for method: HTTPRequest.Method in [.get, .head, .put, .post] {
      router.on(session, method: method) { _, _ in await routes.notAllowed("OPTIONS, PATCH, DELETE") }
    }
  }
}

private struct EndpointRoutes: Sendable {
  static let sdp = "application/sdp"
  /// An offer of a hundred sections.
  static let maximumOffer = 512 * 1024
  static let maximumFragment = 64 * 1024

  let services: RoomsServices
  let direction: EndpointAccess.Direction
  /// `/whip` or `/whep`.
  let base: String

  func answer(_ body: () async throws(EndpointProblem) -> Response) async -> Response {
    var response: Response
    do throws(EndpointProblem) { response = try await body() } catch { response = error.response }
    EndpointHeaders.open(&response)
    return response
  }

  func notAllowed(_ allowed: String) async -> Response {
    await answer { () throws(EndpointProblem) in
      var problem = EndpointProblem(.methodNotAllowed, "method-not-allowed", "There are: \(allowed).")
      problem.headers[.allow] = allowed
      throw problem
    }
  }

  // MARK: POST

  func create(
    _ request: Request, _ context: some RequestContext & RemoteAddressed
  ) async throws(EndpointProblem) -> Response {
    let token = try token(request)
    let granted: AccessClaims
    do {
      granted = try services.tokens.verify(token, now: .now())
    } catch {
      throw .unauthorized("\(error)")
    }
    let room = try parameter("room", context)
    var identity = request.uri.queryParameters["identity"].map(String.init)
    if context.parameters.get("identity") != nil { identity = try parameter("identity", context) }
    let claims = try EndpointAccess.claims(granted, room: room, identity: identity, direction)
    try require(Self.sdp, of: request, EndpointHeaders.acceptPost)
    let offer = try await body(request, upTo: Self.maximumOffer)
    let role: EndpointRole =
      direction == .publish
      ? .publisher : .viewer(of: identity, excluding: request.uri.queryParameters["self"].map(String.init))
    do throws(EndpointRefusal) {
      let session = try await services.rooms.openEndpoint(
        EndpointRequest(
          role: role, claims: claims, offer: offer,
          remote: context.remoteAddress?.ip.unmapped ?? IPAddress(v4: 0x7F00_0001), owner: owner(token)))
      var headers: HTTPFields = [
        .contentType: Self.sdp, .location: "\(base)/sessions/\(session.id)", .eTag: "\"\(session.entityTag)\"",
        .cacheControl: "no-store", EndpointHeaders.acceptPatch: EndpointPatch.contentType,
      ]
      EndpointHeaders.add(session.iceServers, to: &headers)
      return text(session.answer, .created, headers)
    } catch {
      throw EndpointProblem(error)
    }
  }

  // MARK: PATCH and DELETE

  func change(_ request: Request, _ context: some RequestContext) async throws(EndpointProblem) -> Response {
    let token = try token(request)
    try require(EndpointPatch.contentType, of: request, EndpointHeaders.acceptPatch)
    let fragment = try await body(request, upTo: Self.maximumFragment)
    let id = try parameter("id", context)
    do throws(EndpointRefusal) {
      switch try await services.rooms.patchEndpoint(
        id, owner: owner(token), ifMatch: EndpointHeaders.entityTag(request.headers[.ifMatch]), body: fragment)
      {
      case .trickled: return Response(status: .noContent)
      case .restarted(let answer, let entityTag):
        return text(
          answer, .ok,
          [.contentType: EndpointPatch.contentType, .eTag: "\"\(entityTag)\"", .cacheControl: "no-store"])
      }
    } catch {
      throw EndpointProblem(error)
    }
  }

  func end(_ request: Request, _ context: some RequestContext) async throws(EndpointProblem) -> Response {
    let token = try token(request)
    let id = try parameter("id", context)
    do throws(EndpointRefusal) {
      try await services.rooms.closeEndpoint(id, owner: owner(token))
    } catch {
      throw EndpointProblem(error)
    }
    return Response(status: .ok, headers: [.contentLength: "0"])
  }

  // MARK: Parts of requests

  private func token(_ request: Request) throws(EndpointProblem) -> String {
    guard case .bearer(let token) = HTTPCredentials(request.headers[.authorization]) else {
      throw .unauthorized("The header Authorization: Bearer TOKEN is missing.")
    }
    return token
  }

  /// Who presents the token again may change what it made, even after the token has expired.
  private func owner(_ token: String) -> [UInt8] { Array(SHA256.hash(data: Array(token.utf8))) }

  private func parameter(_ name: String, _ context: some RequestContext) throws(EndpointProblem) -> String {
    guard let raw = context.parameters.get(name), let text = percentDecoded(raw), !text.isEmpty else {
      throw EndpointProblem(.badRequest, "bad-path", "The path's \(name) is not properly percent-encoded UTF-8.")
    }
    return text
  }

  private func require(
    _ type: String, of request: Request, _ accept: HTTPField.Name
  ) throws(EndpointProblem) {
    let given = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
    guard given == type else {
      var problem = EndpointProblem(.unsupportedMediaType, "unsupported-media-type", "Content-Type must be \(type).")
      problem.headers[accept] = type
      throw problem
    }
  }

  private func body(_ request: Request, upTo limit: Int) async throws(EndpointProblem) -> [UInt8] {
    var request = request
    do {
      return Array(try await request.collectBody(upTo: limit).readableBytesView)
    } catch {
      throw EndpointProblem(.contentTooLarge, "too-large", "The body has more than \(limit) bytes.")
    }
  }

  private func text(_ text: String, _ status: HTTPResponse.Status, _ headers: HTTPFields) -> Response {
    let buffer = ByteBuffer(string: text)
    var response = Response(status: status, headers: headers, body: ResponseBody(byteBuffer: buffer))
    response.headers[.contentLength] = "\(buffer.readableBytes)"
    return response
  }
}
