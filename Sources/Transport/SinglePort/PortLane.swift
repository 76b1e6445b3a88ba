// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc
internal import Synchronization

/// One worker's part of a single port: its sockets, the peers that live there, and the way of a datagram to its peer.
///
/// A datagram's peer is found by its path, which the peer's own check has proved; a check's by the ufrag in it. What
/// belongs to another worker's peer goes into that worker's ring.
///
/// `@unchecked Sendable`: other threads touch only `worker`, `isSignalled`, `signalDescriptor`, and the one ring of
/// `inbox` that they push to; everything else belongs to the worker's thread, or to `SinglePort.init` before `start`.
final class PortLane: @unchecked Sendable {
  let index: Int
  let worker: MediaWorker
  let configuration: SinglePort.Configuration
  let integrity: STUNIntegrity
  private(set) var sockets: PortSockets
  private var lanes: [PortLane] = []
  /// By the pushing worker's index.
  private let inbox: [PacketRing?]
  private let isSignalled = Atomic<Bool>(false)
  private let signalDescriptor: Int32

  /// By the random part of the ufrag. Not retained: a transport takes itself out before it goes.
  private var sessions: [UInt64: Unmanaged<SinglePortTransport>] = [:]
  private var paths: PathTable<Unmanaged<SinglePortTransport>>
  /// Paths whose datagrams arrive here though their peers live on other workers: their index.
  private var routes: PathTable<Int>
  /// The same, as guessed from checks that were not proved yet; overwritten at will.
  private var guesses: [(path: PeerPath, lane: Int)?] = Array(repeating: nil, count: 256)
  let streams: StreamTable
  /// Of a datagram that is handed over: the kernel's address, and our address's number.
  private let label = UnsafeMutableRawPointer.allocate(byteCount: PacketRing.labelLength, alignment: 8)
  /// What is read from one connection at a time.
  let streamBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
  private var refusals = TokenBucket(perSecond: 50, burst: 100)
  private var watches: [UInt64] = []
  private var sweep: WorkerTimer?
  private(set) var isClosed = false
  /// How many `PathSocket`s there are.
  var pathSockets = 0
  private var counters = SinglePortStatistics()

  /// The kernel's longest address here, `sockaddr_in6`.
  private static let nameLength = 28
  /// Batches of 16 datagrams taken from one socket a turn: it carries all peers.
  private static let batchesPerTurn = 32
  /// Datagrams taken from one other worker a turn.
  private static let handOversPerTurn = 512
  /// With so many workers handed-over datagrams are heard at once, as they were held back already where they arrived;
  /// with more, that would wake a worker too often.
  private static let urgentHandOvers = 8

  init(
    index: Int, worker: MediaWorker, sockets: PortSockets, workers: Int, configuration: SinglePort.Configuration
  ) throws(TransportError) {
    self.index = index
    self.worker = worker
    self.sockets = sockets
    self.configuration = configuration
    integrity = try STUNIntegrity()
    inbox = (0..<workers).map { $0 == index ? nil : PacketRing() }
    signalDescriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard signalDescriptor >= 0 else { throw .system(call: "eventfd", code: errno, subject: "single port") }
    paths = PathTable(seed: .random(in: 0...(.max)), capacity: 64)
    routes = PathTable(seed: .random(in: 0...(.max)), capacity: 64)
    streams = StreamTable(backlog: configuration.streamBacklog)
  }

  deinit {
    Glibc.close(signalDescriptor)
    label.deallocate()
    streamBuffer.deallocate()
  }

  /// Tells each lane the others, and begins to listen on the worker's thread.
  func start(beside lanes: [PortLane]) {
    worker.perform { [self] in
      self.lanes = lanes
      begin()
    }
  }

