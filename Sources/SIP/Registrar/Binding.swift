package import Core

/// One way to reach a user (RFC 3261 §10, RFC 5626).
package struct Binding: Sendable, Identifiable {
  /// Unique in the registrar's life; a refresh keeps it.
  package let id: UInt64
  package let aor: String
  /// As registered, without `expires`.
  package internal(set) var contact: NameAddress
  /// `+sip.instance` without quotes: `<urn:uuid:…>`.
  package internal(set) var instanceID: String?
  package internal(set) var regID: UInt32?
  package internal(set) var flow: Flow
  /// Where requests go. For WebSocket always the flow: the contact's host is never resolved (RFC 7118 §5.3).
  package internal(set) var destination: Destination
  package internal(set) var path: [NameAddress]
  package internal(set) var callID: String
  package internal(set) var sequence: UInt32
  package internal(set) var expiry: Instant
  package internal(set) var userAgent: String?
  package internal(set) var updated: Instant
  /// Set when the flow is closed: the binding is not used, and goes at this moment unless it is registered again.
  package internal(set) var graceEnd: Instant?

  package var uri: SIPURI { contact.uri }
  /// `q` in thousandths.
  package var preference: Int { contact.preference }
  package var isReachable: Bool { graceEnd == nil }

  /// When the binding ends by itself.
  var end: Instant { graceEnd.map { min($0, expiry) } ?? expiry }
}

package enum RegistrarChange: Sendable {
  case added(Binding)
  /// Refreshed or moved to another flow.
  case refreshed(Binding)
  case removed(Binding, RemovalReason)

  package enum RemovalReason: String, Hashable, Sendable {
    case unregistered
    case expired
    case flowClosed
    /// Thrown out by the operator.
    case administrative
  }
}

package struct RegistrarOutcome: Sendable {
  /// Without To tag: the transaction layer adds it.
  package let response: SIPResponse
  package let changes: [RegistrarChange]
}

package struct RegistrarPolicy: Sendable {
  /// Shorter wishes, if under an hour, are refused with 423. Seconds.
  package var minimumExpires: UInt32 = 60
  /// Longer wishes are cut. Seconds.
  package var maximumExpires: UInt32 = 3600
  /// Without a wish. Seconds.
  package var defaultExpires: UInt32 = 3600
  package var maximumContacts = 10
  /// How long a binding outlives its flow, unused, so that a client that comes back is a refresh.
  package var flowGrace = Duration.seconds(30)

  package init() {}
}
