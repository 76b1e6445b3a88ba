import Core
import Logging
import SIP

/// Requests from the network: inside a dialog to its leg; outside by method.
extension B2BUA {
  func route(_ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow) {
    if request.headers.to?.tag != nil, request.method != .register {
      guard let leg = leg(for: request), let call = leg.call else {
        respond(refusal(481, to: request), to: transaction)
        return
      }
      enqueue(.request(leg, transaction, request, flow), to: call)
      return
    }
    let unsupported = unsupported(request)
    guard unsupported.isEmpty else {
      metrics.refused("unsupported-extension")
      var response = refusal(420, to: request)
      response.headers.set(.unsupported, unsupported.joined(separator: ", "))
      respond(response, to: transaction)
      return
    }
    switch request.method {
    case .register: register(request, transaction, flow)
    case .invite: invite(request, transaction, flow)
    case .options: respond(optionsResponse(to: request, tag: newTag()), to: transaction)
    case .message: message(request, transaction, flow)
    case .bye, .update, .info, .prack: respond(refusal(481, to: request), to: transaction)
    case .subscribe, .publish: respond(refusal(489, to: request), to: transaction)
    default:
      var response = refusal(405, to: request)
      response.headers.set(.allow, Self.allow)
      respond(response, to: transaction)
    }
  }

  func newTag() -> String { RandomToken.hex(bytes: 6) }

  func refusal(_ status: Int, to request: SIPRequest) -> SIPResponse {
    var response = SIPResponse(to: request, status: status, toTag: newTag())
    response.headers.set(.server, configuration.product)
    return response
  }

  func optionsResponse(to request: SIPRequest, tag: String) -> SIPResponse {
    var response = SIPResponse(to: request, status: isDraining ? 503 : 200, toTag: tag)
    response.headers.set(.server, configuration.product)
    response.headers.set(.allow, Self.allow)
    response.headers.set(.supported, Self.supported)
    response.headers.set(.accept, "application/sdp, application/dtmf-relay, application/trickle-ice-sdpfrag")
    return response
  }

  /// What a request requires and we do not have (RFC 3261 §8.2.2.3).
  func unsupported(_ request: SIPRequest) -> [String] {
    request.headers.require.filter { !Self.supportedExtensions.contains($0.lowercased()) }
  }

  /// The Min-SE for a 422, where the request asks for too short a session.
  func tooShortSession(_ request: SIPRequest) -> UInt32? {
    if case .tooSmall(let minimum) = sessionPolicy.answer(to: request) { return minimum }
    return nil
  }

  // MARK: Authentication

  /// The user who proved to have sent the request; nil after answering with a challenge or refusal.
  func authenticate(
    _ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, proxy: Bool
  ) -> User? {
    let claimed = request.headers.from?.uri.user ?? ""
    let verdict = digest.verify(request, isProxy: proxy, now: now) { [directory] username, algorithm in
      guard let user = directory.user(username) else { return nil }
      return algorithm == .md5 ? user.ha1MD5 : user.ha1SHA256
    }
    switch verdict {
    case .accepted(let username):
      // One account may not speak for another.
      guard username == claimed || request.method == .register && username == request.headers.to?.uri.user else {
        metrics.refused("wrong-identity")
        respond(refusal(403, to: request), to: transaction)
        return nil
      }
      return directory.user(username)
    case .stale, .missing:
      if verdict == .missing { metrics.challenged.increment() }
      challenge(request, transaction, proxy: proxy, stale: verdict == .stale)
      return nil
    case .rejected(let why):
      metrics.refused("credentials")
      logger.notice(
        "authentication failed",
        metadata: [
          "user": "\(claimed)", "why": "\(why.rawValue)", "source": "\(flow.remote)",
          "method": "\(request.method.rawValue)",
          "sip-call-id": "\(request.headers.callID ?? "")",
        ])
      // 403 rather than a new challenge: a phone would ask its user for a password that it has.
      respond(refusal(403, to: request), to: transaction)
      return nil
    }
  }

