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
