import Core

/// One server transaction (RFC 3261 §17.2, RFC 6026 §7.1) as data; `TransactionLayer` moves it.
struct ServerTransaction {
  enum State {
    /// A request other than INVITE, not answered.
    case trying
    case proceeding
    /// A final response went out (for INVITE: not 2xx) and is repeated when the request is.
    case completed
    /// The ACK of a non-2xx came.
    case confirmed
    /// A 2xx to INVITE went out; it is repeated until the ACK (RFC 3261 §13.3.1.4, RFC 6026 §7.1).
    case accepted
  }

  /// RFC 3261 §17.2.3. ACK and INVITE share a key.
  struct Key: Hashable {
    let branch: String
    let sentBy: String
    let method: Method
  }

  /// What tells that one request came over two ways (RFC 3261 §8.2.2.2).
  struct MergeKey: Hashable {
    let callID: String
    let fromTag: String
    let cSeq: CSeq
  }

  /// Finds the INVITE that an ACK of its 2xx belongs to (RFC 3261 §13.3.1.4).
  struct DialogKey: Hashable {
    let callID: String
    let remoteTag: String
    let localTag: String
    let sequence: UInt32
  }

  let id: ServerTransactionID
  let key: Key
  let request: SIPRequest
  let mergeKey: MergeKey?
  /// Where responses go (RFC 3261 §18.2.2, RFC 3581 §4).
  let destination: Destination
  var state: State
  /// Current interval of Timer G or of the 2xx retransmission.
  var interval = Duration.zero
  var deadlines = Deadlines()
  var lastResponse: SIPResponse?
  /// The To tag of our responses, once there is one.
  var localTag: String?
  var dialogKey: DialogKey?
  var isAcknowledged = false

  var isInvite: Bool { key.method == .invite }
  var isReliable: Bool { destination.transport.isReliable }

  /// The matching key of a request. Without the magic cookie in the branch the fields of RFC 2543 take its place.
  static func key(of request: SIPRequest, via: Via) -> Key {
    let method: Method = request.method == .ack ? .invite : request.method
    if via.hasMagicCookie, let branch = via.branch {
      return Key(branch: branch, sentBy: via.sentBy, method: method)
    }
    let headers = request.headers
    // The To tag differs between INVITE and its ACK, so it is left out.
    let legacy = [
      "2543", request.uri.description, headers.fromTag ?? "", headers.callID ?? "", String(headers.cSeq?.number ?? 0),
      via.branch ?? "",
    ].joined(separator: "\u{1}")
    return Key(branch: legacy, sentBy: via.sentBy, method: method)
  }

  /// Notes the source in the top Via (RFC 3261 §18.2.1, RFC 3581 §4).
  static func noteSource(_ via: inout Via, _ flow: Flow) -> Bool {
    let source = flow.remote.ip
    var changed = false
    if via.wantsRport {
      via.rport = flow.remote.port
      via.received = source
      changed = true
    } else {
      let host = via.host.hasPrefix("[") ? IPAddress(via.host.dropFirst().dropLast()) : IPAddress(via.host)
      if host != source {
        via.received = source
        changed = true
      }
    }
    return changed
  }

  /// Where the response to a request goes. Connections carry it back; over UDP it goes to the source address, to the
  /// source port where `rport` asks for it and to the port of sent-by otherwise.
  static func responseDestination(via: Via, flow: Flow) -> Destination {
    guard flow.transport == .udp, !via.wantsRport else { return .flow(flow) }
    let port = via.port ?? TransportProtocol.udp.defaultPort
    let remote = SocketAddress(ip: flow.remote.ip, port: port)
    return .flow(Flow(id: flow.id, transport: .udp, local: flow.local, remote: remote))
  }
}