  func challenge(_ request: SIPRequest, _ transaction: ServerTransactionID, proxy: Bool, stale: Bool) {
    var response = digest.challenge(request, status: proxy ? 407 : 401, isStale: stale, now: now)
    response.headers.set(.server, configuration.product)
    respond(response, to: transaction)
  }

  // MARK: REGISTER

  private func register(_ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow) {
    guard let user = authenticate(request, transaction, flow, proxy: false) else { return }
    guard request.headers.to?.uri.user == user.name else {
      metrics.refused("wrong-identity")
      respond(refusal(403, to: request), to: transaction)
      return
    }
    let outcome = registrar.register(request, aor: user.name, flow: flow, now: now)
    var response = outcome.response
    response.headers.set(.server, configuration.product)
    metrics.registrations.set(registrar.count)
    respond(response, to: transaction)
    for change in outcome.changes {
      switch change {
      case .added(let binding), .refreshed(let binding): moved(user.name, binding)
      case .removed: break
      }
    }
  }

  /// A registration of the same instance on a new flow: its legs follow (RFC 5626 §4.2). Those of the page before do not,
  /// when a new page has taken the browser's place: it knows nothing of them and comes with a Replaces, if at all.
  private func moved(_ user: String, _ binding: Binding) {
    guard let instance = binding.instanceID else { return }
    for call in calls.values {
      for leg in call.legs where leg.instance == instance && leg.party.name == user && leg.isUser {
        if let target = leg.dialog?.remoteTarget, target.isInvalidDomain, binding.uri.isInvalidDomain,
          target.host.lowercased() != binding.uri.host.lowercased()
        {
          continue
        }
        leg.moved(to: binding.destination)
        enqueue(.reachable(leg), to: call)
      }
    }
  }

  // MARK: INVITE

  private func invite(_ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow) {
    func refuse(_ status: Int, _ why: String, _ header: (HeaderName, String)? = nil) {
      metrics.refused(why)
      var response = refusal(status, to: request)
      if let header { response.headers.set(header.0, header.1) }
      respond(response, to: transaction)
    }
    let replacing = request.headers.contains(.replaces)
    if isDraining, !replacing { return refuse(503, "draining", (.retryAfter, "30")) }
    if calls.count >= configuration.maximumCalls, !replacing {
      return refuse(503, "too-many-calls", (.retryAfter, "10"))
    }
    let maxForwards = request.headers.maxForwards ?? 70
    if maxForwards <= 0 { return refuse(483, "too-many-hops") }
    if let minimum = tooShortSession(request) { return refuse(422, "session-too-short", (.minSE, "\(minimum)")) }
    guard let dialled = request.uri.user, !dialled.isEmpty else { return refuse(404, "no-number") }

    let from = request.headers.from
    let known = userOfFlow(flow, from: from?.uri.user)
    // Only users replace; a carrier is asked to prove that it is one.
    if known == nil, !replacing {
      let trunk = trunk(of: flow)
      var dialled = dialled
      var routed = trunk == nil ? nil : directory.route(calledFromTrunk: dialled)
      // A carrier where we register may call our contact; the number called then stands in To.
      if let trunk, routed == nil, dialled == trunk.username ?? trunk.name, let number = request.headers.to?.uri.user {
        dialled = number
        routed = directory.route(calledFromTrunk: number)
      }
      if routed == nil, takeForRoom(request, transaction, flow, called: dialled, maxForwards: maxForwards) { return }
      if let trunk {
        begin(
          request, transaction, flow, party: .trunk(trunk), from: from?.uri.user ?? "anonymous", dialled: dialled,
          routed: routed ?? directory.route(dialInCall(request, trunk: trunk.name, flow, called: dialled)),
          maxForwards: maxForwards)
        return
      }
    }
    guard let user = known ?? authenticate(request, transaction, flow, proxy: true)
    else {
      // Neither an allowed trunk nor a user who proved to be one: nothing was set up for it.
      metrics.refused("unauthenticated-invite")
      return
    }
    if replacing { return replace(request, transaction, flow, by: user) }
    if callsCharged(to: user.name) >= configuration.maximumCallsPerUser { return refuse(486, "too-many-calls-of-user") }
    begin(
      request, transaction, flow, party: .user(user.name), from: user.name, dialled: dialled,
      routed: directory.route(dialledByUser: dialled)
        ?? directory.route(dialInCall(request, trunk: "", flow, called: dialled)), maxForwards: maxForwards)
  }

