import Core
import LiveKitProtocol
import Rooms
import SwiftProtobuf

/// What a request for `/rtc` or `/rtc/v1` says in its query and its Authorization, before anything is believed.
struct SignalQuery: Sendable {
  /// Bytes of an inflated `join_request`.
  static let maximumJoinRequest = 1 << 20

  let parameters: [String: String]
  let authorization: String?
  let isSinglePeerConnection: Bool

  /// - Parameter query: what follows the question mark.
  init(query: some StringProtocol, authorization: String?, isSinglePeerConnection: Bool) {
    parameters = Self.parse(query)
    self.authorization = authorization
    self.isSinglePeerConnection = isSinglePeerConnection
  }

  /// The parameters of `application/x-www-form-urlencoded`; of a repeated one the first.
  static func parse(_ query: some StringProtocol) -> [String: String] {
    var result: [String: String] = [:]
    for pair in query.split(separator: "&") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decode(parts[0]), !name.isEmpty else { continue }
      let value = parts.count > 1 ? decode(parts[1]) : ""
      if let value, result[name] == nil { result[name] = value }
    }
    return result
  }

  private static func decode(_ text: some StringProtocol) -> String? {
    percentDecoded(text.contains("+") ? String(text.map { $0 == "+" ? " " : $0 }) : String(text))
  }

  /// Whether already the first message shall be JSON. A parameter of ours: LiveKit's clients read binary frames only.
  var wantsJSON: Bool { parameters["frames"] == "json" }

  // MARK: The join

  /// The join that is asked for, by the token's right.
  ///
  /// - Throws: 401 for what the token does not give, 400 for what is not understood.
  func join(tokens: TokenVerifier, remote: IPAddress?, now: WallTime) throws(JoinRefusal) -> JoinRequest {
    let claims = try claims(tokens, now)
    guard claims.video.roomJoin else { throw .init(status: 401, text: "the token does not grant roomJoin") }
    guard !claims.video.room.isEmpty else { throw .init(status: 400, text: "no room name in the token") }
    guard !claims.identity.isEmpty else { throw .init(status: 400, text: "no identity in the token") }
    // Only a peer that is gone has no address.
    guard let remote else { throw .init(status: 400, text: "the connection is closed") }
    return isSinglePeerConnection
      ? try joinOfRequest(claims: claims, remote: remote) : try joinOfParameters(claims: claims, remote: remote)
  }

  private func claims(_ tokens: TokenVerifier, _ now: WallTime) throws(JoinRefusal) -> AccessClaims {
    let token: String
    if let authorization {
      guard case .bearer(let text) = HTTPCredentials(authorization) else {
        throw .init(status: 401, text: "the Authorization header must be: Bearer TOKEN")
      }
      token = text
    } else if let text = parameters["access_token"], !text.isEmpty {
      token = text
    } else {
      throw .init(status: 401, text: "no access token was given")
    }
    do {
      return try tokens.verify(token, now: now)
    } catch {
      throw .init(status: 401, text: "\(error)")
    }
  }

  // MARK: /rtc

  private func joinOfParameters(claims: AccessClaims, remote: IPAddress) throws(JoinRefusal) -> JoinRequest {
    var join = JoinRequest(claims: claims, clientInfo: clientInfo(remote), remote: remote)
    join.autoSubscribe = flag("auto_subscribe") ?? true
    join.adaptiveStream = flag("adaptive_stream") ?? false
    join.subscriberAllowPause = flag("subscriber_allow_pause")
    if let text = parameters["attributes"], !text.isEmpty { join.attributes = try attributes(text) }
    if flag("reconnect") ?? false {
      guard let sid = parameters["sid"], !sid.isEmpty else {
        throw .init(status: 400, text: "reconnect needs the parameter sid")
      }
      join.reconnect = .init(
        participantSID: sid,
        reason: parameters["reconnect_reason"].flatMap { Int($0) }.flatMap { Livekit_ReconnectReason(rawValue: $0) }
          ?? .rrUnknown)
    }
    return join
  }

  private func clientInfo(_ remote: IPAddress) -> Livekit_ClientInfo {
    var info = Livekit_ClientInfo()
    info.sdk = Self.sdks[(parameters["sdk"] ?? "").lowercased()] ?? .unknown
    info.version = short("version")
    info.protocol = number("protocol")
    info.clientProtocol = number("client_protocol")
    info.os = short("os")
    info.osVersion = short("os_version")
    info.deviceModel = short("device_model")
    info.browser = short("browser")
    info.browserVersion = short("browser_version")
    info.network = short("network")
    info.address = "\(remote)"
    info.capabilities = (parameters["capabilities"] ?? "").split(separator: ",").prefix(16).compactMap {
      Self.capabilities[String($0)]
    }
    return info
  }

  private static let sdks: [String: Livekit_ClientInfo.SDK] = [
    "js": .js, "ios": .swift, "swift": .swift, "android": .android, "flutter": .flutter, "go": .go, "unity": .unity,
    "reactnative": .reactNative, "rust": .rust, "python": .python, "cpp": .cpp, "unityweb": .unityWeb, "node": .node,
    "unreal": .unreal, "esp32": .esp32,
  ]

  private static let capabilities: [String: Livekit_ClientInfo.Capability] = [
    "CAP_PACKET_TRAILER": .capPacketTrailer, "CAP_COMPRESSION_DEFLATE_RAW": .capCompressionDeflateRaw,
  ]

  private func flag(_ name: String) -> Bool? {
    guard let text = parameters[name], !text.isEmpty else { return nil }
    return text == "1" || text.lowercased() == "true"
  }

  private func number(_ name: String) -> Int32 { parameters[name].flatMap { Int32($0) } ?? 0 }

  /// What a client says of itself ends in logs and in others' messages.
  private func short(_ name: String) -> String { String((parameters[name] ?? "").prefix(128)) }

  /// URL-safe base64 of a JSON object whose values are texts.
  private func attributes(_ text: String) throws(JoinRefusal) -> [String: String] {
    guard let bytes = Base64URL.decode(text) else { throw .init(status: 400, text: "attributes is not base64url") }
    do {
      let wrapped = Array("{\"attributes\":".utf8) + bytes + Array("}".utf8)
      return try Livekit_UpdateParticipantMetadata(jsonUTF8Bytes: wrapped).attributes
    } catch {
      throw .init(status: 400, text: "attributes is not a JSON object of texts")
    }
  }

  // MARK: /rtc/v1

  private func joinOfRequest(claims: AccessClaims, remote: IPAddress) throws(JoinRefusal) -> JoinRequest {
    var request = try joinRequest()
    request.clientInfo.address = "\(remote)"
    var join = JoinRequest(claims: claims, clientInfo: request.clientInfo, remote: remote)
    join.isSinglePeerConnection = true
    // There is no default here: what is absent is false.
    join.autoSubscribe = request.connectionSettings.autoSubscribe
    join.adaptiveStream = request.connectionSettings.adaptiveStream
    if request.connectionSettings.hasSubscriberAllowPause {
      join.subscriberAllowPause = request.connectionSettings.subscriberAllowPause
    }
    join.metadata = request.metadata
    join.attributes = request.participantAttributes
    join.addTrackRequests = request.addTrackRequests
    if request.hasPublisherOffer { join.publisherOffer = request.publisherOffer }
    if request.hasSyncState { join.syncState = request.syncState }
    if request.reconnect {
      guard !request.participantSid.isEmpty else {
        throw .init(status: 400, text: "reconnect needs participant_sid")
      }
      join.reconnect = .init(participantSID: request.participantSid, reason: request.reconnectReason)
    }
    return join
  }

  /// The message in the parameter `join_request`.
  func joinRequest() throws(JoinRefusal) -> Livekit_JoinRequest {
    guard let text = parameters["join_request"], !text.isEmpty else {
      throw .init(status: 400, text: "the parameter join_request is missing")
    }
    guard let outer = Base64URL.decode(text) else {
      throw .init(status: 400, text: "join_request is not base64url")
    }
    do {
      let wrapped = try Livekit_WrappedJoinRequest(serializedBytes: outer)
      let inner: [UInt8]
      switch wrapped.compression {
      case .none: inner = Array(wrapped.joinRequest)
      case .gzip: inner = try Gzip.decompress(Array(wrapped.joinRequest), limit: Self.maximumJoinRequest)
      case .UNRECOGNIZED: throw JoinRefusal(status: 400, text: "join_request is compressed in an unknown way")
      }
      return try Livekit_JoinRequest(serializedBytes: inner)
    } catch let refusal as JoinRefusal {
      throw refusal
    } catch let failure as Inflate.Failure {
      if case .larger = failure { throw .init(status: 400, text: "join_request is too large") }
      throw .init(status: 400, text: "join_request is not properly compressed")
    } catch {
      throw .init(status: 400, text: "join_request is not a JoinRequest")
    }
  }
}
