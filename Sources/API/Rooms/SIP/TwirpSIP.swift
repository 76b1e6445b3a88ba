import Core
import LiveKitProtocol
import Store
import SwiftProtobuf

/// LiveKit's SIP service, method by method: the grant, the store, the answer.
func sipServiceMethods(_ services: SIPServices) -> [TwirpMethod] {
  let store = services.store

  func method(_ name: String, _ call: @escaping @Sendable (TwirpCall) async throws -> [UInt8]) -> TwirpMethod {
    TwirpMethod(service: "SIP", name: name) { request in
      do {
        return try await call(request)
      } catch let error as StoreError {
        throw TwirpError(error)
      }
    }
  }
  func administration(
    _ name: String, _ call: @escaping @Sendable (TwirpCall) async throws -> [UInt8]
  ) -> TwirpMethod {
    method(name) { request in
      try request.require(.sipAdmin)
      return try await call(request)
    }
  }

  @Sendable func inbound(_ id: String) async throws -> InboundRoomTrunk {
    guard case .inbound(let trunk) = try await store.roomTrunk(id) else { throw TwirpError.noTrunk }
    return trunk
  }
  @Sendable func outbound(_ id: String) async throws -> OutboundRoomTrunk {
    guard case .outbound(let trunk) = try await store.roomTrunk(id) else { throw TwirpError.noTrunk }
    return trunk
  }

  return [
    administration("CreateSIPInboundTrunk") { call in
      let request = try call.decode(Livekit_CreateSIPInboundTrunkRequest.self)
      try requireNew(request.hasTrunk, request.trunk.sipTrunkID, "trunk")
      let trunk = InboundRoomTrunk(request.trunk, id: PhoneID.make("ST_"), createdAt: .now())
      try await store.write(trunk, mode: .create)
      return try call.encode(trunk.message)
    },
    administration("CreateSIPOutboundTrunk") { call in
      let request = try call.decode(Livekit_CreateSIPOutboundTrunkRequest.self)
      try requireNew(request.hasTrunk, request.trunk.sipTrunkID, "trunk")
      let trunk = OutboundRoomTrunk(request.trunk, id: PhoneID.make("ST_"), createdAt: .now())
      try await store.write(trunk, mode: .create)
      return try call.encode(trunk.message)
    },
    administration("UpdateSIPInboundTrunk") { call in
      let request = try call.decode(Livekit_UpdateSIPInboundTrunkRequest.self)
      var trunk = try await inbound(request.sipTrunkID)
      switch request.action {
      case .replace(let info):
        try requireSame(info.sipTrunkID, trunk.id)
        trunk = InboundRoomTrunk(info, id: trunk.id, createdAt: trunk.createdAt)
      case .update(let update): trunk.apply(update)
      case nil: throw TwirpError(.invalidArgument, "missing or unsupported update action")
      }
      try await store.write(trunk, mode: .update)
      return try call.encode(trunk.message)
    },
    administration("UpdateSIPOutboundTrunk") { call in
      let request = try call.decode(Livekit_UpdateSIPOutboundTrunkRequest.self)
      var trunk = try await outbound(request.sipTrunkID)
      switch request.action {
      case .replace(let info):
        try requireSame(info.sipTrunkID, trunk.id)
        trunk = OutboundRoomTrunk(info, id: trunk.id, createdAt: trunk.createdAt)
      case .update(let update): trunk.apply(update)
      case nil: throw TwirpError(.invalidArgument, "missing or unsupported update action")
      }
      try await store.write(trunk, mode: .update)
      return try call.encode(trunk.message)
    },
    administration("GetSIPInboundTrunk") { call in
      let request = try call.decode(Livekit_GetSIPInboundTrunkRequest.self)
      let trunk = try await inbound(request.sipTrunkID)
      return try call.encode(Livekit_GetSIPInboundTrunkResponse.with { $0.trunk = trunk.message })
    },
    administration("GetSIPOutboundTrunk") { call in
      let request = try call.decode(Livekit_GetSIPOutboundTrunkRequest.self)
      let trunk = try await outbound(request.sipTrunkID)
      return try call.encode(Livekit_GetSIPOutboundTrunkResponse.with { $0.trunk = trunk.message })
    },
    administration("ListSIPInboundTrunk") { call in
      let request = try call.decode(Livekit_ListSIPInboundTrunkRequest.self)
      let trunks = try await store.roomTrunks().compactMap { trunk -> InboundRoomTrunk? in
        if case .inbound(let trunk) = trunk { trunk } else { nil }
      }
      var response = Livekit_ListSIPInboundTrunkResponse()
      response.items = chosen(trunks, by: request.trunkIds, page: request.page, id: \.id) {
        request.numbers.isEmpty || $0.numbers.isEmpty || !Set($0.numbers).isDisjoint(with: request.numbers)
      }.map { $0?.message ?? .init() }
      return try call.encode(list: response, named: "items", isEmpty: response.items.isEmpty)
    },
    administration("ListSIPOutboundTrunk") { call in
      let request = try call.decode(Livekit_ListSIPOutboundTrunkRequest.self)
      let trunks = try await store.roomTrunks().compactMap { trunk -> OutboundRoomTrunk? in
        if case .outbound(let trunk) = trunk { trunk } else { nil }
      }
      var response = Livekit_ListSIPOutboundTrunkResponse()
      response.items = chosen(trunks, by: request.trunkIds, page: request.page, id: \.id) {
        request.numbers.isEmpty || $0.numbers.contains("*") || !Set($0.numbers).isDisjoint(with: request.numbers)
      }.map { $0?.message ?? .init() }
      return try call.encode(list: response, named: "items", isEmpty: response.items.isEmpty)
    },
    administration("ListSIPTrunk") { call in
      let request = try call.decode(Livekit_ListSIPTrunkRequest.self)
      var response = Livekit_ListSIPTrunkResponse()
      response.items = chosen(try await store.roomTrunks(), by: [], page: request.page, id: \.id) { _ in true }
        .compactMap { $0?.legacyMessage }
      return try call.encode(list: response, named: "items", isEmpty: response.items.isEmpty)
    },
    administration("DeleteSIPTrunk") { call in
      let request = try call.decode(Livekit_DeleteSIPTrunkRequest.self)
      guard let trunk = try await store.removeRoomTrunk(request.sipTrunkID) else { throw TwirpError.noTrunk }
      return try call.encode(trunk.legacyMessage)
    },
    administration("CreateSIPDispatchRule") { call in
      let info = try call.decode(Livekit_CreateSIPDispatchRuleRequest.self).info
      try requireNew(true, info.sipDispatchRuleID, "rule")
      let rule = try DispatchRule(info, id: PhoneID.make("SDR_"), createdAt: .now())
      try await store.write(rule, mode: .create)
      return try call.encode(rule.message)
    },
    administration("UpdateSIPDispatchRule") { call in
      let request = try call.decode(Livekit_UpdateSIPDispatchRuleRequest.self)
      guard var rule = try await store.dispatchRule(request.sipDispatchRuleID) else { throw TwirpError.noRule }
      switch request.action {
      case .replace(let info):
        try requireSame(info.sipDispatchRuleID, rule.id)
        try rule.replace(by: info)
      case .update(let update): try rule.apply(update)
      case nil: throw TwirpError(.invalidArgument, "missing or unsupported update action")
      }
      try await store.write(rule, mode: .update)
      return try call.encode(rule.message)
    },
    administration("ListSIPDispatchRule") { call in
      let request = try call.decode(Livekit_ListSIPDispatchRuleRequest.self)
      var response = Livekit_ListSIPDispatchRuleResponse()
      response.items = chosen(
        try await store.dispatchRules(), by: request.dispatchRuleIds, page: request.page, id: \.id
      ) {
        request.trunkIds.isEmpty || $0.trunks.isEmpty || !Set($0.trunks).isDisjoint(with: request.trunkIds)
      }.map { $0?.message ?? .init() }
      return try call.encode(list: response, named: "items", isEmpty: response.items.isEmpty)
    },
    administration("DeleteSIPDispatchRule") { call in
      let request = try call.decode(Livekit_DeleteSIPDispatchRuleRequest.self)
      guard let rule = try await store.removeDispatchRule(request.sipDispatchRuleID) else { throw TwirpError.noRule }
      return try call.encode(rule.message)
    },
    method("CreateSIPParticipant") { call in
      try call.require(.sipCall)
      let request = try call.decode(Livekit_CreateSIPParticipantRequest.self)
      let phone: RoomPhone
      do {
        phone = try await services.control.dial(try await request.dial(store))
      } catch let failure as PhoneFailure {
        throw TwirpError(failure)
      }
      return try call.encode(
        Livekit_SIPParticipantInfo.with {
          $0.participantID = phone.participantSID
          $0.participantIdentity = phone.identity
          $0.roomName = phone.room
          // What the participant's attribute sip.callID says.
          $0.sipCallID = phone.callID
        })
    },
    method("TransferSIPParticipant") { call in
      let request = try call.decode(Livekit_TransferSIPParticipantRequest.self)
      try call.require(.roomAdmin, room: request.roomName)
      try call.require(.sipCall)
      guard !request.participantIdentity.isEmpty, !request.transferTo.isEmpty else {
        throw TwirpError(.invalidArgument, "participant_identity and transfer_to must be set")
      }
      let id = PhoneID.make("STR_")
      do throws(PhoneFailure) {
        try await services.control.transfer(
          room: request.roomName, identity: request.participantIdentity, to: request.transferTo)
      } catch {
        throw TwirpError(error, transferID: id)
      }
      return try call.encode(
        Livekit_TransferSIPParticipantResponse.with {
          $0.transferID = id
          $0.status = .stsTransferSuccessful
          $0.reason = .strCompleted
          $0.sipStatus = .with { ($0.code, $0.status) = (.sipStatusOk, "OK") }
        })
    },
  ]
}

