import Core
import HTTPTypes
import LiveKitProtocol

/// What a bearer token lets a client do at a WHIP or WHEP endpoint.
enum EndpointAccess {
  enum Direction: Sendable {
    case publish
    case receive
  }

  /// The token's claims as they apply to one room and one direction.
  ///
  /// The token joins that room (`roomJoin`), or is an operator's (`ingressAdmin`) for that room or, without one, for any.
  /// - Parameter identity: what the URL asks for; only operators and administrators of the room choose another one than
  ///   the token's.
  static func claims(
    _ token: AccessClaims, room: String, identity: String?, _ direction: Direction,
    makeSuffix: () -> String = { RandomToken.hex(bytes: 4) }
  ) throws(EndpointProblem) -> AccessClaims {
    let grant = token.video
    let isOperator = grant.ingressAdmin && (grant.room.isEmpty || grant.room == room)
    guard isOperator || (grant.roomJoin && grant.room == room) else {
      throw EndpointProblem(.forbidden, "forbidden", "The token is not for this room.")
    }
    var claims = token
    claims.video.roomJoin = true
    claims.video.room = room
    claims.video.canPublishData = false
    switch direction {
    case .publish:
      guard grant.canPublish else {
        throw EndpointProblem(.forbidden, "forbidden", "The token does not allow to publish.")
      }
      claims.video.canSubscribe = false
      let own = token.identity
      if let identity, identity != own {
        guard own.isEmpty || isOperator || (grant.roomAdmin && grant.room == room) else {
          throw EndpointProblem(.forbidden, "forbidden", "The token is for another identity.")
        }
        claims.identity = identity
      }
      if claims.identity.isEmpty { claims.identity = "whip-" + makeSuffix() }
      if claims.kind == .standard { claims.kind = .ingress }
    case .receive:
      guard grant.canSubscribe else {
        throw EndpointProblem(.forbidden, "forbidden", "The token does not allow to subscribe.")
      }
      claims.video.canPublish = false
      // One token may watch from many places, and publish besides: each viewer is somebody of its own.
      claims.identity = (token.identity.isEmpty ? "viewer" : String(token.identity.prefix(200))) + "-" + makeSuffix()
    }
    return claims
  }
}
