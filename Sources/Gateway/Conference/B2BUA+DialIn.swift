import Core
import Logging
import SIP

/// INVITEs from outside that inbound room trunks take.
extension B2BUA {
  /// Begins, challenges or refuses a call of an inbound room trunk.
  /// - Returns: false where it belongs to none, and is a user's or a trunk's of the exchange, or a stranger's.
  func takeForRoom(
    _ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, called: String, maxForwards: Int
  ) -> Bool {
    guard !directory.dialIn.trunks.isEmpty, !flow.transport.isWebSocket else { return false }
    let caller = request.headers.from?.uri.user ?? ""
    let trunk: InboundRoomTrunk
    switch directory.dialIn.match(source: flow.remote.ip, called: called, caller: caller) {
    case .none: return false
    case .trunk(let found):
      // Where everybody may call, our own users must prove who they are all the same.
      guard !found.allowedAddresses.isEmpty || directory.user(caller) == nil else { return false }
      trunk = found
    case .challenge:
      // The challenge to a user is the same one; the answer tells who it is.
      let username = request.headers.proxyAuthorizations.first { $0.realm == configuration.realm }?.username
      guard directory.user(username ?? caller) == nil else { return false }
      guard let username else {
        metrics.challenged.increment()
        challenge(request, transaction, proxy: true, stale: false)
        return true
      }
      guard let proved = authenticate(request, transaction, flow, as: username, called: called, caller: caller) else {
        return true
      }
      trunk = proved
    }
    let party = Trunk(
      tenant: trunk.tenant, name: trunk.id, host: flow.remote.ip.unmapped.description, port: flow.remote.port,
      transport: flow.transport.rawValue.lowercased(), codecs: Self.roomCodecs)
    begin(
      request, transaction, flow, party: .trunk(party), from: caller.isEmpty ? "anonymous" : caller, dialled: called,
      routed: directory.route(dialInCall(request, trunk: trunk, flow, called: called)), maxForwards: maxForwards)
    return true
  }

  /// What phones in rooms may speak, wideband first.
  static let roomCodecs: [AudioCodec] = [.opus, .g722, .pcmu, .pcma]

  /// The trunk whose password the request knows; nil after answering.
  private func authenticate(
    _ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, as username: String, called: String,
    caller: String
  ) -> InboundRoomTrunk? {
    let trunk = directory.dialIn.match(
      username: username, source: flow.remote.ip, called: called, caller: caller)
    let verdict = digest.verify(request, isProxy: true, now: now) { [realm = configuration.realm] name, algorithm in
      guard let trunk, trunk.username == name, let password = trunk.password else { return nil }
      return DigestHash.ha1(username: name, realm: realm, password: password, algorithm: algorithm)
    }
    switch verdict {
    case .accepted: return trunk
    case .stale, .missing: challenge(request, transaction, proxy: true, stale: verdict == .stale)
    case .rejected(let why):
      metrics.refused("credentials")
      logger.notice(
        "authentication of a room trunk failed",
        metadata: [
          "user": "\(username)", "why": "\(why.rawValue)", "source": "\(flow.remote)",
          "sip-call-id": "\(request.headers.callID ?? "")",
        ])
      respond(refusal(403, to: request), to: transaction)
    }
    return nil
  }

  /// What dispatching looks at, of a call over a trunk of the exchange.
  func dialInCall(_ request: SIPRequest, trunk: String, _ flow: Flow, called: String) -> DialInCall {
    let from = request.headers.from
    return DialInCall(
      trunk: trunk, called: called, caller: Self.number(from),
      hostname: from?.uri.host ?? flow.remote.ip.description)
  }

  private func dialInCall(
    _ request: SIPRequest, trunk: InboundRoomTrunk, _ flow: Flow, called: String
  ) -> DialInCall {
    var call = dialInCall(request, trunk: trunk.id, flow, called: called)
    call.maximumDuration = trunk.maximumDuration
    call.attributes = HeaderAttributes.attributes(
      of: request.headers, named: trunk.headersToAttributes, selection: trunk.headerSelection)
    return call
  }

  /// The caller's number; empty where the call hides it (RFC 3323 §4.1.1.3).
  private static func number(_ from: NameAddress?) -> String {
    guard let user = from?.uri.user, user.lowercased() != "anonymous", user.lowercased() != "unknown" else { return "" }
    return user
  }
}

/// Header fields of a phone's call as attributes of its participant.
enum HeaderAttributes {
  static let prefix = "sip.h."
  private static let maximumCount = 32
  private static let maximumBytes = 512

  /// - Parameter named: header field's name → attribute's name.
  static func attributes(
    of headers: Headers, named: [String: String], selection: HeaderSelection
  ) -> [String: String] {
    var attributes: [String: String] = [:]
    for (name, attribute) in named {
      if let value = headers[HeaderName(name)] { attributes[attribute] = bounded(value) }
    }
    guard selection != .none else { return attributes }
    for line in headers.lines where attributes.count < maximumCount {
      let name = line.name.description.lowercased()
      // Everybody in the room reads attributes.
      guard selection == .all ? !name.hasSuffix("authorization") : name.hasPrefix("x-") else { continue }
      attributes[prefix + name] = bounded(line.value)
    }
    return attributes
  }

  private static func bounded(_ value: String) -> String {
    String(decoding: value.utf8.prefix(maximumBytes), as: UTF8.self)
  }
}
