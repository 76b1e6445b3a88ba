package import Core

/// What REST asks of the running gateway. The composition root implements it.
package protocol GatewayControl: Sendable {
  /// Whether new calls are taken; false while draining.
  var isReady: Bool { get async }
  /// Running calls, oldest first, with their counters as they stand.
  func liveCalls() async -> [CallRecord]
  /// Ends a running call; false if there is none of that id.
  func hangUp(callID: String) async -> Bool
  func registrations() async -> [RegistrationInfo]
  func trunkStates() async -> [TrunkInfo]
}

/// One registered contact.
package struct RegistrationInfo: Sendable, Hashable, Encodable {
  package var user: String
  package var contact: String
  /// `UDP`, `TCP`, `TLS`, `WS` or `WSS`.
  package var transport: String
  /// Where requests to it go, `192.0.2.1:5060`.
  package var address: String
  package var userAgent: String
  /// Seconds.
  package var expiresIn: Int

  package init(
    user: String, contact: String, transport: String, address: String, userAgent: String, expiresIn: Int
  ) {
    self.user = user
    self.contact = contact
    self.transport = transport
    self.address = address
    self.userAgent = userAgent
    self.expiresIn = expiresIn
  }
}

/// A trunk as it stands.
package struct TrunkInfo: Sendable, Hashable {
  package var name: String
  package var registration: Registration
  package var activeCalls: Int

  package enum Registration: Sendable, Hashable {
    /// The trunk does not register.
    case unused
    case trying
    case registered
    /// With the reason in words.
    case failed(String)
  }

  package init(name: String, registration: Registration, activeCalls: Int) {
    self.name = name
    self.registration = registration
    self.activeCalls = activeCalls
  }
}
