import Core

/// Names a client transaction for as long as it lives.
package struct ClientTransactionID: Hashable, Sendable, CustomStringConvertible {
  let rawValue: UInt64
  package var description: String { "client#\(rawValue)" }
}

/// Names a server transaction for as long as it lives.
package struct ServerTransactionID: Hashable, Sendable, CustomStringConvertible {
  let rawValue: UInt64
  package var description: String { "server#\(rawValue)" }
}

/// What the user of the layer has to do after a call into it, in this order.
package enum TransactionAction: Sendable {
  case transmit(SIPMessage, to: Destination)
  /// A new request. `received` and `rport` stand in its top Via. The layer answers an INVITE with 100 by itself after
  /// 200 ms; everything else is the user's to answer.
  case request(ServerTransactionID, SIPRequest, Flow)
  /// The ACK of our 2xx, once; it ends the retransmissions of the 2xx.
  case acknowledged(ServerTransactionID, SIPRequest)
  /// The INVITE was cancelled; the CANCEL has been answered. The user now answers the INVITE with 487.
  case cancelled(ServerTransactionID, CANCEL: SIPRequest)
  /// No ACK of our 2xx within 64·T1: the user sends BYE (RFC 3261 §13.3.1.4).
  case acknowledgementMissing(ServerTransactionID)
  /// Every provisional response, and each final one that is not a retransmission; to INVITE also the 2xx of further
  /// branches, told apart by their To tags.
  case response(ClientTransactionID, SIPResponse, Flow)
  /// No final response in time (Timers B and F, or 64·T1 after a CANCEL). The transaction is gone.
  case timeout(ClientTransactionID)
  /// The request could not be sent. The transaction is gone.
  case transportFailure(ClientTransactionID)
}

/// RFC 3261 §17.1.1.1 and table 4.
package struct TransactionTimers: Sendable {
  /// Round-trip estimate.
  package var t1 = Duration.milliseconds(500)
  /// Longest interval between retransmissions of non-INVITE requests and of responses to INVITE.
  package var t2 = Duration.seconds(4)
  /// Longest time a message stays in the network.
  package var t4 = Duration.seconds(5)
  /// Wait for retransmitted responses to an INVITE on unreliable transports: at least 32 s.
  package var timerD = Duration.seconds(32)
  /// After this an INVITE without an answer gets 100 (RFC 3261 §17.2.1).
  package var trying = Duration.milliseconds(200)
  /// The last provisional response to INVITE is repeated so often, lest proxies give up (RFC 3261 §13.3.1.1).
  package var provisionalRefresh = Duration.seconds(60)

  package init() {}
  package static let rfc3261 = TransactionTimers()

  /// 64·T1: Timers B, F, H, J, L and M.
  package var timeout: Duration { t1 * 64 }
}

/// Counters; they only grow.
package struct TransactionStatistics: Hashable, Sendable {
  package var requestsReceived: UInt64 = 0
  package var responsesReceived: UInt64 = 0
  /// Retransmitted requests and responses that were absorbed.
  package var retransmissionsAbsorbed: UInt64 = 0
  /// Messages sent again by a timer or because the peer repeated itself.
  package var retransmissionsSent: UInt64 = 0
  /// Responses that no transaction waits for.
  package var strayResponses: UInt64 = 0
  /// ACKs that belong to no INVITE of ours.
  package var strayAcknowledgements: UInt64 = 0
  package var mergedRequests: UInt64 = 0
  package var unmatchedCancels: UInt64 = 0
  /// Responses of the user that came too late or twice.
  package var ignoredResponses: UInt64 = 0
  package var timeouts: UInt64 = 0
  package var transportFailures: UInt64 = 0
  /// Requests refused because `maximumTransactions` was reached.
  package var refusedByLimit: UInt64 = 0

  package init() {}
}
