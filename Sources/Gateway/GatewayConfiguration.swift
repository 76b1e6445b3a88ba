package import Audio
package import Core
package import SIP
package import Transport

/// What the gateway needs to know; all from the configuration file.
package struct GatewayConfiguration: Sendable {
  /// The SIP domain of our users, for From, To and the realm's default.
  package var domain = "localhost"
  /// The digest realm.
  package var realm = "localhost"
  /// How long a called party may ring.
  package var noAnswerTimeout: Duration = .seconds(60)
  /// Session-Expires that we ask for (RFC 4028), in seconds.
  package var sessionExpires: UInt32 = 1800
  /// The smallest Session-Expires that we accept, in seconds.
  package var minimumSessionExpires: UInt32 = 90
  /// Calls at the same time; one more gets 503.
  package var maximumCalls = 2_000
  /// Calls of one user at the same time; one more gets 486.
  package var maximumCallsPerUser = 20
  /// The order of digest challenges.
  package var digestAlgorithms: [DigestAlgorithm] = [.md5, .sha256]
  /// What a digest may cover, in the order in which it is offered.
  package var digestQOPs: [DigestQOP] = [.auth]
  package var registrar = RegistrarPolicy()
  /// How long a leg whose media path was lost may look for a new one before the call ends.
  package var mediaRecovery: Duration = .seconds(30)
  /// How long a browser's call is held whose connection and media are gone.
  package var survival: Duration = .seconds(30)
  /// How long running calls may finish after SIGTERM.
  package var drainTimeout: Duration = .seconds(30)
  /// Trunks whose peers may transfer calls, to numbers that are called from there.
  package var transferringTrunks: Set<String> = []
  /// What callers go through before they are in a room.
  package var menu = DialInMenu.Configuration()
  /// The codecs that users' legs are offered, in order.
  package var userCodecs: [AudioCodec] = [.opus, .g722, .pcmu, .pcma]
  /// Every call is recorded, whatever its users, numbers, routes and trunks say.
  package var recordsAllCalls = false
  /// Users begin and pause recordings by keys: `*1`, `*2`.
  package var hasRecordingKeys = true
  /// What both sides hear when their call begins to be recorded.
  package var recordingNotice = RecordingNotice.none
  /// Whose ringback is heard by who is transferred.
  package var tones = CallProgressCountry.unitedStates
  var ringback: HostedSource { .tones(CallProgressTone(.ringback, tones)) }
  /// User-Agent and Server header.
  package var product = "Parley"

  package init() {}
}

/// How WebRTC peers are reached.
package enum ICEKind: Sendable, Hashable {
  /// A full agent with sockets of its own for each peer.
  case full
  /// ICE-lite, all peers on one UDP port and the TCP port of the same number.
  case singlePort(UInt16)
}

/// What media legs need to know.
package struct MediaConfiguration: Sendable {
  /// The addresses that SDP and candidates advertise, one a family; none: that of the interface towards the peer.
  package var advertisedAddresses: [IPAddress] = []
  /// Addresses to bind; empty: every interface's.
  package var listenAddresses: [IPAddress] = []
  package var ports: ClosedRange<UInt16> = 20000...29999
  /// Media workers.
  package var workers = 1
  package var ice = ICEKind.full
  package var stunServer: SocketAddress?
  package var turnServers: [TURNServer] = []
  /// Opus encoder complexity, 0…10.
  package var opusComplexity = 5
  /// How long a leg that should send may stay silent (RTP and RTCP) before the call ends.
  package var mediaTimeout: Duration = .seconds(60)

  package init() {}
}
