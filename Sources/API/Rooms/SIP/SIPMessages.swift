import Core
import LiveKitProtocol
import Store
import SwiftProtobuf

// LiveKit's messages and what is stored. Fields without a meaning here stay in `original`, so that what was given comes
// back; the others are taken from the stored value, which REST may have changed since.

extension InboundRoomTrunk {
  init(_ info: Livekit_SIPInboundTrunkInfo, id: String, createdAt: WallTime) {
    self.init(id: id, name: info.name, createdAt: createdAt)
    metadata = info.metadata
    numbers = info.numbers
    allowedAddresses = info.allowedAddresses
    allowedNumbers = info.allowedNumbers
    username = info.authUsername.isEmpty ? nil : info.authUsername
    password = info.authPassword.isEmpty ? nil : info.authPassword
    headersToAttributes = info.headersToAttributes
    headerSelection = HeaderSelection(info.includeHeaders)
    maximumDuration = info.hasMaxCallDuration ? info.maxCallDuration.inSeconds : nil
    original = (try? info.serializedBytes()) ?? []
    updatedAt = .now()
  }

  var message: Livekit_SIPInboundTrunkInfo {
    var info = (try? Livekit_SIPInboundTrunkInfo(serializedBytes: original)) ?? Livekit_SIPInboundTrunkInfo()
    info.sipTrunkID = id
    info.name = name
    info.metadata = metadata
    info.numbers = numbers
    info.allowedAddresses = allowedAddresses
    info.allowedNumbers = allowedNumbers
    info.authUsername = username ?? ""
    info.authPassword = password ?? ""
    info.headersToAttributes = headersToAttributes
    info.includeHeaders = headerSelection.option
    if let maximumDuration {
      info.maxCallDuration = .init(inSeconds: maximumDuration)
    } else {
      info.clearMaxCallDuration()
    }
    info.createdAt = .init(createdAt)
    info.updatedAt = .init(updatedAt)
    return info
  }

  /// Only what the update names.
  mutating func apply(_ update: Livekit_SIPInboundTrunkUpdate) {
    var info = message
    if update.hasNumbers { update.numbers.apply(to: &info.numbers) }
    if update.hasAllowedAddresses { update.allowedAddresses.apply(to: &info.allowedAddresses) }
    if update.hasAllowedNumbers { update.allowedNumbers.apply(to: &info.allowedNumbers) }
    if update.hasAuthUsername { info.authUsername = update.authUsername }
    if update.hasAuthPassword { info.authPassword = update.authPassword }
    if update.hasAuthRealm { info.authRealm = update.authRealm }
    if update.hasName { info.name = update.name }
    if update.hasMetadata { info.metadata = update.metadata }
    if update.hasMediaEncryption { info.mediaEncryption = update.mediaEncryption }
    if update.hasMedia { info.media = update.media }
    self = InboundRoomTrunk(info, id: id, createdAt: createdAt)
  }

  var legacyMessage: Livekit_SIPTrunkInfo {
    .with {
      $0.sipTrunkID = id
      $0.kind = .trunkInbound
      $0.name = name
      $0.metadata = metadata
      $0.outboundNumber = numbers.first ?? ""
      $0.inboundAddresses = allowedAddresses
      $0.inboundNumbers = allowedNumbers
      $0.inboundUsername = username ?? ""
      $0.inboundPassword = password ?? ""
    }
  }
}

extension OutboundRoomTrunk {
  init(_ info: Livekit_SIPOutboundTrunkInfo, id: String, createdAt: WallTime) {
    self.init(id: id, name: info.name, address: info.address, createdAt: createdAt)
    metadata = info.metadata
    transport = Self.transports.first { $0.1 == info.transport }?.0 ?? "auto"
    numbers = info.numbers
    username = info.authUsername.isEmpty ? nil : info.authUsername
    password = info.authPassword.isEmpty ? nil : info.authPassword
    headers = info.headers
    codecs = Self.codecs(info.media)
    original = (try? info.serializedBytes()) ?? []
    updatedAt = .now()
  }

