// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// One SCTP association over DTLS (RFC 8261): packets in and out on one side, messages on the other. Knows streams, not
/// channels. Port 5000 on both ends.
///
/// `@unchecked Sendable`: the variables under "lock" are touched only inside `SCTPStack.run`, the others only on the
/// worker's thread; `worker`, `transmit` and `maximumMessageSize` never change.
final class SCTPAssociation: @unchecked Sendable {
  enum Event {
    /// The handshake is done; so many streams may be used each way.
    case up(outgoing: Int, incoming: Int)
    case message(stream: UInt16, ppid: UInt32, bytes: [UInt8])
    /// A message larger than `maximumMessageSize` came on the stream and was thrown away.
    case oversized(stream: UInt16)
    /// The peer has closed its direction of the streams.
    case incomingReset([UInt16])
    /// Our direction of the streams is closed, or the peer refuses to know.
    case outgoingReset([UInt16])
    /// There is room in the send buffer after a send was refused.
    case writable
    /// Over, for the reason given. The last event.
    case ended(String)
  }

  /// When messages are given up, and whether they wait for each other.
  struct Policy {
    var isOrdered = true
    var reliability = DCEPMessage.Reliability.reliable
  }

  static let port: UInt16 = 5000
  /// Streams each way. A browser numbers channels from 0 or 1 in steps of two; an association takes 9 KB and 100 bytes
  /// a stream.
  static let streams: UInt16 = 128
  /// Bytes not yet acknowledged, over all streams; more is refused.
  static let sendBuffer = 1 << 20
  /// A whole message of the largest size, and the next one on its way.
  private static let receiveBuffer = 256 << 10
  /// Our DTLS records leave in datagrams of at most 1,200 bytes, 37 of them for DTLS 1.2 with GCM.
  private static let packetLimit = 1160

  let worker: MediaWorker
  let maximumMessageSize: Int
  /// Sends one SCTP packet in DTLS.
  private let transmit: (UnsafeRawBufferPointer) -> Void
  private let stack = SCTPStack.shared

  // Lock.
  var identifier: UInt = 0
  var isTouched = false
  private var socket: OpaquePointer?
  private var outgoing: [UInt8] = []
  private var packetEnds: [Int] = []
  private var incoming: [Event] = []
  private var partial: (stream: UInt16, bytes: [UInt8])?
  private var discardsRest = false
  private var hasEnded = false

  // Worker's thread.
  var onEvent: ((Event) -> Void)?
  private var clock: WorkerTimer?
  private var ledger = SendLedger()
  private var isBlocked = false
  private var waitingResets: [UInt16] = []
  private var isDelivering = false
  private(set) var isClosed = false

  init(worker: MediaWorker, maximumMessageSize: Int, transmit: @escaping (UnsafeRawBufferPointer) -> Void) {
    self.worker = worker
    self.maximumMessageSize = maximumMessageSize
    self.transmit = transmit
  }

