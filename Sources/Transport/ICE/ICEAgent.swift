internal import CNice
internal import Core
internal import Glibc

/// Where ICE stands, as libnice counts it.
enum ICEState: UInt32 {
  case disconnected, gathering, connecting, connected, ready, failed
}

/// Owns one `NiceAgent` with one stream of one component (RTP and RTCP multiplexed). Worker-confined.
///
/// C keeps a retained `Callbacks` box, released when libnice has closed asynchronously; the box knows the owner only
/// until `close()`. Closures may be called while a libnice function runs, so they must not call `close()` directly.
final class ICEAgent {
  struct Options {
    var localAddresses: [IPAddress]
    var ports: ClosedRange<UInt16>
    var stunServer: SocketAddress?
    var turnServers: [TURNServer]
    var isLite: Bool
    var isControlling: Bool
  }

  private let worker: MediaWorker
  let context: ICEContext
  private let agent: OpaquePointer
  private let stream: guint
  private let callbacks: Callbacks
  private var closed = false

  /// Callbacks' target. The packet's bytes may be changed in place and are valid only during the call.
  fileprivate final class Callbacks {
    var onPacket: ((UnsafeMutableRawBufferPointer) -> Void)?
    var onState: ((ICEState) -> Void)?
    var onSelectedPair: (() -> Void)?
    var onGathered: (() -> Void)?
    let worker: MediaWorker
    let context: ICEContext
    init(worker: MediaWorker, context: ICEContext) {
      self.worker = worker
      self.context = context
    }
  }

  var onPacket: ((UnsafeMutableRawBufferPointer) -> Void)? {
    get { callbacks.onPacket }
    set { callbacks.onPacket = newValue }
  }
  var onState: ((ICEState) -> Void)? {
    get { callbacks.onState }
    set { callbacks.onState = newValue }
  }
  var onSelectedPair: (() -> Void)? {
    get { callbacks.onSelectedPair }
    set { callbacks.onSelectedPair = newValue }
  }
  var onGathered: (() -> Void)? {
    get { callbacks.onGathered }
    set { callbacks.onGathered = newValue }
  }

  init(worker: MediaWorker, options: Options) throws(TransportError) {
    var flags =
      NICE_AGENT_OPTION_REGULAR_NOMINATION.rawValue | NICE_AGENT_OPTION_CONSENT_FRESHNESS.rawValue
      | NICE_AGENT_OPTION_ICE_TRICKLE.rawValue
    if options.isLite { flags |= NICE_AGENT_OPTION_LITE_MODE.rawValue }
    let context = ICEContext(worker: worker)
    guard
      let agent = nice_agent_new_full(context.pointer, NICE_COMPATIBILITY_RFC5245, NiceAgentOption(rawValue: flags))
    else { throw .library(function: "nice_agent_new_full", detail: "no agent") }
    let object = UnsafeMutableRawPointer(agent)
    cnice_set_bool(object, "upnp", 0)
    cnice_set_bool(object, "ice-tcp", 0)
    cnice_set_bool(object, "controlling-mode", options.isControlling ? 1 : 0)
    if let stun = options.stunServer {
      cnice_set_string(object, "stun-server", stun.ip.description)
      cnice_set_uint(object, "stun-server-port", guint(stun.port))
    }
    for address in options.localAddresses {
      var native = NiceAddress()
      nice_address_init(&native)
      nice_address_set_from_string(&native, address.description)
      guard nice_agent_add_local_address(agent, &native) != 0 else {
        g_object_unref(object)
        throw .library(function: "nice_agent_add_local_address", detail: "\(address)")
      }
    }
    let stream = nice_agent_add_stream(agent, 1)
    guard stream != 0 else {
      g_object_unref(object)
      throw .library(function: "nice_agent_add_stream", detail: "no stream")
    }
    nice_agent_set_port_range(
      agent, stream, 1, guint(options.ports.lowerBound), guint(options.ports.upperBound))
    for server in options.turnServers {
      nice_agent_set_relay_info(
        agent, stream, 1, server.address.ip.description, guint(server.address.port), server.user,
        server.password.revealed, server.overTCP ? NICE_RELAY_TYPE_TURN_TCP : NICE_RELAY_TYPE_TURN_UDP)
    }
    self.worker = worker
    self.context = context
    self.agent = agent
    self.stream = stream
    callbacks = Callbacks(worker: worker, context: context)
    connect()
    context.touch()
  }