  /// A trunk for one call.
  init(_ config: Livekit_SIPOutboundConfig, number: String) {
    self.init(id: "", name: "", address: config.hostname, createdAt: .now())
    transport = Self.transports.first { $0.1 == config.transport }?.0 ?? "auto"
    numbers = [number]
    username = config.authUsername.isEmpty ? nil : config.authUsername
    password = config.authPassword.isEmpty ? nil : config.authPassword
  }

  private static let transports: [(String, Livekit_SIPTransport)] = [
    ("auto", .auto), ("udp", .udp), ("tcp", .tcp), ("tls", .tls),
  ]

  /// Those that we have, in the order given.
  private static func codecs(_ media: Livekit_SIPMediaConfig) -> [AudioCodec] {
    var codecs: [AudioCodec] = []
    for codec in media.codecs {
      if let known = AudioCodec(encodingName: codec.name), !codecs.contains(known) { codecs.append(known) }
    }
    return codecs
  }

  var message: Livekit_SIPOutboundTrunkInfo {
    var info = (try? Livekit_SIPOutboundTrunkInfo(serializedBytes: original)) ?? Livekit_SIPOutboundTrunkInfo()
    info.sipTrunkID = id
    info.name = name
    info.metadata = metadata
    info.address = address
    info.transport = Self.transports.first { $0.0 == transport }?.1 ?? .auto
    info.numbers = numbers
    info.authUsername = username ?? ""
    info.authPassword = password ?? ""
    info.headers = headers
    info.createdAt = .init(createdAt)
    info.updatedAt = .init(updatedAt)
    return info
  }

  mutating func apply(_ update: Livekit_SIPOutboundTrunkUpdate) {
    var info = message
    if update.hasAddress { info.address = update.address }
    if update.hasTransport { info.transport = update.transport }
    if update.hasDestinationCountry { info.destinationCountry = update.destinationCountry }
    if update.hasNumbers { update.numbers.apply(to: &info.numbers) }
    if update.hasAuthUsername { info.authUsername = update.authUsername }
    if update.hasAuthPassword { info.authPassword = update.authPassword }
    if update.hasName { info.name = update.name }
    if update.hasMetadata { info.metadata = update.metadata }
    if update.hasMediaEncryption { info.mediaEncryption = update.mediaEncryption }
    if update.hasMedia { info.media = update.media }
    if update.hasFromHost { info.fromHost = update.fromHost }
    self = OutboundRoomTrunk(info, id: id, createdAt: createdAt)
  }

  var legacyMessage: Livekit_SIPTrunkInfo {
    let message = message
    return .with {
      $0.sipTrunkID = id
      $0.kind = .trunkOutbound
      $0.name = name
      $0.metadata = metadata
      $0.outboundAddress = address
      $0.outboundNumber = numbers.first ?? ""
      $0.transport = message.transport
      $0.outboundUsername = username ?? ""
      $0.outboundPassword = password ?? ""
    }
  }
}

extension DispatchRule {
  /// - Throws: where no kind of rule is given.
  init(_ info: Livekit_SIPDispatchRuleInfo, id: String, createdAt: WallTime) throws(TwirpError) {
    let target: Target
    let pin: String
    switch info.rule.rule {
    case .dispatchRuleDirect(let rule):
      target = .direct(room: rule.roomName)
      pin = rule.pin
    case .dispatchRuleIndividual(let rule):
      target = .individual(prefix: rule.roomPrefix, random: !rule.noRandomness)
      pin = rule.pin
    case .dispatchRuleCallee(let rule):
      target = .callee(prefix: rule.roomPrefix, random: rule.randomize)
      pin = rule.pin
    case nil: throw TwirpError(.invalidArgument, "missing rule")
    }
    self.init(id: id, name: info.name, target: target, createdAt: createdAt)
    self.pin = pin.isEmpty ? nil : pin
    trunks = info.trunkIds
    callers = info.inboundNumbers
    numbers = info.numbers
    hidesNumber = info.hidePhoneNumber
    metadata = info.metadata
    attributes = info.attributes
    roomPreset = info.roomPreset
    roomConfiguration = info.hasRoomConfig ? (try? info.roomConfig.serializedBytes()) ?? [] : []
    original = (try? info.serializedBytes()) ?? []
    updatedAt = .now()
  }

