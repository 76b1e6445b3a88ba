package import Core
package import SIP

/// One registered contact, for operators.
package struct Registration: Sendable, Hashable {
  package var user: String
  package var contact: String
  package var transport: TransportProtocol
  package var address: SocketAddress
  package var userAgent: String
  /// Seconds until it expires.
  package var expiresIn: Int
}

/// A trunk as it stands, for operators.
package struct TrunkState: Sendable, Hashable {
  package var name: String
  package var host: String
  /// Nil where the trunk does not register.
  package var registration: RegistrationState?
  package var activeCalls: Int

  package enum RegistrationState: Sendable, Hashable {
    case trying
    case registered
    /// With the reason in words.
    case failed(String)
  }
}

/// What the gateway holds for calls. All zero when no call is left and the last transactions have died away.
package struct GatewayHoldings: Sendable, Hashable {
  package var calls = 0
  package var legs = 0
  /// INVITEs of peers whose ACK or CANCEL may come.
  package var serverInvites = 0
  /// Requests of ours whose responses somebody waits for; trunk registrations excluded.
  package var clientRequests = 0
  package var timers = 0
  /// BYEs that wait for the ACK before them.
  package var deferredByes = 0

  package init() {}
}
