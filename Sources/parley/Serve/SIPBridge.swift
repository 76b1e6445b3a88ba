import API
import Core
import Gateway
import NIOPosix
import Store

/// Phones in rooms as LiveKit's SIP service and REST command them.
struct SIPBridge: SIPControl {
  private let phones: any PhoneControl

  init(gateway: Gateway) {
    phones = GatewayPhones(gateway: gateway) { host in
      (try? await NIOThreadPool.singleton.runIfActive { LocalAddresses.resolve(host) }) ?? []
    }
  }

  func dial(_ phone: PhoneDial) async throws(PhoneFailure) -> RoomPhone {
    var request = DialOut(
      room: phone.room, identity: phone.identity, route: .directory, number: phone.number)
    if case .trunk(let trunk) = phone.way { request.route = .trunk(try Self.trunk(trunk)) }
    request.name = phone.name
    request.metadata = phone.metadata
    request.attributes = phone.attributes
    request.callerNumber = phone.callerNumber
    request.callerName = phone.callerName
    request.digits = phone.digits
    request.ringingTimeout = phone.ringingTimeout
    request.maximumDuration = phone.maximumDuration
    request.headers = phone.headers
    if case .trunk(let trunk) = phone.way { request.headers.merge(trunk.headers) { own, _ in own } }
    request.waitsForAnswer = phone.waitsForAnswer
    do {
      let dialled = try await phones.dialOut(request)
      return RoomPhone(
        callID: dialled.callID, sipCallID: dialled.sipCallID, room: dialled.room, identity: dialled.identity,
        participantSID: dialled.participantSID)
    } catch {
      throw PhoneFailure(error)
    }
  }

  func transfer(room: String, identity: String, to target: String) async throws(PhoneFailure) {
    guard let destination = Self.destination(target) else {
      throw PhoneFailure(.invalid, "\"\(target.prefix(64))\" is no number, tel: or sip: address, or room:name.")
    }
    do {
      try await phones.transfer(room: room, identity: identity, to: destination)
    } catch {
      throw PhoneFailure(error)
    }
  }

  func hangUp(room: String, identity: String) async throws(PhoneFailure) {
    do {
      try await phones.hangUp(room: room, identity: identity, reason: "ended by the operator")
    } catch {
      throw PhoneFailure(error)
    }
  }

  func sendDigits(room: String, identity: String, digits: String) async throws(PhoneFailure) {
    do {
      try await phones.sendDigits(room: room, identity: identity, digits: digits)
    } catch {
      throw PhoneFailure(error)
    }
  }

  /// `+1555…`, `tel:+1555…`, `sip:1001@host`, `<sip:…>`, `user:1001` or `room:sales`.
  static func destination(_ text: String) -> PhoneDestination? {
    var rest = text[...]
    if rest.first == "<", rest.last == ">" { rest = rest.dropFirst().dropLast() }
    func after(_ scheme: String) -> Substring? {
      rest.lowercased().hasPrefix(scheme) ? rest.dropFirst(scheme.count) : nil
    }
    if let room = after("room:") { return room.isEmpty ? nil : .room(String(room)) }
    if let user = after("user:") { return user.isEmpty ? nil : .user(String(user)) }
    rest = after("tel:") ?? after("sips:") ?? after("sip:") ?? rest
    let number = rest.prefix { $0 != "@" && $0 != ";" && $0 != "?" }
    guard !number.isEmpty, number.utf8.count <= 64, number.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      return nil
    }
    return .number(String(number))
  }

  /// A room's outbound trunk as the gateway calls one.
  static func trunk(_ trunk: OutboundRoomTrunk) throws(PhoneFailure) -> Trunk {
    guard let address = OutboundAddress(trunk.address) else {
      throw PhoneFailure(.invalid, "\"\(trunk.address)\" is no host name or address.")
    }
    let transport = trunk.transport == "auto" ? address.transport ?? "udp" : trunk.transport
    return Trunk(
      tenant: trunk.tenant, name: trunk.id.isEmpty ? address.host : trunk.id, host: address.host,
      port: address.port ?? (transport == "tls" ? 5061 : 5060), transport: transport,
      codecs: trunk.codecs.isEmpty ? [.pcmu, .pcma, .g722, .opus] : trunk.codecs, username: trunk.username,
      password: trunk.password)
  }
}

extension PhoneFailure {
  init(_ error: PhoneError) {
    let kind: Kind =
      switch error.kind {
      case .invalid: .invalid
      case .notFound: .notFound
      case .refused: .refused
      case .busy: .busy
      case .rejected: .rejected
      case .noAnswer: .noAnswer
      case .failed: .failed
      case .cancelled: .cancelled
      case .unavailable: .unavailable
      }
    self.init(kind, error.message, sipStatus: error.sipStatus)
  }
}
