package import Core

/// The location service: bindings by address of record (RFC 3261 §10.3, RFC 5626 §6, RFC 7118 §5).
///
/// Authentication is the caller's, before. A value: one mutation, then its response and changes.
package struct Registrar: Sendable {
  package var policy: RegistrarPolicy
  private var bindings: [String: [Binding]] = [:]
  private var aors: [UInt64: String] = [:]
  /// Addresses of record that have bindings over a connection.
  private var flows: [UInt64: Set<String>] = [:]
  private var queue = TimerQueue()
  private var nextID: UInt64 = 1

  package init(policy: RegistrarPolicy = RegistrarPolicy()) { self.policy = policy }

  /// Bindings, unreachable ones included.
  package var count: Int { aors.count }
  package var addressesOfRecord: [String] { Array(bindings.keys) }
  package var nextDeadline: Instant? { queue.first.map { Instant(nanoseconds: $0.deadline) } }

  /// Everything registered, unreachable bindings included.
  package func allBindings(_ aor: String) -> [Binding] { bindings[aor] ?? [] }

  /// Where to ring, best first: by `q`, then the latest. Of several flows of one instance only the latest counts
  /// (RFC 5626 §5.3).
  package func bindings(_ aor: String, now: Instant) -> [Binding] {
    let usable = (bindings[aor] ?? []).filter { $0.isReachable && $0.expiry > now }
      .sorted { ($0.preference, $0.updated, $0.id) > ($1.preference, $1.updated, $1.id) }
    return usable.filter { candidate in
      guard let instance = candidate.instanceID else { return true }
      return !usable.contains {
        $0.instanceID == instance && ($0.updated, $0.id) > (candidate.updated, candidate.id)
      }
    }
  }

  // MARK: REGISTER

  /// Takes a REGISTER that has been authorised for `aor`.
  package mutating func register(
    _ request: SIPRequest, aor: String, flow: Flow, now: Instant
  ) -> RegistrarOutcome {
    let headers = request.headers
    func refuse(_ status: Int, _ reason: String? = nil) -> RegistrarOutcome {
      RegistrarOutcome(response: SIPResponse(to: request, status: status, reason: reason, toTag: nil), changes: [])
    }
    guard let callID = headers.callID, let sequence = headers.cSeq?.number else { return refuse(400) }
    var changes = expire(aor, now: now)
    let wildcard = headers.hasContactWildcard
    guard let contacts = wildcard ? [] : try? headers.addresses(.contact),
      let path = try? headers.addresses(.path)
    else { return refuse(400, "Bad Contact") }
    let before = bindings[aor] ?? []
    var planned = before
    if wildcard {
      guard headers.expires == 0 else { return refuse(400, "Contact * needs Expires 0") }
      for binding in planned where binding.callID == callID && sequence <= binding.sequence {
        return refuse(500, "Old CSeq")
      }
      changes += planned.map { .removed($0, .unregistered) }
      planned = []
    }
    for contact in contacts {
      guard contact.uri.isSIP else { return refuse(400, "Contact is not a SIP URI") }
      var expires = lifetime(contact, headers)
      if expires > 0, expires < 3600, expires < policy.minimumExpires {
        var response = SIPResponse(to: request, status: 423, toTag: nil)
        response.headers.minExpires = policy.minimumExpires
        return RegistrarOutcome(response: response, changes: [])
      }
      expires = min(expires, policy.maximumExpires)
      let wanted = Candidate(contact, flow)
      if let index = planned.firstIndex(where: { wanted.matches($0) }) {
        if let old = before.first(where: { $0.id == planned[index].id }), old.callID == callID, sequence <= old.sequence
        {
          return refuse(500, "Old CSeq")
        }
        if expires == 0 {
          changes.append(.removed(planned.remove(at: index), .unregistered))
        } else {
          planned[index].update(wanted, flow, request, callID, sequence, path, now + .seconds(Int64(expires)), now)
          changes.append(.refreshed(planned[index]))
        }
      } else if expires > 0 {
        guard planned.count < policy.maximumContacts else { return refuse(403, "Too Many Contacts") }
        var binding = Binding(
          id: nextID, aor: aor, contact: contact, flow: flow, destination: .flow(flow), path: path, callID: callID,
          sequence: sequence, expiry: now, updated: now)
        nextID += 1
        binding.update(wanted, flow, request, callID, sequence, path, now + .seconds(Int64(expires)), now)
        planned.append(binding)
        changes.append(.added(binding))
      }
    }
    commit(planned, aor)
    dropStaleTimers()
    return RegistrarOutcome(response: success(request, contacts, aor, flow, now), changes: changes)
  }

  /// Seconds that a contact asks for (RFC 3261 §10.2.1.1, §10.3 step 6). What is not a number counts as absent.
  private func lifetime(_ contact: NameAddress, _ headers: Headers) -> UInt32 {
    if let text = contact.parameters["expires"] {
      let digits = text.utf8Span.span
      guard let value = Grammar.number(digits, 0, digits.count) else { return policy.defaultExpires }
      return UInt32(clamping: value)
    }
    return headers.expires ?? policy.defaultExpires
  }

  private func success(
    _ request: SIPRequest, _ contacts: [NameAddress], _ aor: String, _ flow: Flow, _ now: Instant
  ) -> SIPResponse {
    var response = SIPResponse(to: request, status: 200, toTag: nil)
    for binding in bindings[aor] ?? [] where binding.expiry > now {
      var contact = binding.contact
      // Rounded up: a client that is told 0 thinks it is not registered.
      contact.parameters["expires"] = String(((binding.expiry - now).nanoseconds + 999_999_999) / 1_000_000_000)
      response.headers.append(.contact, contact.description)
    }
    if request.headers.supports("path") { response.headers.copy(.path, from: request.headers) }
    // RFC 5626 §6: said only when instance and reg-id were honoured, and where the flow is a connection that we keep.
    let isOutbound = contacts.contains { $0.parameters.contains("reg-id") && $0.parameters.contains("+sip.instance") }
    if isOutbound, flow.transport.isReliable, request.headers.supports("outbound") {
      response.headers.append(.require, "outbound")
    }
    return response
  }

  // MARK: Ends

  /// Takes all bindings of `aor` away.
  package mutating func remove(_ aor: String) -> [RegistrarChange] {
    let removed = bindings[aor] ?? []
    commit([], aor)
    dropStaleTimers()
    return removed.map { .removed($0, .administrative) }
  }

  /// A connection is gone. Its bindings are not used any more and go after the grace time; a contact that can be reached
  /// by a new connection stays.
  package mutating func flowClosed(_ flow: Flow, now: Instant) {
    for aor in flows[flow.id] ?? [] {
      guard var list = bindings[aor] else { continue }
      for index in list.indices where list[index].flow.id == flow.id && list[index].flow.transport.isReliable {
        if let address = list[index].reachableAddress {
          list[index].destination = .address(flow.transport, address)
        } else {
          list[index].graceEnd = now + policy.flowGrace
        }
      }
      commit(list, aor)
    }
    flows.removeValue(forKey: flow.id)
    dropStaleTimers()
  }

  /// Removes what has expired.
  package mutating func advance(to now: Instant) -> [RegistrarChange] {
    var changes: [RegistrarChange] = []
    while let entry = queue.first, entry.deadline <= now.nanoseconds {
      queue.removeFirst()
      if let aor = aors[entry.transaction] { changes += expire(aor, now: now) }
    }
    dropStaleTimers()
    return changes
  }

  private mutating func expire(_ aor: String, now: Instant) -> [RegistrarChange] {
    guard let list = bindings[aor], list.contains(where: { $0.end <= now }) else { return [] }
    commit(list.filter { $0.end > now }, aor)
    return list.filter { $0.end <= now }.map { .removed($0, $0.expiry <= now ? .expired : .flowClosed) }
  }

  /// Makes `list` the bindings of `aor`, indexes and timers included.
  private mutating func commit(_ list: [Binding], _ aor: String) {
    for old in bindings[aor] ?? [] {
      aors.removeValue(forKey: old.id)
      if old.flow.transport.isReliable {
        flows[old.flow.id]?.remove(aor)
        if flows[old.flow.id]?.isEmpty == true { flows.removeValue(forKey: old.flow.id) }
      }
    }
    for binding in list {
      aors[binding.id] = aor
      if binding.flow.transport.isReliable { flows[binding.flow.id, default: []].insert(aor) }
      queue.insert(TimerQueue.Entry(deadline: binding.end.nanoseconds, transaction: binding.id, kind: .linger))
    }
    bindings[aor] = list.isEmpty ? nil : list
  }

  private func isLive(_ entry: TimerQueue.Entry) -> Bool {
    guard let aor = aors[entry.transaction], let list = bindings[aor] else { return false }
    return list.contains { $0.id == entry.transaction && $0.end.nanoseconds == entry.deadline }
  }

  private mutating func dropStaleTimers() {
    while let entry = queue.first, !isLive(entry) { queue.removeFirst() }
    // Clients refresh long before the end: without this an hour's refreshes would pile up.
    guard queue.count > 1024 + 4 * aors.count else { return }
    var fresh = TimerQueue()
    for binding in bindings.values.joined() {
      fresh.insert(TimerQueue.Entry(deadline: binding.end.nanoseconds, transaction: binding.id, kind: .linger))
    }
    queue = fresh
  }
}