  private func begin() {
    guard !isClosed else { return }
    do throws(TransportError) {
      for (base, socket) in sockets.datagram.enumerated() {
        let watch = LaneWatch { [unowned self] now in self.readDatagrams(socket.descriptor, base, now) }
        watches.append(try worker.poll.add(socket.descriptor, isUrgent: false, handler: watch))
      }
      let signal = LaneWatch { [unowned self] now in self.takeHandedOver(now) }
      watches.append(
        try worker.poll.add(
          signalDescriptor, isUrgent: inbox.count <= PortLane.urgentHandOvers, handler: signal))
      for listener in sockets.listeners {
        let watch = LaneWatch { [unowned self] now in
          self.acceptStreams(listener.descriptor, now)
          return false
        }
        watches.append(try worker.poll.add(listener.descriptor, isUrgent: true, handler: watch))
      }
    } catch { preconditionFailure("a worker cannot watch the single port: \(error)") }
    sweep = worker.every(.seconds(1)) { [unowned self] now in self.sweepSessions(now) }
  }

  /// On the worker's thread.
  func close() {
    guard !isClosed else { return }
    isClosed = true
    sweep = nil
    worker.sendQueue.flush()
    for watch in watches { worker.poll.remove(watch) }
    watches = []
    streams.closeAll(worker.poll)
    // A transport that outlives the port has nowhere to send.
    for session in sessions.values { session.takeUnretainedValue().portClosed() }
    sessions = [:]
    sockets = PortSockets()
    // The lanes know each other.
    lanes = []
  }

  var statistics: SinglePortStatistics {
    var all = counters
    all.peers = sessions.count
    all.connectedSockets = pathSockets
    all.connections = streams.count
    all.connectionsRefused = streams.refused
    return all
  }

  // MARK: Peers

  func add(_ key: UInt64, _ transport: SinglePortTransport) {
    sessions[key] = Unmanaged.passUnretained(transport)
  }

  func remove(_ key: UInt64) { sessions[key] = nil }

  /// Datagrams on the path are the transport's from now on.
  /// - Parameter arrival: The lane whose socket they arrive at.
  func add(_ path: PeerPath, _ transport: SinglePortTransport, arrival: Int) {
    paths[path] = Unmanaged.passUnretained(transport)
    guard arrival != index, lanes.indices.contains(arrival) else { return }
    let (lane, owner) = (lanes[arrival], index)
    lane.worker.perform {
      lane.routes[path] = owner
      // A peer of that lane used the address before, such as a page that was loaded anew behind the same mapping.
      lane.paths[path] = nil
    }
  }

  /// A path may have moved to another transport meanwhile, which keeps it.
  func remove(_ path: PeerPath, of transport: SinglePortTransport, arrival: Int) {
    guard paths[path]?.toOpaque() == Unmanaged.passUnretained(transport).toOpaque() else { return }
    paths[path] = nil
    guard arrival != index, lanes.indices.contains(arrival) else { return }
    let (lane, owner) = (lanes[arrival], index)
    lane.worker.perform { if lane.routes[path] == owner { lane.routes[path] = nil } }
  }

  private func sweepSessions(_ now: Instant) {
    // A transport may close itself or others in between: the dictionary's copy keeps the order, membership is asked anew.
    for (key, session) in sessions where sessions[key] != nil { session.takeUnretainedValue().advance(to: now) }
    streams.expire(now: now, worker.poll)
  }

  func peer(on path: PeerPath) -> SinglePortTransport? { paths[path]?.takeUnretainedValue() }

  func lane(_ index: Int) -> PortLane? { lanes.indices.contains(index) ? lanes[index] : nil }

  func countStranger() { counters.unknownSource &+= 1 }

  // MARK: Packets

  /// From one of the sockets with our address number `base`.
  func readDatagrams(_ descriptor: Int32, _ base: Int, _ now: Instant) -> Bool {
    let outcome = worker.reader.read(descriptor, batches: PortLane.batchesPerTurn) {
      datagram, source in
      counters.received &+= 1
      receive(datagram, from: source, base: UInt32(truncatingIfNeeded: base), arrival: index, now: now)
      return !isClosed
    }
    if outcome == .limited { worker.hasBacklog = true }
    return outcome != .nothing
  }