  var message: Livekit_SIPDispatchRuleInfo {
    var info = (try? Livekit_SIPDispatchRuleInfo(serializedBytes: original)) ?? Livekit_SIPDispatchRuleInfo()
    info.sipDispatchRuleID = id
    info.name = name
    switch target {
    case .direct(let room):
      info.rule.dispatchRuleDirect = .with { ($0.roomName, $0.pin) = (room, pin ?? "") }
    case .individual(let prefix, let random):
      info.rule.dispatchRuleIndividual = .with {
        ($0.roomPrefix, $0.pin, $0.noRandomness) = (prefix, pin ?? "", !random)
      }
    case .callee(let prefix, let random):
      info.rule.dispatchRuleCallee = .with { ($0.roomPrefix, $0.pin, $0.randomize) = (prefix, pin ?? "", random) }
    }
    info.trunkIds = trunks
    info.inboundNumbers = callers
    info.numbers = numbers
    info.hidePhoneNumber = hidesNumber
    info.metadata = metadata
    info.attributes = attributes
    info.roomPreset = roomPreset
    if let config = try? Livekit_RoomConfiguration(serializedBytes: roomConfiguration), !roomConfiguration.isEmpty {
      info.roomConfig = config
    } else {
      info.clearRoomConfig()
    }
    info.createdAt = .init(createdAt)
    info.updatedAt = .init(updatedAt)
    return info
  }

  /// What LiveKit's messages know nothing of is kept from `self`.
  mutating func replace(by info: Livekit_SIPDispatchRuleInfo) throws(TwirpError) {
    var rule = try DispatchRule(info, id: id, createdAt: createdAt)
    rule.hostPIN = hostPIN
    rule.waitsForHost = waitsForHost
    self = rule
  }

  mutating func apply(_ update: Livekit_SIPDispatchRuleUpdate) throws(TwirpError) {
    var info = message
    if update.hasTrunkIds { update.trunkIds.apply(to: &info.trunkIds) }
    if update.hasRule { info.rule = update.rule }
    if update.hasName { info.name = update.name }
    if update.hasMetadata { info.metadata = update.metadata }
    for (name, value) in update.attributes { info.attributes[name] = value.isEmpty ? nil : value }
    if update.hasMediaEncryption { info.mediaEncryption = update.mediaEncryption }
    if update.hasMedia { info.media = update.media }
    try replace(by: info)
  }
}

extension Livekit_CreateSIPDispatchRuleRequest {
  /// The rule, whichever way it is given.
  var info: Livekit_SIPDispatchRuleInfo {
    if hasDispatchRule { return dispatchRule }
    return .with {
      if hasRule { $0.rule = rule }
      $0.trunkIds = trunkIds
      $0.hidePhoneNumber = hidePhoneNumber
      $0.inboundNumbers = inboundNumbers
      $0.name = name
      $0.metadata = metadata
      $0.attributes = attributes
      $0.roomPreset = roomPreset
      if hasRoomConfig { $0.roomConfig = roomConfig }
    }
  }
}

extension Livekit_ListUpdate {
  func apply(to list: inout [String]) {
    if clear { list = [] }
    if !set.isEmpty { list = set }
    for item in add where !list.contains(item) { list.append(item) }
    list.removeAll { remove.contains($0) }
  }
}

extension HeaderSelection {
  init(_ option: Livekit_SIPHeaderOptions) {
    switch option {
    case .sipXHeaders: self = .extensions
    case .sipAllHeaders: self = .all
    default: self = .none
    }
  }

  var option: Livekit_SIPHeaderOptions {
    switch self {
    case .none: .sipNoHeaders
    case .extensions: .sipXHeaders
    case .all: .sipAllHeaders
    }
  }
}

extension Google_Protobuf_Duration {
  var inSeconds: Double { Double(seconds) + Double(nanos) / 1e9 }

  init(inSeconds value: Double) {
    let bounded = value.isFinite ? min(max(value, 0), 1e9) : 0
    self.init(seconds: Int64(bounded), nanos: Int32((bounded - bounded.rounded(.down)) * 1e9))
  }
}

extension Google_Protobuf_Timestamp {
  init(_ time: WallTime) {
    let (seconds, rest) = time.milliseconds.quotientAndRemainder(dividingBy: 1000)
    self.init(seconds: seconds, nanos: Int32(max(0, rest)) * 1_000_000)
  }
}
