import Core
import SIP

/// Legs that Parley invites, and where their requests go.
extension B2BUA {
  func bindings(of user: String) -> [Binding] { registrar.bindings(user, now: now) }

  /// A leg towards one registered contact of a user.
  func makeLeg(for binding: Binding, user: String, call: Call) -> SIPLeg {
    let leg = makeLeg(
      party: .user(user), destination: binding.destination, target: binding.contact.uri,
      to: SIPURI(user: user, host: configuration.domain), fromUser: call.presentedCaller.user, call: call,
      profile: binding.flow.transport.isWebSocket ? .webRTC : .rtp, codecs: configuration.userCodecs)
    leg.instance = binding.instanceID
    // RFC 3327 §5.3: the path that the registration recorded.
    for path in binding.path { leg.inviteRequest.headers.append(.route, "\(path)") }
    return leg
  }

  /// A leg towards a trunk; nil where its host has no known address.
  /// - Parameter known: where the trunk is, if it is none of the directory's.
  func makeLeg(for trunk: Trunk, number: String, call: Call, at known: Destination? = nil) -> SIPLeg? {
    guard let destination = known ?? destination(of: trunk) else { return nil }
    // A carrier of rooms takes our own numbers only; a phone that is rung into a room brings its number along.
    let own = known == nil ? directory.roomTrunk(trunk.name)?.numbers.first : nil
    let presented = own ?? call.presentedCaller.user
    var target = SIPURI(user: number, host: trunk.host)
    if trunk.port != 5060 { target.port = trunk.port }
    if trunk.transport != "udp" { target.parameters.setRaw("transport", trunk.transport) }
    var to = target
    to.parameters = Parameters()
    return makeLeg(
      party: .trunk(trunk), destination: destination, target: target, to: to,
      fromUser: trunk.register ? trunk.username ?? presented : presented, call: call, profile: .rtp,
      codecs: trunk.codecs)
  }

  func destination(of trunk: Trunk) -> Destination? {
    trunkAddresses[trunk.name]?.first.map { destination(of: trunk, at: $0) }
  }

  func destination(of trunk: Trunk, at address: IPAddress) -> Destination {
    let transport: TransportProtocol =
      switch trunk.transport {
      case "tcp": .tcp
      case "tls": .tls
      default: .udp
      }
    return .address(transport, SocketAddress(ip: address, port: trunk.port))
  }

  private func makeLeg(
    party: SIPLeg.Party, destination: Destination, target: SIPURI, to: SIPURI, fromUser: String, call: Call,
    profile: SIPLeg.Profile, codecs: [AudioCodec]
  ) -> SIPLeg {
    let tag = newTag()
    let callID = RandomToken.hex(bytes: 12) + "@" + configuration.domain
    var from = NameAddress(uri: SIPURI(user: fromUser, host: fromHost(of: party, at: destination)))
    let display = call.presentedCaller.display
    from.displayName = display.isEmpty ? nil : display
    from.tag = tag
    var request = SIPRequest(method: .invite, uri: target)
    request.headers.maxForwards = call.maxForwards
    request.headers.from = from
    request.headers.to = NameAddress(uri: to)
    request.headers.callID = callID
    request.headers.cSeq = CSeq(number: UInt32.random(in: 1...10_000), method: .invite)
    request.headers.set(.contact, contactHeader(for: destination))
    request.headers.set(.allow, Self.allow)
    request.headers.userAgent = configuration.product
    identify(&request, party: party, call: call)
    sessionPolicy.offer(in: &request)
    let leg = SIPLeg(
      id: nextLegID(), isCaller: false, party: party, core: self, host: call.host, callID: callID, localTag: tag,
      destination: destination, request: request, profile: profile, codecs: codecs, index: call.nextIndex)
    if case .trunk(let trunk) = party, let username = trunk.username, let password = trunk.password {
      leg.credentials = DigestClient(username: username, password: Secret(password))
    }
    call.add(leg)
    register(leg)
    return leg
  }

  /// Our domain towards users; towards a trunk our own address, since a domain of ours means nothing there.
  private func fromHost(of party: SIPLeg.Party, at current: Destination) -> String {
    guard case .trunk(let trunk) = party else { return configuration.domain }
    if trunk.register { return trunk.host }
    return dependencies.contact(current).host
  }

  /// `<sip:parley@host:port;transport=…>` that the peer can send to. Never `sips:` and never `transport=wss`: RFC 7118
  /// defines only `ws`, and JsSIP answers 416 to a `sips:` target.
  func contactHeader(for destination: Destination, user: String = "parley") -> String {
    let (host, port) = dependencies.contact(destination)
    var uri = SIPURI(user: user, host: host)
    uri.port = port
    switch destination.transport {
    case .udp: break
    case .tcp: uri.parameters.setRaw("transport", "tcp")
    case .tls: uri.parameters.setRaw("transport", "tls")
    case .ws, .wss: uri.parameters.setRaw("transport", "ws")
    }
    return "<\(uri)>"
  }

  func inDialogDestination(of leg: SIPLeg) -> Destination {
    leg.dialog.map { inDialogDestination(of: leg.party, from: leg.destination, dialog: $0) } ?? leg.destination
  }

  /// Where a request inside the dialog goes: down the flow for connections and `.invalid` contacts; for UDP to the
  /// first route or the target where that is a reachable literal address, else to where the far end's messages come from
  /// (a private address behind NAT, or a name).
  func inDialogDestination(of party: SIPLeg.Party, from current: Destination, dialog: Dialog) -> Destination {
    guard current.transport == .udp, case .trunk = party else { return current }
    let next = dialog.nextHop
    guard let ip = next.address, !ip.isUnspecified else { return current }
    let source = current.remote.ip
    if ip != source, ip.isPrivate || ip.isLoopback, !(source.isPrivate || source.isLoopback) { return current }
    return .address(.udp, SocketAddress(ip: ip, port: next.port ?? 5060))
  }
}