  private func takeHandedOver(_ now: Instant) -> Bool {
    var count: UInt64 = 0
    _ = read(signalDescriptor, &count, 8)
    // Before the rings are looked at: what is pushed from here on signals anew.
    isSignalled.store(false, ordering: .sequentiallyConsistent)
    var more = false
    for (sender, ring) in inbox.enumerated() {
      guard let ring else { continue }
      let left = ring.drain(limit: PortLane.handOversPerTurn) { datagram, label in
        counters.takenOver &+= 1
        let base = label.load(fromByteOffset: PortLane.nameLength, as: UInt32.self)
        receive(datagram, from: label, base: base, arrival: sender, now: now)
      }
      more = more || left
    }
    if more {
      signal()
      worker.hasBacklog = true
    }
    return true
  }

  /// From any thread.
  private func signal() {
    guard !isSignalled.exchange(true, ordering: .sequentiallyConsistent) else { return }
    var one: UInt64 = 1
    _ = write(signalDescriptor, &one, 8)
  }

  private func handOver(
    _ datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, base: UInt32, to lane: Int
  ) {
    guard lane != index, lanes.indices.contains(lane), let ring = lanes[lane].inbox[index] else {
      counters.unknownSource &+= 1
      return
    }
    label.copyMemory(from: source, byteCount: PortLane.nameLength)
    label.storeBytes(of: base, toByteOffset: PortLane.nameLength, as: UInt32.self)
    if ring.push(UnsafeRawBufferPointer(datagram), label: label) {
      counters.handedOver &+= 1
      lanes[lane].signal()
    } else {
      counters.handOverDropped &+= 1
    }
  }

  /// One datagram, from our own socket or from the ring of the lane `arrival`.
  @inline(__always)
  private func receive(
    _ datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, base: UInt32, arrival: Int, now: Instant
  ) {
    guard let first = datagram.first, let remote = SocketAddress(kernel: source) else {
      counters.unknownSource &+= 1
      return
    }
    let path = PeerPath(base: base, remote: remote)
    if first < 4 {
      receiveSTUN(datagram, from: source, path: path, arrival: arrival, now: now)
    } else if let peer = paths[path] {
      peer.takeUnretainedValue().receive(datagram, from: path, now: now)
    } else if arrival == index {
      route(datagram, from: source, path: path)
    } else {
      counters.unknownSource &+= 1
    }
  }

  private func route(_ datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, path: PeerPath) {
    if let lane = routes[path] {
      handOver(datagram, from: source, base: path.base, to: lane)
    } else if let guess = guesses[PortLane.slot(path)], guess.path == path {
      handOver(datagram, from: source, base: path.base, to: guess.lane)
    } else {
      counters.unknownSource &+= 1
    }
  }

  private static func slot(_ path: PeerPath) -> Int {
    let words = path.remote.ip.words
    let mixed = (words.low ^ words.high &* 31) &* 0x9E37_79B9_7F4A_7C15 ^ UInt64(path.remote.port) &* 0x85EB_CA6B
    return Int(truncatingIfNeeded: (mixed ^ mixed >> 32) & 255)
  }

  // MARK: Checks

  private func receiveSTUN(
    _ datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, path: PeerPath, arrival: Int, now: Instant
  ) {
    switch check(UnsafeRawBufferPointer(datagram), path: path, arrival: arrival, now: now) {
    case .done: break
    case .elsewhere(let lane):
      guard arrival == index else { return }
      guesses[PortLane.slot(path)] = (path, lane)
      handOver(datagram, from: source, base: path.base, to: lane)
    case .answer(let answer, let password):
      respond(answer, to: UnsafeRawBufferPointer(datagram), path: path, password: password)
    }
  }

  enum CheckResult {
    /// Nothing is to be done any more.
    case done
    /// It is for a peer of that worker.
    case elsewhere(Int)
    case answer(STUNAnswer, password: [UInt8]?)
  }

