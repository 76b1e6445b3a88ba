import Core
import Hummingbird
import LiveKitProtocol
import Store

/// How people come into rooms from the room page, where no application of the operator makes tokens: a user of the
/// telephone is host of the rooms that they open, and a link from a host lets guests in.
///
/// An invitation is a token with the right to join one room and no identity: it opens nothing by itself, and whoever
/// holds it may come in under a name of their own.
extension RESTRoutes {
  private static var hostLifetime: Duration { .seconds(12 * 3600) }
  private static var guestLifetime: Duration { .seconds(6 * 3600) }
  private static var invitationLifetime: Duration { .seconds(7 * 86_400) }
  private static var longestName: Int { 64 }

  mutating func addInvitations() {
    let verifier = TokenVerifier(keys: services.keys)
    let signer = services.keys.min { $0.key < $1.key }.map { TokenSigner(key: $0.key, secret: $0.value) }
    let store = services.store

    on(.post, "/v1/me/rooms/{room}", .user) { call in
      let signer = try Self.require(signer)
      let room = try Self.room(call.parameter("room"))
      guard let user = try await store.user(call.user) else { throw RESTError.missing("The user was removed.") }
      var input = try await call.body()
      let name = try Self.name(input.text("name") ?? user.display)
      try input.finish()
      var claims = AccessClaims(identity: user.name, video: Self.joining(room))
      claims.name = name
      claims.video.roomAdmin = true
      claims.video.roomRecord = true
      let token = signer.sign(claims, now: .now(), lifetime: Self.hostLifetime)
      return .json(Admission(token: token, room: room, identity: user.name, name: name, isHost: true))
    }

    on(.post, "/v1/invitations", .everybody) { call in
      let signer = try Self.require(signer)
      var input = try await call.body()
      let host = try Self.verify(input.requiredText("token"), verifier)
      try input.finish()
      guard host.video.roomAdmin, !host.video.room.isEmpty else {
        throw RESTError(.forbidden, "forbidden", "Only a host of the room may invite.")
      }
      let claims = AccessClaims(identity: "", video: Self.joining(host.video.room))
      return .json(["invitation": signer.sign(claims, now: .now(), lifetime: Self.invitationLifetime)])
    }

    on(.post, "/v1/invitations/accept", .everybody) { call in
      let signer = try Self.require(signer)
      var input = try await call.body()
      let invitation = try Self.verify(input.requiredText("invitation"), verifier)
      let name = try Self.name(input.requiredText("name"))
      try input.finish()
      guard invitation.identity.isEmpty, invitation.video.roomJoin, !invitation.video.room.isEmpty else {
        throw RESTError(.forbidden, "forbidden", "This is no invitation.")
      }
      var claims = AccessClaims(
        identity: "guest-\(RandomToken.hex(bytes: 6))", video: Self.joining(invitation.video.room))
      claims.name = name
      let token = signer.sign(claims, now: .now(), lifetime: Self.guestLifetime)
      return .json(
        Admission(token: token, room: claims.video.room, identity: claims.identity, name: name, isHost: false))
    }
  }

  /// What a person gets who may come in.
  private struct Admission: Encodable {
    let token: String
    let room: String
    let identity: String
    let name: String
    let isHost: Bool
  }

  private static func joining(_ room: String) -> VideoGrant {
    var grant = VideoGrant()
    grant.roomJoin = true
    grant.room = room
    grant.canUpdateOwnMetadata = true
    return grant
  }

  private static func require(_ signer: TokenSigner?) throws(RESTError) -> TokenSigner {
    guard let signer else {
      throw RESTError(.serviceUnavailable, "no-key", "Rooms need an API key: set keys in the configuration.")
    }
    return signer
  }

  private static func verify(_ token: String, _ verifier: TokenVerifier) throws(RESTError) -> AccessClaims {
    do {
      return try verifier.verify(token, now: .now())
    } catch {
      throw RESTError(.unauthorized, "unauthorized", "\(error)")
    }
  }

  private static func room(_ text: String) throws(RESTError) -> String {
    guard !text.isEmpty, text.utf8.count <= 128, !text.utf8.contains(where: { $0 < 0x20 }) else {
      throw .invalid("A room's name has 1 to 128 bytes and no control characters.")
    }
    return text
  }

  private static func name(_ text: String) throws(RESTError) -> String {
    let trimmed = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    guard !trimmed.isEmpty, trimmed.count <= longestName else {
      throw .invalid("name must have 1 to \(longestName) characters.")
    }
    return trimmed
  }
}