private func requireNew(_ isThere: Bool, _ id: String, _ what: String) throws(TwirpError) {
  guard isThere else { throw TwirpError(.invalidArgument, "missing \(what)") }
  guard id.isEmpty else { throw TwirpError(.invalidArgument, "\(what) id must not be set") }
}

private func requireSame(_ id: String, _ expected: String) throws(TwirpError) {
  guard id.isEmpty || id == expected else {
    throw TwirpError(.invalidArgument, "the id in the info must be empty or match the id in the update")
  }
}

/// By ids in their order, with nil for those that do not exist; else the page of those that pass.
private func chosen<Item>(
  _ items: [Item], by ids: [String], page: Livekit_Pagination, id: (Item) -> String, _ passes: (Item) -> Bool
) -> [Item?] {
  if !ids.isEmpty { return ids.map { wanted in items.first { id($0) == wanted } } }
  var items = items.filter(passes)
  if !page.afterID.isEmpty {
    items.sort { id($0) < id($1) }
    items.removeAll { id($0) <= page.afterID }
  }
  return page.limit > 0 ? Array(items.prefix(Int(page.limit))) : items
}

extension RoomTrunk {
  fileprivate var legacyMessage: Livekit_SIPTrunkInfo {
    switch self {
    case .inbound(let trunk): trunk.legacyMessage
    case .outbound(let trunk): trunk.legacyMessage
    }
  }
}