  /// Authenticates a check and gives it to its peer. Answers of success are left to the caller, as the peer's are.
  func check(_ datagram: UnsafeRawBufferPointer, path: PeerPath, arrival: Int, now: Instant) -> CheckResult {
    guard let message = try? STUNMessage(parsing: datagram.bytes), message.method == STUNMessage.bindingMethod,
      message.messageClass == .request,
      message.fingerprint.map({ STUNFingerprint.verify(datagram, attribute: $0) }) ?? true
    else {
      // Indications keep mappings alive and want nothing; answers were not asked for.
      counters.badChecks &+= 1
      return .done
    }
    guard let username = message.username, let attribute = message.integrity else {
      return refuse(.badRequest, now)
    }
    let user = UnsafeRawBufferPointer(rebasing: datagram[username])
    guard user.count > ICECredentials.ufragLength, user[ICECredentials.ufragLength] == UInt8(ascii: ":"),
      let name = ICECredentials.parse(UnsafeRawBufferPointer(rebasing: user[..<ICECredentials.ufragLength]))
    else { return refuse(.unauthenticated, now) }
    guard name.worker == index else {
      return lanes.indices.contains(name.worker) ? .elsewhere(name.worker) : refuse(.unauthenticated, now)
    }
    guard let transport = sessions[name.key]?.takeUnretainedValue(), let password = transport.password(for: name.key),
      integrity.verify(datagram, attribute: attribute, password: password)
    else { return refuse(.unauthenticated, now) }
    let theirs = UnsafeRawBufferPointer(rebasing: user[(ICECredentials.ufragLength + 1)...])
    let answer = transport.receive(
      message, key: name.key, theirs: theirs, from: path, arrival: arrival, now: now)
    if answer == .success { counters.checks &+= 1 } else { counters.badChecks &+= 1 }
    return .answer(answer, password: answer == .unauthenticated ? nil : password)
  }

  /// Strangers are answered so many times a second and no more.
  private func refuse(_ answer: STUNAnswer, _ now: Instant) -> CheckResult {
    counters.badChecks &+= 1
    return refusals.take(now: now) ? .answer(answer, password: nil) : .done
  }

  /// Straight to the socket: checks come every few seconds, and their answers should not wait.
  func respond(
    _ answer: STUNAnswer, to request: UnsafeRawBufferPointer, path: PeerPath, password: [UInt8]?
  ) {
    withUnsafeTemporaryAllocation(byteCount: STUNWriter.capacity, alignment: 8) { buffer in
      guard
        let length = answer.write(
          to: request, from: path.remote, password: password, integrity: integrity, into: buffer)
      else { return }
      transmit(UnsafeRawBufferPointer(rebasing: buffer[..<length]), on: path)
    }
  }

  /// `address:port` of our end.
  func localAddress(of path: PeerPath) -> String {
    guard !path.isStream, sockets.datagram.indices.contains(Int(path.base)) else {
      return "tcp port \(configuration.port)"
    }
    return sockets.datagram[Int(path.base)].local.description
  }

  /// Sends one datagram at once. Losses are the sender's to notice.
  func transmit(_ datagram: UnsafeRawBufferPointer, on path: PeerPath) {
    if path.isStream {
      _ = streams.send(datagram, on: path.base, worker.poll)
      return
    }
    guard !isClosed, sockets.datagram.indices.contains(Int(path.base)), let bytes = datagram.baseAddress else { return }
    let kernel = SocketStorage(path.remote)
    _ = withUnsafePointer(to: kernel.storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(
          sockets.datagram[Int(path.base)].descriptor, bytes, datagram.count, Int32(MSG_DONTWAIT), $0,
          kernel.length)
      }
    }
  }
}

/// Calls a closure when its descriptor is ready.
final class LaneWatch: ReadyHandler {
  private let body: (Instant) -> Bool
  init(_ body: @escaping (Instant) -> Bool) { self.body = body }
  func ready(now: Instant) -> Bool { body(now) }
}