  /// The name of both ends of the "network" that usrsctp sees.
  var address: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: identifier) }

  // MARK: Life

  /// Sends INIT; both ends do (RFC 8841 §9.2), and usrsctp makes one association of it.
  func start() throws(TransportError) {
    assert(worker.isCurrent && identifier == 0)
    stack.add(self, now: worker.now)
    let failure: TransportError? = stack.run(for: self) {
      do throws(TransportError) {
        try open()
        return nil
      } catch {
        return error
      }
    }
    if let failure {
      close()
      throw failure
    }
    drain()
  }

  /// Tells the peer by ABORT and gives everything back; no event comes any more. Calling it again changes nothing.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    onEvent = nil
    clock = nil
    guard identifier != 0 else { return }
    stack.run(for: self) {
      guard let socket else { return }
      self.socket = nil
      usrsctp_set_ulpinfo(socket, nil)
      usrsctp_close(socket)
    }
    flush()
    stack.remove(self)
  }

  private func open() throws(TransportError) {
    guard
      let socket = usrsctp_socket(
        AF_CONN, Int32(SOCK_STREAM.rawValue), SCTPConstant.protocolNumber,
        { _, _, data, count, info, flags, user in
          defer { free(data) }
          guard let association = SCTPStack.shared.association(at: user) else { return 1 }
          let bytes = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : count)
          association.receive(bytes, info, flags: flags, isEnd: data == nil)
          return 1
        }, nil, 0, address)
    else { throw .system(call: "usrsctp_socket", code: errno, subject: "AF_CONN") }
    self.socket = socket
    guard usrsctp_set_non_blocking(socket, 1) == 0 else {
      throw .system(call: "usrsctp_set_non_blocking", code: errno, subject: "AF_CONN")
    }
    // Closing is an ABORT, not a wait for what is unsent.
    try set(SOL_SOCKET, SO_LINGER, linger(l_onoff: 1, l_linger: 0))
    try set(SOL_SOCKET, SO_SNDBUF, Int32(SCTPAssociation.sendBuffer))
    try set(SOL_SOCKET, SO_RCVBUF, Int32(SCTPAssociation.receiveBuffer))
    try set(SCTPConstant.protocolNumber, SCTP_NODELAY, Int32(1))
    try set(
      SCTPConstant.protocolNumber, SCTP_ENABLE_STREAM_RESET,
      sctp_assoc_value(assoc_id: UInt32(SCTP_ALL_ASSOC), assoc_value: UInt32(SCTP_ENABLE_RESET_STREAM_REQ)))
    for type in [SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT, SCTP_PARTIAL_DELIVERY_EVENT] {
      try set(
        SCTPConstant.protocolNumber, SCTP_EVENT,
        sctp_event(se_assoc_id: UInt32(SCTP_ALL_ASSOC), se_type: UInt16(type), se_on: 1))
    }
    try set(
      SCTPConstant.protocolNumber, SCTP_INITMSG,
      sctp_initmsg(
        sinit_num_ostreams: SCTPAssociation.streams, sinit_max_instreams: SCTPAssociation.streams,
        sinit_max_attempts: 0, sinit_max_init_timeo: 0))
    var end = sockaddr_conn()
    end.sconn_family = UInt16(AF_CONN)
    end.sconn_port = SCTPAssociation.port.bigEndian
    end.sconn_addr = address
    let length = socklen_t(MemoryLayout<sockaddr_conn>.size)
    let (bound, connected) = withUnsafeMutablePointer(to: &end) { end in
      end.withMemoryRebound(to: sockaddr.self, capacity: 1) { end in
        let bound = usrsctp_bind(socket, end, length)
        guard bound == 0 else { return (errno, Int32(0)) }
        return (0, usrsctp_connect(socket, end, length) == 0 ? 0 : errno)
      }
    }
    guard bound == 0 else { throw .system(call: "usrsctp_bind", code: bound, subject: "AF_CONN") }
    guard connected == 0 || connected == EINPROGRESS else {
      throw .system(call: "usrsctp_connect", code: connected, subject: "AF_CONN")
    }
    var path = sctp_paddrparams()
    withUnsafeMutableBytes(of: &path.spp_address) { room in
      withUnsafeBytes(of: end) { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(room.count))) }
    }
    // Consent checks of ICE tell whether the path works; heartbeats would only cost.
    path.spp_flags = UInt32(SPP_PMTUD_DISABLE | SPP_HB_DISABLE)
    path.spp_pathmtu = UInt32(SCTPAssociation.packetLimit)
    try set(SCTPConstant.protocolNumber, SCTP_PEER_ADDR_PARAMS, path)
  }

  private func set<Value>(_ level: Int32, _ option: Int32, _ value: Value) throws(TransportError) {
    let result = withUnsafePointer(to: value) {
      usrsctp_setsockopt(socket, level, option, $0, socklen_t(MemoryLayout<Value>.size))
    }
    guard result == 0 else { throw .system(call: "usrsctp_setsockopt", code: errno, subject: String(option)) }
  }

  // MARK: The clock

  func startClock() {
    guard !isClosed, stack.isClockBearer(self) else { return }
    clock = worker.every(SCTPStack.tick) { [unowned self] now in
      self.stack.advance(to: now, caller: self)
      self.drain()
    }
  }

  // MARK: Packets

  /// One SCTP packet of the peer.
  func receive(_ packet: UnsafeRawBufferPointer) {
    guard !isClosed, let base = packet.baseAddress else { return }
    stack.run(for: self) { usrsctp_conninput(address, base, packet.count, 0) }
    drain()
  }

  // MARK: Messages

  /// Queues one message of at least a byte; false where the send buffer is full or the association not up.
  func send(_ message: UnsafeRawBufferPointer, stream: UInt16, ppid: UInt32, policy: Policy) -> Bool {
    guard !isClosed, let base = message.baseAddress, message.count > 0 else { return false }
    var parameters = sctp_sendv_spa()
    parameters.sendv_flags = UInt32(SCTP_SEND_SNDINFO_VALID)
    parameters.sendv_sndinfo.snd_sid = stream
    parameters.sendv_sndinfo.snd_ppid = ppid.bigEndian
    parameters.sendv_sndinfo.snd_flags = UInt16(SCTP_EOR) | (policy.isOrdered ? 0 : UInt16(SCTP_UNORDERED))
    switch policy.reliability {
    case .reliable: break
    case .retransmissions(let count):
      parameters.sendv_flags |= UInt32(SCTP_SEND_PRINFO_VALID)
      parameters.sendv_prinfo = sctp_prinfo(pr_policy: UInt16(SCTP_PR_SCTP_RTX), pr_value: count)
    case .lifetime(let milliseconds):
      parameters.sendv_flags |= UInt32(SCTP_SEND_PRINFO_VALID)
      parameters.sendv_prinfo = sctp_prinfo(pr_policy: UInt16(SCTP_PR_SCTP_TTL), pr_value: milliseconds)
    }
    let sent = stack.run(for: self) {
      guard let socket, !hasEnded else { return false }
      return usrsctp_sendv(
        socket, base, message.count, nil, 0, &parameters, socklen_t(MemoryLayout<sctp_sendv_spa>.size),
        UInt32(SCTP_SENDV_SPA), 0) == message.count
    }
    if sent {
      ledger.sent(message.count, on: stream)
    } else {
      isBlocked = true
    }
    // Also without success: usrsctp may have found that it is over.
    drain()
    return sent
  }

  /// Bytes of a stream that are not sent, or sent and not acknowledged.
  func buffered(on stream: UInt16) -> Int {
    guard ledger.amount(on: stream) > 0 else { return 0 }
    ledger.settle(outstanding: stack.run(for: self) { outstanding() })
    return ledger.amount(on: stream)
  }

  /// Over all streams. Under the lock.
  private func outstanding() -> Int {
    guard let socket else { return 0 }
    // struct sctp_sockstat { association, bytes to send, bytes received }
    var status: (UInt32, UInt32, UInt32) = (0, 0, 0)
    var length = socklen_t(MemoryLayout.size(ofValue: status))
    guard usrsctp_getsockopt(socket, SCTPConstant.protocolNumber, SCTPConstant.bufferUse, &status, &length) == 0 else {
      return 0
    }
    return Int(status.1)
  }

  /// Closes our direction of a stream when what it still has is sent (RFC 6525). The result is an event.
  func reset(_ stream: UInt16) {
    waitingResets.append(stream)
    tryResets()
    drain()
  }

  /// Only one request may be under way; what cannot start waits for its answer.
  private func tryResets() {
    guard !waitingResets.isEmpty, !isClosed else { return }
    // struct sctp_reset_streams { association: UInt32, flags, count: UInt16, streams: [UInt16] }
    var request: [UInt16] = [0, 0, UInt16(SCTP_STREAM_RESET_OUTGOING), UInt16(waitingResets.count)]
    request += waitingResets
    let code = stack.run(for: self) {
      guard let socket, !hasEnded else { return ENOTCONN }
      let result = usrsctp_setsockopt(
        socket, SCTPConstant.protocolNumber, SCTP_RESET_STREAMS, request, socklen_t(request.count * 2))
      return result == 0 ? 0 : errno
    }
    switch code {
    case 0: waitingResets = []
    case EALREADY, EAGAIN, EINPROGRESS, ENOBUFS: break
    default:
      // The peer cannot do it: nothing more will come of it.
      let streams = waitingResets
      waitingResets = []
      stack.run(for: self) { incoming.append(.outgoingReset(streams)) }
    }
  }

  // MARK: Delivery

  /// From whichever thread ran usrsctp, not under the lock.
  func announce() {
    if worker.isCurrent {
      drain()
    } else {
      worker.perform { self.drain() }
    }
  }

  /// Sends the packets and delivers the events that usrsctp left. An event's handler may call anything; what comes of
  /// it is delivered after it.
  private func drain() {
    flush()
    guard !isDelivering, !isClosed else { return }
    isDelivering = true
    defer { isDelivering = false }
    while !isClosed {
      if isBlocked, writable() {
        isBlocked = false
        onEvent?(.writable)
      }
      let events = stack.run(for: self) {
        defer { incoming = [] }
        return incoming
      }
      guard !events.isEmpty else { return flush() }
      for event in events where !isClosed {
        if case .outgoingReset = event { tryResets() }
        onEvent?(event)
      }
    }
  }

  private func writable() -> Bool {
    stack.run(for: self) { !hasEnded && outstanding() < SCTPAssociation.sendBuffer / 2 }
  }

  private func flush() {
    let (bytes, ends) = stack.run(for: self) {
      defer {
        outgoing = []
        packetEnds = []
        isTouched = false
      }
      return (outgoing, packetEnds)
    }
    bytes.withUnsafeBytes { bytes in
      var start = 0
      for end in ends {
        transmit(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        start = end
      }
    }
  }

  // MARK: Callbacks of usrsctp, under the lock

  func append(packet: UnsafeRawBufferPointer) {
    outgoing += packet
    packetEnds.append(outgoing.count)
  }

  private func receive(_ bytes: UnsafeRawBufferPointer, _ info: sctp_rcvinfo, flags: Int32, isEnd: Bool) {
    stack.touch(self)
    if isEnd {
      end("the association was closed")
    } else if flags & SCTPConstant.notification != 0 {
      receive(notification: bytes)
    } else {
      receive(
        bytes, stream: info.rcv_sid, ppid: UInt32(bigEndian: info.rcv_ppid),
        isLast: flags & SCTPConstant.endOfRecord != 0)
    }
  }

  /// Large messages may come in pieces; no piece of another message comes in between.
  private func receive(_ bytes: UnsafeRawBufferPointer, stream: UInt16, ppid: UInt32, isLast: Bool) {
    let known = partial?.stream == stream ? partial?.bytes.count ?? 0 : 0
    if !discardsRest, known + bytes.count > maximumMessageSize {
      discardsRest = true
      partial = nil
      incoming.append(.oversized(stream: stream))
    }
    if discardsRest {
      if isLast { discardsRest = false }
      return
    }
    if isLast {
      var message: [UInt8] = []
      if known > 0, let start = partial?.bytes { message = start }
      partial = nil
      message += bytes
      incoming.append(.message(stream: stream, ppid: ppid, bytes: message))
    } else if known > 0 {
      partial?.bytes += bytes
    } else {
      partial = (stream, Array(bytes))
    }
  }

  private func end(_ reason: String) {
    guard !hasEnded else { return }
    hasEnded = true
    incoming.append(.ended(reason))
  }

  /// Host order: `type(2) flags(2) length(4)` and then what the type says (RFC 6458 §6).
  private func receive(notification bytes: UnsafeRawBufferPointer) {
    func field(_ offset: Int) -> UInt16 {
      offset + 2 <= bytes.count ? bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self) : 0
    }
    switch Int32(field(0)) {
    case SCTP_ASSOC_CHANGE:
      switch Int32(field(8)) {
      case SCTP_COMM_UP: incoming.append(.up(outgoing: Int(field(12)), incoming: Int(field(14))))
      case SCTP_COMM_LOST: end("the peer aborted or does not answer (SCTP error \(field(10)))")
      case SCTP_RESTART: end("the peer began anew")
      case SCTP_SHUTDOWN_COMP: end("the peer shut down")
      case SCTP_CANT_STR_ASSOC: end("the peer did not take the association")
      default: break
      }
    case SCTP_PARTIAL_DELIVERY_EVENT:
      partial = nil
      discardsRest = false
    case SCTP_STREAM_RESET_EVENT:
      let flags = Int32(field(2))
      let length = min(bytes.count, Int(field(4)))  // Its upper half is zero: at most 256 streams.
      let streams = stride(from: 12, to: max(length - 1, 12), by: 2).map { field($0) }
      if flags & SCTP_STREAM_RESET_INCOMING_SSN != 0 { incoming.append(.incomingReset(streams)) }
      if flags & SCTP_STREAM_RESET_OUTGOING_SSN != 0 { incoming.append(.outgoingReset(streams)) }
    default: break
    }
  }
}

/// Numbers that usrsctp uses and does not export.
private enum SCTPConstant {
  /// IPPROTO_SCTP
  static let protocolNumber: Int32 = 132
  /// MSG_NOTIFICATION
  static let notification: Int32 = 0x2000
  /// MSG_EOR
  static let endOfRecord: Int32 = 0x80
  /// SCTP_GET_SNDBUF_USE
  static let bufferUse: Int32 = 0x1101
}
