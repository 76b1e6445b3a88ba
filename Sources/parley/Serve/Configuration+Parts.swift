import Core
import Gateway
import NIOCore
import NIOPosix
import SIP
import SIPTransport
import Transport

/// The configuration in the words of the parts that it configures.
extension Configuration {
  var gateway: GatewayConfiguration {
    var gateway = GatewayConfiguration()
    gateway.domain = sip.domain
    gateway.realm = sip.effectiveRealm
    gateway.noAnswerTimeout = sip.noAnswer
    gateway.survival = calls.survival
    gateway.transferringTrunks = Set(calls.transferTrunks)
    gateway.sessionExpires = UInt32(clamping: Int(sip.sessionExpires.inSeconds))
    gateway.minimumSessionExpires = UInt32(clamping: Int(sip.minSE.inSeconds))
    gateway.maximumCalls = sip.limits.calls
    gateway.maximumCallsPerUser = sip.limits.callsPerUser
    gateway.registrar.maximumContacts = sip.limits.bindingsPerUser
    gateway.digestAlgorithms = sip.digest.map { $0 == .md5 ? .md5 : .sha256 }
    gateway.digestQOPs = sip.qop.map { $0 == .auth ? .auth : .authInt }
    gateway.drainTimeout = drain.timeout
    gateway.tones = speech.tones
    gateway.menu = dialInMenu
    gateway.recordsAllCalls = recordings.calls == .all
    gateway.hasRecordingKeys = recordings.keys
    gateway.recordingNotice = recordings.notice == .beep ? .beep : .none
    gateway.product = "Parley/\(parleyVersion)"
    return gateway
  }

  /// Resolves the names of STUN and TURN servers; a name that does not resolve is an error, as browsers behind NAT would
  /// fail one by one instead.
  func mediaPlane() async throws -> MediaConfiguration {
    var plane = MediaConfiguration()
    plane.advertisedAddresses = media.address
    plane.listenAddresses = media.listen
    plane.ports = media.ports
    plane.workers = media.workers ?? max(1, System.coreCount)
    plane.ice = media.ice == .full ? .full : .singlePort(media.port)
    plane.opusComplexity = media.opusComplexity
    plane.mediaTimeout = media.timeout
    if let stun = media.stun.first { plane.stunServer = try await resolve(stun, port: 3478, setting: "media.stun") }
    // TURN over TLS is for browsers; libnice speaks it over UDP and TCP.
    for turn in media.turn where turn.transport != .tls {
      plane.turnServers.append(
        Transport.TURNServer(
          address: try await resolve(turn.server, port: 3478, setting: "media.turn"), user: turn.username,
          password: turn.password, overTCP: turn.transport != .udp))
    }
    return plane
  }

  private func resolve(_ server: HostPort, port: UInt16, setting: String) async throws -> Core.SocketAddress {
    let host = server.host
    let addresses = try await NIOThreadPool.singleton.runIfActive { LocalAddresses.resolve(host) }
    guard let address = addresses.first else {
      throw UnresolvedName(setting: setting, host: host)
    }
    return Core.SocketAddress(ip: address, port: server.port ?? port)
  }

  struct UnresolvedName: Error, CustomStringConvertible {
    let setting: String
    let host: String
    var description: String { "\(setting): \(host) does not resolve. Correct the name, or remove the entry." }
  }
}

extension Configuration.SIPLimitsSection {
  func apply(to limits: inout SIPTransportLimits) {
    limits.maximumMessageSize = messageSize
    limits.maximumConnections = connections
    limits.maximumConnectionsPerSource = connectionsPerSource
    limits.messagesPerSecondPerSource = Double(messagesPerSecond)
    limits.messageBurstPerSource = Double(messagesPerSecond) * 4
  }
}
