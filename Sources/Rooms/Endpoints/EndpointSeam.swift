package import Core
package import LiveKitProtocol
import SDP

/// A participant without the room protocol. By WHIP (RFC 9725) or WHEP (draft-ietf-wish-whep) it came with one HTTP
/// request and has no signalling connection after it.
package enum EndpointRole: Hashable, Sendable {
  case publisher
  /// Gets the tracks of one identity, or of everybody, but not those of `excluded`.
  case viewer(of: String?, excluding: String?)
  /// A telephone, which has neither HTTP nor a peer connection.
  case phone

  /// Whether a publisher's tracks are for it.
  func receives(from identity: String) -> Bool {
    switch self {
    case .publisher, .phone: false
    case .viewer(let only, let excluded): (only ?? identity) == identity && identity != excluded
    }
  }
}

/// A POST to a WHIP or WHEP endpoint, allowed by its token.
package struct EndpointRequest: Sendable {
  package var role: EndpointRole
  /// With room, identity and grants as they apply here.
  package var claims: AccessClaims
  package var offer: [UInt8]
  package var remote: IPAddress
  /// Who may change or end the session later: something that only the bearer of the same token can show.
  package var owner: [UInt8]

  package init(role: EndpointRole, claims: AccessClaims, offer: [UInt8], remote: IPAddress, owner: [UInt8]) {
    self.role = role
    self.claims = claims
    self.offer = offer
    self.remote = remote
    self.owner = owner
  }
}

/// The session that a POST made.
package struct EndpointAnswer: Sendable {
  /// Names the session; cannot be guessed.
  package var id: String
  /// Of the ICE session, without quotes.
  package var entityTag: String
  /// SDP.
  package var answer: String
  package var iceServers: [Livekit_ICEServer]
}

/// What a PATCH did.
package enum EndpointPatch: Sendable {
  case trickled
  /// Our new credentials and candidates as a fragment, and the new ICE session's entity tag.
  case restarted(String, entityTag: String)

  /// Of fragments, in requests and answers.
  package static let contentType = SDPFragment.contentType
}

/// Why a request to an endpoint or one of its sessions is refused.
package struct EndpointRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Reason: String, Sendable {
    case malformedOffer = "malformed-offer"
    case unacceptableOffer = "unacceptable-offer"
    case malformedFragment = "malformed-fragment"
    case forbidden
    case roomNotFound = "room-not-found"
    case refused
    case sessionNotFound = "session-not-found"
    case preconditionMissing = "precondition-required"
    case preconditionFailed = "precondition-failed"
    case busy
    case unavailable
    case failed

    /// Of HTTP.
    package var status: Int {
      switch self {
      case .malformedOffer, .malformedFragment, .refused: 400
      case .forbidden: 403
      case .roomNotFound, .sessionNotFound: 404
      case .unacceptableOffer: 406
      case .busy: 409
      case .preconditionFailed: 412
      case .preconditionMissing: 428
      case .failed: 500
      case .unavailable: 503
      }
    }
  }

  package var reason: Reason
  package var detail: String

  package init(_ reason: Reason, _ detail: String) {
    self.reason = reason
    self.detail = detail
  }

  init(_ refusal: JoinRefusal) {
    switch refusal.status {
    case 401, 403: self.init(.forbidden, refusal.text)
    case 404: self.init(.roomNotFound, refusal.text)
    case 503: self.init(.unavailable, refusal.text)
    default: self.init(.refused, refusal.text)
    }
  }

  package var description: String { "\(reason.rawValue): \(detail)" }
}

extension RoomService {
  /// Takes a publisher or a viewer in; returns when its answer is known.
  package func openEndpoint(_ request: EndpointRequest) async throws(EndpointRefusal) -> EndpointAnswer {
    let result = await withCheckedContinuation { continuation in
      core.endpoints.open(request) { continuation.resume(returning: $0) }
      context.flush()
    }
    return try result.get()
  }

  /// Trickled candidates, or an ICE restart.
  /// - Parameters:
  ///   - owner: that of the POST.
  ///   - ifMatch: the entity tag without quotes, `*`, or nil where the request has none.
  package func patchEndpoint(
    _ id: String, owner: [UInt8], ifMatch: String?, body: [UInt8]
  ) async throws(EndpointRefusal) -> EndpointPatch {
    let result = await withCheckedContinuation { continuation in
      core.endpoints.patch(id, owner: owner, ifMatch: ifMatch, body: body) { continuation.resume(returning: $0) }
      context.flush()
    }
    return try result.get()
  }

  /// Ends a session, as its client wants.
  package func closeEndpoint(_ id: String, owner: [UInt8]) throws(EndpointRefusal) {
    defer { context.flush() }
    try core.endpoints.close(id, owner: owner)
  }
}
