package import Audio
package import Core

/// Phones in rooms.
extension Gateway {
  /// Makes the rooms known, and what phones are told in them. Before the first message.
  package func serve(rooms: any ConferenceRooms, prompts: (any Prompts)?) {
    core.rooms = rooms
    core.prompts = prompts
  }

  /// Something befell a phone's seat.
  package func seat(_ seat: SeatID, call: String, _ event: SeatEvent) {
    core.seat(seat, call: call, event)
    pump()
  }

  /// Rings a phone into a room.
  /// - Parameter addresses: of the trunk's host, for a trunk that is not in the directory.
  package func dialOut(_ request: DialOut, addresses: [IPAddress]) async throws(PhoneError) -> DialledPhone {
    let result = await withCheckedContinuation { continuation in
      core.originate(request, addresses: addresses) { continuation.resume(returning: $0) }
      pump()
    }
    return try result.get()
  }

  package func hangUpPhone(room: String, identity: String, reason: String) throws(PhoneError) {
    let call = try find(room, identity)
    core.enqueue(.hangUp(status: 480, reason: reason), to: call)
    pump()
  }

  package func sendDigits(room: String, identity: String, digits: String) throws(PhoneError) {
    guard DigitScript(digits) != nil else {
      throw PhoneError(.invalid, "the digits may be 0-9, *, #, A-D and w for a pause")
    }
    let call = try find(room, identity)
    guard let conference = call.conference, conference.stage == .seated else {
      throw PhoneError(.refused, "the phone has not answered yet")
    }
    core.enqueue(.seat(conference.seat.id, .digits(digits)), to: call)
    pump()
  }

  /// Moves a phone out of its room; returns when it has arrived.
  package func transferPhone(room: String, identity: String, to destination: PhoneDestination) async throws(PhoneError)
  {
    let call = try find(room, identity)
    guard call.conference?.stage == .seated else { throw PhoneError(.refused, "the phone has not answered yet") }
    let target: RoutedCall
    switch destination {
    case .room(let name): target = RoutedCall(target: .room(name), number: name)
    case .user(let name): target = RoutedCall(target: .user(name), number: name)
    case .number(let number):
      let trunk = if case .trunk(let trunk) = call.caller.party { trunk.name } else { String?.none }
      guard let found = core.directory.route(transferTo: number, phoneOf: trunk, called: call.record.to) else {
        throw PhoneError(.notFound, "no number, user or route matches \(number)", sipStatus: 404)
      }
      target = found
    }
    let outcome = await withCheckedContinuation { continuation in
      let request = TransferRequest(
        transferor: nil, dialled: target.number,
        report: { status, reason in
          if status >= 200 { continuation.resume(returning: (status, reason)) }
        })
      core.enqueue(.transfer(call.caller, to: target, request), to: call)
      pump()
    }
    guard outcome.0 < 300 else {
      throw PhoneError(outcome.0 == 486 ? .busy : .failed, outcome.1, sipStatus: outcome.0)
    }
  }

  /// How many phones sit in rooms, or ring.
  package var phoneCount: Int { core.calls.values.count { $0.conference != nil } }

  private func find(_ room: String, _ identity: String) throws(PhoneError) -> Call {
    guard let call = core.phone(identity, in: room) else {
      throw PhoneError(.notFound, "no phone \(identity) is in the room \(room)")
    }
    return call
  }
}

/// The running gateway as REST and LiveKit's SIP service command its phones.
package struct GatewayPhones: PhoneControl {
  private let gateway: Gateway
  private let resolve: @Sendable (String) async -> [IPAddress]

  /// - Parameter resolve: gives the addresses of a host name.
  package init(gateway: Gateway, resolve: @escaping @Sendable (String) async -> [IPAddress]) {
    self.gateway = gateway
    self.resolve = resolve
  }

  package func dialOut(_ request: DialOut) async throws(PhoneError) -> DialledPhone {
    var addresses: [IPAddress] = []
    if case .trunk(let trunk) = request.route {
      addresses = IPAddress(trunk.host).map { [$0] } ?? []
      if addresses.isEmpty { addresses = await resolve(trunk.host) }
      if addresses.isEmpty { throw PhoneError(.notFound, "the trunk's host \(trunk.host) does not resolve") }
    }
    return try await gateway.dialOut(request, addresses: addresses)
  }

  package func hangUp(room: String, identity: String, reason: String) async throws(PhoneError) {
    try await gateway.hangUpPhone(room: room, identity: identity, reason: reason)
  }

  package func sendDigits(room: String, identity: String, digits: String) async throws(PhoneError) {
    try await gateway.sendDigits(room: room, identity: identity, digits: digits)
  }

  package func transfer(room: String, identity: String, to: PhoneDestination) async throws(PhoneError) {
    try await gateway.transferPhone(room: room, identity: identity, to: to)
  }
}