  deinit { close() }

  private func connect() {
    let object = UnsafeMutableRawPointer(agent)
    // One retain for all callbacks, released in `close()`'s completion.
    let data = Unmanaged.passRetained(callbacks).toOpaque()
    cnice_connect(object, "component-state-changed", unsafeBitCast(ICEAgent.stateChanged, to: GCallback.self), data)
    cnice_connect(object, "candidate-gathering-done", unsafeBitCast(ICEAgent.gathered, to: GCallback.self), data)
    cnice_connect(object, "new-selected-pair-full", unsafeBitCast(ICEAgent.pairSelected, to: GCallback.self), data)
    nice_agent_attach_recv(agent, stream, 1, context.pointer, ICEAgent.received, data)
  }

  // MARK: Thunks

  private static func callbacks(_ data: UnsafeMutableRawPointer?) -> Callbacks? {
    data.map { Unmanaged<Callbacks>.fromOpaque($0).takeUnretainedValue() }
  }

  private static let stateChanged:
    @convention(c) (OpaquePointer?, guint, guint, guint, UnsafeMutableRawPointer?) -> Void = { _, _, _, state, data in
      guard let state = ICEState(rawValue: state) else { return }
      callbacks(data)?.onState?(state)
    }

  private static let gathered: @convention(c) (OpaquePointer?, guint, UnsafeMutableRawPointer?) -> Void = {
    _, _, data in callbacks(data)?.onGathered?()
  }

  private static let pairSelected:
    @convention(c) (OpaquePointer?, guint, guint, OpaquePointer?, OpaquePointer?, UnsafeMutableRawPointer?) -> Void = {
      _, _, _, _, _, data in callbacks(data)?.onSelectedPair?()
    }

  private static let received:
    @convention(c) (
      OpaquePointer?, guint, guint, guint, UnsafeMutablePointer<CChar>?, UnsafeMutableRawPointer?
    ) -> Void = { _, _, _, length, bytes, data in
      guard let bytes, length > 0 else { return }
      callbacks(data)?.onPacket?(UnsafeMutableRawBufferPointer(start: bytes, count: Int(length)))
    }

  // MARK: Local side

  var localCredentials: (ufrag: String, password: String) {
    var ufrag: UnsafeMutablePointer<gchar>?
    var password: UnsafeMutablePointer<gchar>?
    guard !closed, nice_agent_get_local_credentials(agent, stream, &ufrag, &password) != 0, let ufrag, let password
    else { return ("", "") }
    defer {
      g_free(ufrag)
      g_free(password)
    }
    return (String(cString: ufrag), String(cString: password))
  }

  /// False when no socket could be bound.
  func gather() -> Bool {
    guard !closed else { return false }
    context.touch()
    return nice_agent_gather_candidates(agent, stream) != 0
  }

  /// `candidate:…` lines of what is gathered so far.
  var localCandidates: [String] {
    guard !closed else { return [] }
    var lines: [String] = []
    let list = nice_agent_get_local_candidates(agent, stream, 1)
    var node = list
    while let item = node {
      if let data = item.pointee.data {
        let candidate = data.assumingMemoryBound(to: NiceCandidate.self)
        if let text = nice_agent_generate_local_candidate_sdp(agent, candidate) {
          if let line = ICECandidateLine.normalized(String(cString: text)) { lines.append(line) }
          g_free(text)
        }
        nice_candidate_free(candidate)
      }
      node = item.pointee.next
    }
    g_slist_free(list)
    return lines
  }

  /// New credentials; the selected pair goes on carrying packets until a new one is found (RFC 8445 §9).
  func restart() {
    guard !closed else { return }
    context.touch()
    nice_agent_restart_stream(agent, stream)
  }

  // MARK: Remote side

  func setRemoteCredentials(ufrag: String, password: String) -> Bool {
    guard !closed else { return false }
    context.touch()
    return nice_agent_set_remote_credentials(agent, stream, ufrag, password) != 0
  }

