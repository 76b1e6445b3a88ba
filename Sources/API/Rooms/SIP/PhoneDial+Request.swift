import Core
import LiveKitProtocol
import Store

extension Livekit_CreateSIPParticipantRequest {
  /// What is to be dialled, with the trunk that the request names.
  func dial(_ store: Store) async throws -> PhoneDial {
    guard !sipCallTo.isEmpty else { throw TwirpError(.invalidArgument, "missing sip callee number") }
    guard !roomName.isEmpty else { throw TwirpError(.invalidArgument, "missing room name") }
    for (isGiven, field) in [
      (hasSipRequestUri, "sip_request_uri"), (hasSipToHeader, "sip_to_header"), (hasSipFromHeader, "sip_from_header"),
      (!toUserOverride.isEmpty, "to_user_override"),
    ] where isGiven {
      throw TwirpError(.unimplemented, "\(field) is not served; set sip_call_to and sip_number")
    }
    let way: PhoneDial.Way
    if !sipTrunkID.isEmpty {
      guard case .outbound(let stored) = try await store.roomTrunk(sipTrunkID) else { throw TwirpError.noTrunk }
      way = .trunk(stored)
    } else if hasTrunk {
      let inline = OutboundRoomTrunk(trunk, number: sipNumber)
      guard !sipNumber.isEmpty else { throw TwirpError(.invalidArgument, "sip_number must be set with trunk") }
      if let problem = PhoneRules.problem(with: inline) { throw TwirpError(.invalidArgument, problem) }
      way = .trunk(inline)
    } else {
      throw TwirpError(.invalidArgument, "missing sip trunk id")
    }
    let number = try PhoneNumber.callee(sipCallTo)
    var dial = PhoneDial(room: roomName, identity: participantIdentity, way: way, number: number)
    dial.name = participantName
    dial.metadata = participantMetadata
    dial.attributes = participantAttributes
    dial.callerNumber = sipNumber.isEmpty ? nil : sipNumber
    dial.callerName = hasDisplayName ? displayName : ""
    dial.digits = dtmf
    dial.headers = headers
    dial.waitsForAnswer = waitUntilAnswered
    if hasRingingTimeout {
      guard (1...300).contains(ringingTimeout.inSeconds) else {
        throw TwirpError(.invalidArgument, "ringing_timeout must be 1 to 300 seconds")
      }
      dial.ringingTimeout = .milliseconds(Int64(ringingTimeout.inSeconds * 1000))
    }
    if hasMaxCallDuration, maxCallDuration.inSeconds > 0 {
      dial.maximumDuration = .milliseconds(Int64(min(maxCallDuration.inSeconds, 604_800) * 1000))
    }
    do {
      try dial.complete(hidesNumber: hidePhoneNumber)
    } catch {
      throw TwirpError(.invalidArgument, error.message)
    }
    return dial
  }
}

/// What people write where a telephone number is meant.
enum PhoneNumber {
  /// The number, or user, of `+1555…`, `tel:+1555…` or `sip:+1555…@host`.
  static func callee(_ text: String) throws(TwirpError) -> String {
    var rest = text[...]
    for scheme in ["sips:", "sip:", "tel:"] where rest.lowercased().hasPrefix(scheme) {
      rest = rest.dropFirst(scheme.count)
      break
    }
    rest = rest.prefix { $0 != "@" && $0 != ";" }
    guard isUsable(rest) else { throw TwirpError(.invalidArgument, "\"\(text.prefix(64))\" is no number") }
    return String(rest)
  }

  static func isUsable(_ number: some StringProtocol) -> Bool {
    !number.isEmpty && number.utf8.count <= 64
      && number.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "+*#-._~()!".utf8.contains($0)
      }
  }
}

extension PhoneDial {
  /// Checks what every face has in common; sets what was left open, and the attributes by which clients know a phone.
  mutating func complete(hidesNumber: Bool) throws(PhoneFailure) {
    for (text, what) in [(room, "room"), (identity, "identity"), (name, "name"), (callerName, "caller's name")] {
      guard text.utf8.count <= 256, !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
        throw PhoneFailure(.invalid, "The \(what) has more than 256 bytes or a control character.")
      }
    }
    guard room.utf8.count <= 128 else { throw PhoneFailure(.invalid, "The room's name has more than 128 bytes.") }
    guard metadata.utf8.count <= 65_536 else { throw PhoneFailure(.invalid, "The metadata has more than 65536 bytes.") }
    guard digits.utf8.count <= 128, digits.uppercased().allSatisfy({ "0123456789*#ABCDW".contains($0) }) else {
      throw PhoneFailure(.invalid, "DTMF may have at most 128 of 0-9 * # A-D, and w for a pause of half a second.")
    }
    if let callerNumber, !PhoneNumber.isUsable(callerNumber) {
      throw PhoneFailure(.invalid, "\"\(callerNumber.prefix(64))\" is no number to call from.")
    }
    if let problem = PhoneRules.headersProblem(headers) { throw PhoneFailure(.invalid, problem) }
    if case .trunk(let trunk) = way {
      if callerNumber == nil { callerNumber = trunk.numbers.first { $0 != "*" } }
      if !trunk.id.isEmpty { attributes[PhoneAttribute.trunkID] = trunk.id }
    }
    if identity.isEmpty { identity = "sip_" + (hidesNumber ? RandomToken.hex(bytes: 8) : number) }
    if name.isEmpty { name = hidesNumber ? "Phone" : "Phone \(number)" }
    // An empty value takes away what would be there.
    attributes[PhoneAttribute.phoneNumber] = hidesNumber ? "" : number
    attributes[PhoneAttribute.trunkPhoneNumber] = hidesNumber ? "" : callerNumber ?? ""
  }
}