  /// The trunk that a flow comes from. A browser is none, even on a trunk's machine.
  private func trunk(of flow: Flow) -> Trunk? {
    guard !flow.transport.isWebSocket else { return nil }
    return directory.trunk(from: flow.remote.ip) { trunkAddresses[$0.name] ?? [] }
  }

  /// A connection over which the user registered has proved who is behind it; asking again costs a round trip.
  /// Datagrams prove nothing: there each INVITE is challenged.
  func userOfFlow(_ flow: Flow, from claimed: String?) -> User? {
    guard flow.transport.isReliable, let claimed,
      registrar.bindings(claimed, now: now).contains(where: { $0.flow == flow })
    else { return nil }
    return directory.user(claimed)
  }

  func begin(
    _ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, party: SIPLeg.Party, from: String,
    dialled: String, routed: RoutedCall?, maxForwards: Int
  ) {
    let display = request.headers.from?.displayName ?? ""
    let isTrunk = if case .trunk = party { true } else { false }
    let isOutbound = if case .trunk = routed?.target { true } else { false }
    let record = CallRecord(
      id: RandomToken.hex(bytes: 12), from: from, fromDisplay: display, to: dialled,
      direction: isTrunk ? .inbound : isOutbound ? .outbound : .internal, startedAt: .now())
    let caller = makeCallerLeg(request, transaction, flow, party: party, host: host(for: party, routed: routed))
    let call = makeCall(
      caller: caller, routed: routed ?? RoutedCall(target: .user(""), number: dialled), record: record)
    call.maxForwards = maxForwards - 1
    call.isRouted = routed != nil
    if case .user(let name) = party { call.responsible = name }
    metrics.callsStarted.increment()
    enqueue(.start, to: call)
  }

  /// Running calls that a user made, or sent on to a trunk.
  func callsCharged(to user: String, except call: Call? = nil) -> Int {
    calls.values.count { $0.responsible == user && $0 !== call }
  }

  func makeCallerLeg(
    _ request: SIPRequest, _ transaction: ServerTransactionID, _ flow: Flow, party: SIPLeg.Party, host: MediaHost
  ) -> SIPLeg {
    let tag = transactions.localTag(of: transaction) ?? newTag()
    let codecs: [AudioCodec] =
      switch party {
      case .user: configuration.userCodecs
      case .trunk(let trunk): trunk.codecs
      case .room: []
      }
    let leg = SIPLeg(
      id: nextLegID(), isCaller: true, party: party, core: self, host: host,
      callID: request.headers.callID ?? "", localTag: tag, destination: .flow(flow), request: request,
      profile: Self.wantsWebRTC(request, flow) ? .webRTC : .rtp, codecs: codecs, index: 0)
    leg.serverInvite = transaction
    leg.phase = .inviting
    leg.dialog = try? Dialog(uas: request, localTag: tag, flow: flow)
    if case .user(let name) = party {
      leg.instance = registrar.bindings(name, now: now).first { $0.flow == flow }?.instanceID
    }
    leg.readOffer()
    if leg.dialog == nil { leg.offerFailure = (400, "the INVITE has no usable Contact") }
    register(leg)
    registerInvite(transaction, leg)
    return leg
  }

  /// Browsers offer DTLS-SRTP; without an offer the transport tells.
  private static func wantsWebRTC(_ request: SIPRequest, _ flow: Flow) -> Bool {
    if request.body.isEmpty { return flow.transport.isWebSocket }
    return String(decoding: request.body, as: UTF8.self).contains("a=fingerprint:")
  }
}
