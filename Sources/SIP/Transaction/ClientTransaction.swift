import Core

/// One client transaction (RFC 3261 §17.1, RFC 6026 §7.2) as data; `TransactionLayer` moves it.
struct ClientTransaction {
  enum State {
    /// INVITE sent, nothing heard.
    case calling
    /// Another request sent, nothing heard.
    case trying
    case proceeding
    /// A final response came (for INVITE: not 2xx); retransmissions of it are absorbed.
    case completed
    /// A 2xx to INVITE came; the 2xx of further branches are passed on (RFC 6026 §7.2).
    case accepted
  }

  /// How far a CANCEL has come (RFC 3261 §9.1).
  enum Cancellation {
    case none
    /// Wanted, but no provisional response has come yet.
    case waiting(reason: String?)
    case sent
  }

  /// RFC 3261 §17.1.3: branch and CSeq method.
  struct Key: Hashable {
    let branch: String
    let method: Method
  }

  /// An ACK of a 2xx, kept for its retransmissions.
  struct Acknowledgement {
    let toTag: String
    let request: SIPRequest
    let destination: Destination
  }

  let id: ClientTransactionID
  let key: Key
  /// With our Via on top.
  let request: SIPRequest
  let destination: Destination
  /// A CANCEL that the layer itself sends; its responses are nobody's business.
  let isInternal: Bool
  var state: State
  /// Current interval of Timer A or E.
  var interval: Duration
  var deadlines = Deadlines()
  var cancellation = Cancellation.none
  /// To tags of the 2xx seen.
  var acceptedTags: [String] = []
  var acknowledgements: [Acknowledgement] = []
  /// ACK of the non-2xx final response.
  var negativeACK: SIPRequest?

  var isInvite: Bool { key.method == .invite }
  var isReliable: Bool { destination.transport.isReliable }
  var isPending: Bool { state == .calling || state == .trying || state == .proceeding }

  /// ACK of a 300–699 response (RFC 3261 §17.1.1.3).
  func negativeAcknowledgement(of response: SIPResponse) -> SIPRequest {
    var ack = derived(.ack)
    if let to = response.headers[.to] { ack.headers[.to] = to }
    return ack
  }

  /// CANCEL of this request (RFC 3261 §9.1), Via included.
  func cancelRequest(reason: String?) -> SIPRequest {
    var cancel = derived(.cancel)
    if let reason { cancel.headers.append(.reason, reason) }
    return cancel
  }

  /// What ACK and CANCEL share: Request-URI, top Via, Route, From, To, Call-ID and the number of CSeq.
  private func derived(_ method: Method) -> SIPRequest {
    var headers = Headers()
    if let via = request.headers.topVia { headers.append(.via, via.description) }
    headers.copy(.route, from: request.headers)
    for name in [HeaderName.from, .to, .callID] {
      if let value = request.headers[name] { headers.append(name, value) }
    }
    headers.append(.cSeq, "\(request.headers.cSeq?.number ?? 0) \(method.rawValue)")
    headers.append(.maxForwards, "70")
    return SIPRequest(method: method, uri: request.uri, headers: headers)
  }
}