  /// How many of the lines libnice took.
  func addRemoteCandidates(_ lines: [String]) -> Int {
    guard !closed else { return 0 }
    var list: UnsafeMutablePointer<GSList>?
    for line in lines {
      guard let candidate = nice_agent_parse_remote_candidate_sdp(agent, stream, "a=" + line) else { continue }
      list = g_slist_append(list, candidate)
    }
    guard list != nil else { return 0 }
    context.touch()
    let taken = nice_agent_set_remote_candidates(agent, stream, 1, list)
    var node = list
    while let item = node {
      nice_candidate_free(item.pointee.data.assumingMemoryBound(to: NiceCandidate.self))
      node = item.pointee.next
    }
    g_slist_free(list)
    return max(0, Int(taken))
  }

  /// Once a pair works, libnice's check timer would tick on for five seconds at 50 hertz; while connecting these are the
  /// grace before it gives up.
  func setSettled(_ settled: Bool) {
    guard !closed else { return }
    cnice_set_uint(UnsafeMutableRawPointer(agent), "idle-timeout", settled ? 50 : 5000)
    context.isUrgent = !settled
    context.touch()
  }

  func setControlling(_ controlling: Bool) {
    if !closed { cnice_set_bool(UnsafeMutableRawPointer(agent), "controlling-mode", controlling ? 1 : 0) }
  }

  // MARK: Packets

  /// False when libnice has no pair, or its socket would block.
  func send(_ packet: UnsafeRawBufferPointer) -> Bool {
    guard !closed, let base = packet.baseAddress else { return false }
    let bytes = base.assumingMemoryBound(to: gchar.self)
    context.touch()
    return nice_agent_send(agent, stream, 1, guint(packet.count), bytes) == gint(packet.count)
  }

  /// The selected pair: both addresses as text, and the socket and kernel address to write to directly where the local
  /// candidate is a plain UDP socket.
  var selectedPair: SelectedPair? {
    guard !closed else { return nil }
    var local: UnsafeMutablePointer<NiceCandidate>?
    var remote: UnsafeMutablePointer<NiceCandidate>?
    guard nice_agent_get_selected_pair(agent, stream, 1, &local, &remote) != 0, let local, let remote else {
      return nil
    }
    var pair = SelectedPair(
      local: ICEAgent.address(local.pointee.addr)?.description ?? "?",
      remote: ICEAgent.address(remote.pointee.addr)?.description ?? "?")
    if local.pointee.transport == NICE_CANDIDATE_TRANSPORT_UDP, local.pointee.type != NICE_CANDIDATE_TYPE_RELAYED,
      let socket = nice_agent_get_selected_socket(agent, stream, 1), let address = ICEAgent.address(remote.pointee.addr)
    {
      pair.direct = (g_socket_get_fd(socket), SocketStorage(address))
    }
    return pair
  }

  struct SelectedPair {
    var local: String
    var remote: String
    /// Nil over relays: then only `send` reaches the peer.
    var direct: (descriptor: Int32, destination: SocketStorage)?
  }

  private static func address(_ native: NiceAddress) -> SocketAddress? {
    withUnsafePointer(to: native) { SocketAddress(kernel: UnsafeRawPointer($0)) }
  }

  // MARK: End

  /// Calls nothing from here on. libnice closes asynchronously (TURN allocations are given back), then the agent goes.
  func close() {
    guard !closed else { return }
    closed = true
    context.touch()
    callbacks.onPacket = nil
    callbacks.onState = nil
    callbacks.onSelectedPair = nil
    callbacks.onGathered = nil
    let object = UnsafeMutableRawPointer(agent)
    let data = Unmanaged.passUnretained(callbacks).toOpaque()
    nice_agent_attach_recv(agent, stream, 1, nil, nil, nil)
    g_signal_handlers_disconnect_matched(object, G_SIGNAL_MATCH_DATA, 0, 0, nil, nil, data)
    nice_agent_remove_stream(agent, stream)
    worker.pendingCloses += 1
    // The completion is delivered to the thread's default context.
    context.push()
    nice_agent_close_async(
      agent,
      { source, _, data in
        guard let source, let data else { return }
        g_object_unref(UnsafeMutableRawPointer(source))
        let callbacks = Unmanaged<Callbacks>.fromOpaque(data).takeRetainedValue()
        callbacks.worker.pendingCloses -= 1
        // The context is running at this moment.
        callbacks.worker.atEndOfTurn { callbacks.context.close() }
      }, data)
    context.pop()
  }
}
