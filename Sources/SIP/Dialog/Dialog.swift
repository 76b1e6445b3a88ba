/// What identifies a dialog (RFC 3261 §12), from our side.
package struct DialogID: Hashable, Sendable, CustomStringConvertible {
  package let callID: String
  package let localTag: String
  /// Empty for a peer that sends no tag (RFC 2543).
  package let remoteTag: String

  package init(callID: String, localTag: String, remoteTag: String) {
    self.callID = callID
    self.localTag = localTag
    self.remoteTag = remoteTag
  }

  /// Of a request that arrived: To is ours. Nil without To tag.
  package init?(incoming headers: Headers) {
    guard let callID = headers.callID, let localTag = headers.toTag else { return nil }
    self.init(callID: callID, localTag: localTag, remoteTag: headers.fromTag ?? "")
  }

  /// Of a response to a request of ours: From is ours. Nil without To tag.
  package init?(response headers: Headers) {
    guard let callID = headers.callID, let localTag = headers.fromTag, let remoteTag = headers.toTag else { return nil }
    self.init(callID: callID, localTag: localTag, remoteTag: remoteTag)
  }

  package var description: String { "\(callID) \(localTag) \(remoteTag)" }
}

package enum DialogError: Error, Hashable, Sendable {
  /// A header that makes the dialog is absent or malformed.
  case missing(HeaderName)
  /// A response that makes no dialog: 100, a final one other than 2xx, or one without To tag.
  case notDialogForming(status: Int)
}

/// What to do with a request inside a dialog.
package enum DialogVerdict: Hashable, Sendable {
  case accept
  /// Its CSeq is not above the last one: answer 500 (RFC 3261 §12.2.2).
  case outOfOrder
  /// Not of this dialog: answer 481.
  case wrongDialog
}