/// What a contact is recognised by.
struct Candidate {
  let contact: NameAddress
  let instanceID: String?
  let regID: UInt32?
  let flowID: UInt64?

  init(_ contact: NameAddress, _ flow: Flow) {
    var stored = contact
    stored.parameters.remove("expires")
    self.contact = stored
    instanceID = contact.parameters["+sip.instance"]
    regID = contact.parameters["reg-id"].flatMap { UInt32($0) }
    // A browser's contact is random; without reg-id its connection is what stays the same.
    flowID = contact.uri.isInvalidDomain && flow.transport.isReliable ? flow.id : nil
  }

  /// Instance and reg-id where both are given (RFC 5626 §6), else the URI (RFC 3261 §10.3 step 7), or for `.invalid`
  /// contacts the connection.
  func matches(_ binding: Binding) -> Bool {
    if let instanceID, let regID { return binding.instanceID == instanceID && binding.regID == regID }
    if binding.instanceID != nil, binding.regID != nil { return false }
    if contact.uri.isEquivalent(to: binding.uri) { return true }
    return flowID != nil && binding.uri.isInvalidDomain && binding.flow.id == flowID
  }
}

extension Binding {
  mutating func update(
    _ candidate: Candidate, _ flow: Flow, _ request: SIPRequest, _ callID: String, _ sequence: UInt32,
    _ path: [NameAddress], _ expiry: Instant, _ now: Instant
  ) {
    contact = candidate.contact
    instanceID = candidate.instanceID
    regID = candidate.regID
    self.flow = flow
    self.path = path
    self.callID = callID
    self.sequence = sequence
    self.expiry = expiry
    userAgent = request.headers.userAgent
    updated = now
    graceEnd = nil
    destination = .flow(flow)
    // A UDP phone that does not ask for symmetric routing listens where its Contact says, if that is the same machine.
    if flow.transport == .udp, request.headers.topVia?.wantsRport == false, contact.uri.address == flow.remote.ip {
      let remote = SocketAddress(ip: flow.remote.ip, port: contact.uri.port ?? TransportProtocol.udp.defaultPort)
      destination = .flow(Flow(id: flow.id, transport: .udp, local: flow.local, remote: remote))
    }
  }

  /// Where a new connection could reach the contact: an address literal of the machine that registered, with a port.
  fileprivate var reachableAddress: SocketAddress? {
    guard !flow.transport.isWebSocket, instanceID == nil || regID == nil, let ip = uri.address, ip == flow.remote.ip,
      let port = uri.port
    else { return nil }
    return SocketAddress(ip: ip, port: port)
  }
}
