import Core
import Logging
import SIP

/// Calls that nobody made: phones that are rung into a room.
extension B2BUA {
  /// Rings a phone. The room sees it at once.
  /// - Parameters:
  ///   - addresses: of the trunk's host, where the directory's trunk is not meant.
  ///   - responsible: the user among whose calls it counts.
  ///   - completion: called once, with the start or with the answer, as the request wants.
  func originate(
    _ request: DialOut, addresses: [IPAddress], responsible: String? = nil,
    _ completion: @escaping (Result<DialledPhone, PhoneError>) -> Void
  ) {
    do throws(PhoneError) {
      let call = try makeCall(for: request)
      call.responsible = responsible
      if case .trunk(let trunk) = request.route { call.dialledTrunk = (trunk, addresses.first) }
      let conference: Conference
      do throws(EntryRefusal) {
        conference = try call.takeSeat(entry(for: request, call: call), stage: .dialling)
      } catch {
        forget(call)
        throw PhoneError(.refused, Call.words(error))
      }
      let phone = DialledPhone(
        callID: call.id, sipCallID: "", room: request.room, identity: conference.seat.identity,
        participantSID: conference.seat.participantSID)
      conference.dialling = Dialling(
        request: request, phone: phone, completion: request.waitsForAnswer ? completion : nil)
      metrics.callsStarted.increment()
      enqueue(.start, to: call)
      if !request.waitsForAnswer { completion(.success(phone)) }
    } catch {
      completion(.failure(error))
    }
  }

  private func makeCall(for request: DialOut) throws(PhoneError) -> Call {
    guard !isDraining else { throw PhoneError(.unavailable, "the server is shutting down") }
    guard calls.count < configuration.maximumCalls else { throw PhoneError(.unavailable, "too many calls") }
    guard rooms != nil else { throw PhoneError(.unavailable, "rooms are not served here") }
    guard !request.room.isEmpty, !request.identity.isEmpty, !request.number.isEmpty else {
      throw PhoneError(.invalid, "room, identity and number are needed")
    }
    guard DigitScript(request.digits) != nil else {
      throw PhoneError(.invalid, "the digits may be 0-9, *, #, A-D and w for a pause")
    }
    let routed: RoutedCall
    switch request.route {
    case .trunk(let trunk): routed = RoutedCall(target: .trunk(trunk.name), number: request.number)
    case .user(let name): routed = RoutedCall(target: .user(name), number: name)
    case .directory:
      guard let found = directory.route(dialledByUser: request.number) else {
        throw PhoneError(.notFound, "no number, user or route matches \(request.number)", sipStatus: 404)
      }
      routed = found
    }
    var isOutbound = false
    switch routed.target {
    case .trunk: isOutbound = true
    case .user: break
    default: throw PhoneError(.invalid, "\(routed.target) is no phone")
    }
    let record = CallRecord(
      id: RandomToken.hex(bytes: 12), from: request.callerNumber ?? request.room, fromDisplay: request.callerName,
      to: request.number, direction: isOutbound ? .outbound : .internal, startedAt: .now())
    let caller = makeRoomLeg(request.room, host: nextHost(), index: 0)
    let call = makeCall(caller: caller, routed: routed, record: record)
    call.invitedHeaders = request.headers
    return call
  }

  private func entry(for request: DialOut, call: Call) -> PhoneEntry {
    var entry = PhoneEntry(
      room: request.room, identity: request.identity,
      name: request.name.isEmpty ? "Phone \(request.number)" : request.name, metadata: request.metadata)
    entry.replaces = true
    entry.attributes = [
      PhoneAttribute.callID: call.id, PhoneAttribute.phoneNumber: request.number,
      PhoneAttribute.status: PhoneStatus.dialing.rawValue,
    ]
    if case .trunk(let name) = call.routed.target {
      entry.attributes[PhoneAttribute.trunkID] = name
      entry.attributes[PhoneAttribute.trunkPhoneNumber] = call.record.from
    }
    entry.attributes.merge(request.attributes) { $1 }
    return entry
  }

  /// A side of a call that is a room: it has neither dialog nor media of its own.
  func makeRoomLeg(_ name: String, host: MediaHost, index: Int) -> SIPLeg {
    let nowhere = Destination.address(.udp, SocketAddress(ip: IPAddress(v4: 0), port: 0))
    let request = SIPRequest(method: .invite, uri: SIPURI(user: "room", host: configuration.domain))
    return SIPLeg(
      id: nextLegID(), isCaller: true, party: .room(name), core: self, host: host, callID: "", localTag: "",
      destination: nowhere, request: request, profile: .rtp, codecs: [], index: index)
  }

  func makeRoomLeg(_ name: String, call: Call) -> SIPLeg {
    let leg = makeRoomLeg(name, host: call.host, index: call.members.count)
    call.add(leg)
    return leg
  }

  // MARK: Phones in rooms

  /// The call whose phone sits in a room under an identity.
  func phone(_ identity: String, in room: String) -> Call? {
    calls.values.first { call in
      guard let conference = call.conference, conference.stage != .left else { return false }
      return conference.room == room && conference.seat.identity == identity
    }
  }

  func seat(_ seat: SeatID, call id: String, _ event: SeatEvent) {
    guard let call = calls[id] else { return }
    enqueue(.seat(seat, event), to: call)
  }
}

extension Call {
  /// The legs that a call begins with; of a phone that is rung into a room perhaps over a trunk of its own.
  func makeFirstLegs() throws(Refusal) -> [SIPLeg] {
    guard let (trunk, ip) = dialledTrunk else { return try makeLegs(for: routed) }
    let address = ip.map { core.destination(of: trunk, at: $0) }
    guard let leg = core.makeLeg(for: trunk, number: routed.number, call: self, at: address) else {
      throw Refusal(status: 503, reason: "the trunk's host \(trunk.host) does not resolve")
    }
    for (name, value) in invitedHeaders.sorted(by: { $0.key < $1.key }) where B2BUA.mayBeSet(name) {
      leg.inviteRequest.headers.append(HeaderName(name), leg.quoted(value))
    }
    return [leg]
  }

  /// The phone that was rung into a room answered: it takes the caller's side, as all phones in rooms do.
  func dialledPhoneAnswered(_ leg: SIPLeg) async {
    guard let conference else { return }
    caller = leg
    callee = nil
    if let dialling = conference.dialling {
      let attributes = attributes(of: leg, number: dialling.request.number, called: record.from)
      core.rooms?.setAttributes(conference.seat.id, attributes.merging(dialling.request.attributes) { $1 })
    }
    builtIn = conference.connect(leg)
    await updateSources()
    await conference.answered()
  }
}

extension B2BUA {
  /// Whether a header field may come from outside: only such as mean nothing to the protocol.
  static func mayBeSet(_ name: String) -> Bool {
    let name = name.lowercased()
    return name.hasPrefix("x-")
      && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D }
  }
}