/// One dialog (RFC 3261 §12) as a value.
package struct Dialog: Sendable {
  package private(set) var id: DialogID
  /// Our From (or To) without tag, as written on the first request.
  package let localURI: NameAddress
  package let remoteURI: NameAddress
  /// Where requests of this dialog are addressed: the peer's Contact.
  package private(set) var remoteTarget: SIPURI
  package private(set) var routeSet: [NameAddress]
  /// Number of our last request; 0 before the first.
  package private(set) var localSequence: UInt32
  /// Number of the peer's last request; nil before the first.
  package private(set) var remoteSequence: UInt32?
  package private(set) var isConfirmed: Bool
  /// Whether we received the first request.
  package let isUAS: Bool
  /// The way the first request came, on the UAS side; where requests go when the target is `.invalid` (RFC 7118 §5).
  package var flow: Flow?

  /// The UAS side (RFC 3261 §12.1.1). Early until `confirm()`.
  package init(uas request: SIPRequest, localTag: String, flow: Flow) throws(DialogError) {
    let headers = request.headers
    guard let callID = headers.callID else { throw .missing(.callID) }
    guard var from = headers.from else { throw .missing(.from) }
    guard var to = headers.to else { throw .missing(.to) }
    guard let cSeq = headers.cSeq else { throw .missing(.cSeq) }
    guard let contact = headers.contact else { throw .missing(.contact) }
    guard let routes = try? headers.addresses(.recordRoute) else { throw .missing(.recordRoute) }
    id = DialogID(callID: callID, localTag: localTag, remoteTag: from.tag ?? "")
    from.tag = nil
    to.tag = nil
    localURI = to
    remoteURI = from
    remoteTarget = contact.uri
    routeSet = routes
    localSequence = 0
    remoteSequence = cSeq.number
    isConfirmed = false
    isUAS = true
    self.flow = flow
  }

  /// The UAC side (RFC 3261 §12.1.2), from a provisional response with To tag (early) or a 2xx (confirmed).
  package init(uac request: SIPRequest, response: SIPResponse) throws(DialogError) {
    let headers = response.headers
    guard response.status > 100, response.status < 300 else { throw .notDialogForming(status: response.status) }
    guard let callID = headers.callID ?? request.headers.callID else { throw .missing(.callID) }
    guard var from = request.headers.from, let localTag = from.tag else { throw .missing(.from) }
    guard var to = headers.to else { throw .missing(.to) }
    guard let cSeq = request.headers.cSeq else { throw .missing(.cSeq) }
    guard let routes = try? headers.addresses(.recordRoute) else { throw .missing(.recordRoute) }
    guard to.tag != nil || response.isSuccess else { throw .notDialogForming(status: response.status) }
    id = DialogID(callID: callID, localTag: localTag, remoteTag: to.tag ?? "")
    from.tag = nil
    to.tag = nil
    localURI = from
    remoteURI = to
    // Provisional responses without Contact are common; requests then go where the INVITE went.
    remoteTarget = headers.contact?.uri ?? request.uri
    routeSet = routes.reversed()
    localSequence = cSeq.number
    remoteSequence = nil
    isConfirmed = response.isSuccess
    isUAS = false
    flow = nil
  }

  /// The UAS sent its 2xx.
  package mutating func confirm() { isConfirmed = true }

  // MARK: Requests of ours

  /// The next request of the dialog (RFC 3261 §12.2.1.1): Request-URI, Route, From, To, Call-ID, CSeq and Max-Forwards.
  /// The caller adds Contact and body, the transaction layer Via. Not for ACK and CANCEL.
  package mutating func makeRequest(_ method: Method) -> SIPRequest {
    localSequence = localSequence < 0x7FFF_FFFF ? localSequence + 1 : localSequence
    return request(method, sequence: localSequence)
  }

  /// The ACK of a 2xx to the INVITE with this number (RFC 3261 §13.2.2.4).
  package func makeACK(sequence: UInt32) -> SIPRequest { request(.ack, sequence: sequence) }

  /// The URI that decides the next hop: the first route, else the target (RFC 3261 §8.1.2).
  package var nextHop: SIPURI { routeSet.first?.uri ?? remoteTarget }

  private func request(_ method: Method, sequence: UInt32) -> SIPRequest {
    var uri = remoteTarget
    var routes = routeSet
    if let first = routeSet.first, !first.uri.isLooseRouter {
      // Strict routing: the first route becomes the Request-URI and the target the last Route (RFC 3261 §12.2.1.1).
      uri = first.uri
      uri.headers = []
      uri.parameters.remove("method")
      routes.removeFirst()
      routes.append(NameAddress(uri: remoteTarget))
    }
    uri.headers = []
    var from = localURI
    from.tag = id.localTag
    var to = remoteURI
    if !id.remoteTag.isEmpty { to.tag = id.remoteTag }
    var headers = Headers()
    for route in routes { headers.append(.route, route.description) }
    headers.append(.maxForwards, "70")
    headers.append(.from, from.description)
    headers.append(.to, to.description)
    headers.append(.callID, id.callID)
    headers.append(.cSeq, "\(sequence) \(method.rawValue)")
    return SIPRequest(method: method, uri: uri, headers: headers)
  }

  // MARK: The peer's messages

  /// Checks a request that arrived, and takes its Contact as the new target where it is a target refresh request
  /// (RFC 3261 §12.2.2, RFC 3311 §5.2). ACK and CANCEL are accepted without a look at CSeq.
  package mutating func receive(_ request: SIPRequest) -> DialogVerdict {
    guard DialogID(incoming: request.headers) == id, let cSeq = request.headers.cSeq else { return .wrongDialog }
    if request.method == .ack || request.method == .cancel { return .accept }
    if let remoteSequence, cSeq.number <= remoteSequence { return .outOfOrder }
    remoteSequence = cSeq.number
    if request.method.isTargetRefresh, let contact = request.headers.contact { remoteTarget = contact.uri }
    return .accept
  }

  /// Takes a response to a request of ours: the target refresh of a 2xx (RFC 3261 §12.2.1.2), and the confirmation of an
  /// early dialog, which also fixes the route set (§13.2.2.4). Responses of other dialogs change nothing.
  package mutating func receive(_ response: SIPResponse, to request: SIPRequest) {
    guard DialogID(response: response.headers) == id, response.status > 100, response.status < 300 else { return }
    if request.method.isTargetRefresh, response.isSuccess || !isConfirmed, let contact = response.headers.contact {
      remoteTarget = contact.uri
    }
    if request.method == .invite, response.isSuccess, !isConfirmed {
      if !isUAS, let routes = try? response.headers.addresses(.recordRoute) { routeSet = routes.reversed() }
      isConfirmed = true
    }
  }
}

extension Method {
  /// INVITE and UPDATE refresh the target of an INVITE dialog; SUBSCRIBE, NOTIFY and REFER that of a subscription
  /// (RFC 3261 §12.2, RFC 3311 §5.1, RFC 6665 §4.4.1).
  package var isTargetRefresh: Bool {
    self == .invite || self == .update || self == .subscribe || self == .notify || self == .refer
  }
}