extension TwirpError {
  static let noTrunk = TwirpError(.notFound, "requested sip trunk does not exist")
  static let noRule = TwirpError(.notFound, "requested sip dispatch rule does not exist")

  init(_ error: StoreError) {
    switch error.kind {
    case .invalid: self.init(.invalidArgument, error.problem)
    case .exists: self.init(.alreadyExists, error.problem)
    case .missing: self.init(.notFound, error.problem)
    case .busy, .full, .overloaded: self.init(.unavailable, "the database cannot take this now")
    default: self.init(.internal, "the database failed")
    }
  }

  /// Dialling failures by the status of the far end, as LiveKit translates them: never a status that makes a client dial
  /// once more by itself.
  init(_ failure: PhoneFailure, transferID: String? = nil) {
    let code: Code =
      switch (failure.sipStatus, failure.kind) {
      case (401?, _), (402?, _), (403?, _), (433?, _), (603?, _), (607?, _), (608?, _): .permissionDenied
      case (404?, _), (301?, _), (302?, _), (410?, _), (481?, _), (604?, _): .notFound
      case (408?, _), (504?, _): .deadlineExceeded
      case (480?, _), (486?, _), (600?, _): .resourceExhausted
      case (487?, _), (491?, _): .aborted
      case (407?, _): .permissionDenied
      case (let status?, _) where (500..<600).contains(status): .failedPrecondition
      case (_?, _): .invalidArgument
      case (nil, .invalid): .invalidArgument
      case (nil, .notFound): .notFound
      case (nil, .refused): .failedPrecondition
      case (nil, .busy): .resourceExhausted
      case (nil, .rejected): .permissionDenied
      case (nil, .noAnswer): .deadlineExceeded
      case (nil, .cancelled): .aborted
      case (nil, .failed), (nil, .unavailable): .failedPrecondition
      }
    self.init(code, failure.message)
    if let status = failure.sipStatus {
      meta["sip_status_code"] = "\(status)"
      meta["sip_status"] = failure.message
    }
    if let transferID {
      meta["sip_transfer_id"] = transferID
      meta["sip_transfer_reason"] =
        switch failure.kind {
        case .noAnswer: "STR_RINGING_TIMEOUT"
        case .cancelled: "STR_CANCELED"
        case .notFound where failure.sipStatus == nil: "STR_CALL_ENDED"
        default: "STR_REJECTED"
        }
    }
  }
}
