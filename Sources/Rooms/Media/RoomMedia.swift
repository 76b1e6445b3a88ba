package import Core
package import SFU
import SDP
package import Transport

/// The rooms of one media worker: their routers and the transports of their peers. The control plane sends orders and
/// gets events, both in batches; packets never pass through here.
package actor RoomMedia: RoomMediaPort {
  /// Makes the transport of a new peer on the worker's thread.
  package typealias TransportFactory =
    @Sendable (_ worker: MediaWorker, _ towards: IPAddress, _ isControlling: Bool) throws(TransportError)
    -> any PeerTransport

  package nonisolated let worker: MediaWorker
  package nonisolated var unownedExecutor: UnownedSerialExecutor { worker.asUnownedSerialExecutor() }

  private let makeTransport: TransportFactory
  private let configuration: RouterConfiguration
  /// Of the phones' tracks.
  let opusComplexity: Int
  private let deliver: @Sendable ([RoomMediaEvent]) -> Void
  private let failed: @Sendable (MediaFailure) -> Void
  var rooms: [MediaRoomID: HostedRoom] = [:]
  private var peers: [PeerID: HostedPeer] = [:]
  /// Phones and announcers, and their rooms.
  var phones: [PeerID: MediaRoomID] = [:]
  private var pending: [RoomMediaEvent] = []
  private var ticker: WorkerTimer?
  /// Of rooms that are closed.
  private var past = RouterTotals()
  /// As the control plane counts the workers.
  private let index: Int
  private var load = WorkerLoad()

  /// One room on the worker.
  final class HostedRoom {
    let router: Router
    var peers: Set<PeerID> = []
    /// The tracks that phones may hear, and whose they are.
    var audio: [ProducerID: PeerID] = [:]
    /// Those that they may not.
    var unmixed: Set<ProducerID> = []
    /// There while the room has phones.
    var conference: RoomConference?
    /// To the workers that have replicas of it.
    var pipes: [ObjectIdentifier: (pipe: RoomPipe, flush: PipeFlush)] = [:]
    /// Set where its tracks arrive at another worker.
    var replica: RoomReplica?
    init(router: Router) { self.router = router }
  }

  /// - Parameters:
  ///   - failed: Called on the worker's thread for each connection that breaks.
  ///   - events: Called on the worker's thread with what happened in one of its turns.
  package init(
    worker: MediaWorker, index: Int = 0, configuration: RouterConfiguration = RouterConfiguration(),
    opusComplexity: Int = 5,
    makeTransport: @escaping TransportFactory, failed: @escaping @Sendable (MediaFailure) -> Void = { _ in },
    events: @escaping @Sendable ([RoomMediaEvent]) -> Void
  ) {
    self.failed = failed
    self.worker = worker
    self.index = index
    self.configuration = configuration
    self.opusComplexity = opusComplexity
    self.makeTransport = makeTransport
    deliver = events
  }

  /// Orders of one caller are carried out in the order of its calls: the worker runs blocks first in, first out.
  package nonisolated func perform(_ commands: [RoomMediaCommand]) {
    worker.perform { [self] in assumeIsolated { $0.run(commands) } }
  }

  // MARK: Figures

  package var roomCount: Int { rooms.count }
  package var peerCount: Int { peers.count }

  /// Of every room's router.
  package func statistics() -> [MediaRoomID: RouterStatistics] { rooms.mapValues { $0.router.statistics() } }

  /// Of all rooms that there are or were, and of those that there are.
  package func figures() -> (totals: RouterTotals, load: RouterLoad) {
    var totals = past
    var load = RouterLoad()
    for room in rooms.values {
      totals += room.router.totals()
      load += room.router.load()
    }
    return (totals, load)
  }

  /// Ends everything.
  package func close() {
    for id in Array(rooms.keys) { closeRoom(id) }
  }

  // MARK: Events

  func report(_ event: RoomMediaEvent) {
    pending.append(event)
    guard pending.count == 1 else { return }
    worker.atEndOfTurn { [weak self] in self?.assumeIsolated { $0.flush() } }
  }

  private func flush() {
    guard !pending.isEmpty else { return }
    let batch = pending
    pending = []
    deliver(batch)
  }

  // MARK: Orders

  private func run(_ commands: [RoomMediaCommand]) {
    for command in commands { run(command) }
  }

  func run(_ command: RoomMediaCommand) {
    switch command {
    case .openRoom(let id): openRoom(id)
    case .closeRoom(let id): closeRoom(id)
    case .openPeer(let id, let room, let towards, let isControlling):
      openPeer(id, room: room, towards: towards, isControlling: isControlling)
    case .setRemote(let id, let remote): setRemote(id, remote)
    case .addCandidate(let id, let line): peers[id]?.transport.addRemoteCandidate(line)
    case .restartICE(let id): restartICE(id)
    case .closePeer(let id): closePeer(id)
    case .configurePeer(let id, let bandwidth): router(of: id)?.configurePeer(id, bandwidth: bandwidth)
    case .openDataChannels(let id, let channels, let size):
      peers[id]?.openDataChannels(channels, remoteMaximumMessageSize: size)
    case .sendData(let ids, let label, let bytes):
      for id in ids { peers[id]?.send(bytes, on: label) }
    case .addProducer(let id, let peer, let parameters):
      router(of: peer)?.addProducer(id, peer: peer, parameters: parameters)
      if parameters.kind == .audio, let room = peers[peer].flatMap({ rooms[$0.room] }) {
        audioAdded(id, of: peer, in: room)
      }
    case .updateProducer(let id, let room, let parameters):
      rooms[room]?.router.updateProducer(id, parameters: parameters)
    case .setProducerMuted(let id, let room, let muted):
      rooms[room]?.router.setProducer(id, muted: muted)
      rooms[room]?.conference?.producerMuted(id, muted)
    case .removeProducer(let id, let room):
      rooms[room]?.router.removeProducer(id)
      if let room = rooms[room] { producerRemoved(id, from: room) }
    case .addConsumer(let id, let producer, let peer, let parameters):
      if let room = peers[peer]?.room, rooms[room]?.replica?.keeps(command) == true { return }
      if router(of: peer)?.addConsumer(id, of: producer, peer: peer, parameters: parameters) == false {
        report(.consumerRefused(id))
      }
    case .updateConsumer(let id, let room, let preferences):
      if rooms[room]?.replica?.keeps(command) == true { return }
      rooms[room]?.router.updateConsumer(id, preferences: preferences)
    case .renegotiateConsumer(let id, let room, let mid, let codecs, let extensions):
      guard let router = rooms[room]?.router, rooms[room]?.replica?.keeps(command) != true else { return }
      if !router.updateConsumer(id, codecs: codecs, extensions: extensions, mid: mid) { report(.consumerRefused(id)) }
    case .removeConsumer(let id, let room):
      if rooms[room]?.replica?.keeps(command) == true { return }
      rooms[room]?.router.removeConsumer(id)
    case .requestKeyFrame(let id, let room): rooms[room]?.router.requestKeyFrame(id)
    case .setTap(let id, let room, let tap): rooms[room]?.router.setTap(id, tap)
    case .openPhone, .closePhone, .setPhoneMuted, .announce, .endAnnouncement, .openAnnouncer, .announceToAll,
      .setProducerMixed:
      runPhones(command)
    case .openReplica, .addPipe: runPipes(command)
    }
  }

  private func router(of peer: PeerID) -> Router? { peers[peer]?.router }

  // MARK: Rooms

  func openRoom(_ id: MediaRoomID) {
    guard rooms[id] == nil else { return }
    var configuration = configuration
    configuration.origin = worker.now
    configuration.originWall = .now()
    let router = Router(seed: .random(in: 0...UInt64.max), configuration: configuration)
    router.onEvent = { [weak self] event in self?.assumeIsolated { $0.report(.router(id, event)) } }
    rooms[id] = HostedRoom(router: router)
  }

  private func closeRoom(_ id: MediaRoomID) {
    guard let room = rooms[id] else { return }
    closeConference(of: room)
    closePipes(of: room)
    for peer in room.peers { closePeer(peer) }
    room.router.onEvent = nil
    adjustTicker()
    past += room.router.totals()
    rooms[id] = nil
  }

  /// 5 ms, for as long as a room has peers.
  func adjustTicker() {
    if peers.isEmpty, phones.isEmpty {
      guard let ticker else { return }
      ticker.cancel()
      self.ticker = nil
      load = WorkerLoad()
      report(.load(worker: index, share: 0))
    } else if ticker == nil {
      ticker = worker.every(.milliseconds(5)) { [weak self] now in self?.assumeIsolated { $0.tick(now) } }
    }
  }

  private func tick(_ now: Instant) {
    let share = load.update(busy: { worker.statistics.busy }, now: now)
    if let share { report(.load(worker: index, share: share)) }
    for room in rooms.values where !room.peers.isEmpty || room.conference != nil {
      room.conference?.tick(now: now)
      room.router.tick(now: now)
    }
  }

  // MARK: Peers

  private func openPeer(_ id: PeerID, room roomID: MediaRoomID, towards: IPAddress, isControlling: Bool) {
    guard let room = rooms[roomID], peers[id] == nil else { return }
    do throws(TransportError) {
      let transport = try makeTransport(worker, towards, isControlling)
      let peer = HostedPeer(id: id, room: roomID, router: room.router, transport: transport, worker: worker)
      peer.onEvent = { [weak self] event in self?.assumeIsolated { $0.report(event) } }
      peer.onFailure = failed
      peer.start(receiver: room.router.addPeer(id, transport: transport, now: worker.now))
      peers[id] = peer
      room.peers.insert(id)
      adjustTicker()
      try peer.gather { .peerOpened(id, $0) }
    } catch {
      report(.peerFailed(id, "\(error)"))
    }
  }

  private func setRemote(_ id: PeerID, _ remote: RemoteTransport) {
    guard let peer = peers[id] else { return }
    do throws(TransportError) {
      let before = peer.transport.localUfrag
      try peer.setRemote(remote)
      if peer.transport.localUfrag != before { try peer.gather { .peerRestarted(id, $0) } }
    } catch {
      report(.peerFailed(id, "\(error)"))
    }
  }

  private func restartICE(_ id: PeerID) {
    guard let peer = peers[id] else { return }
    _ = peer.transport.restartICE()
    do throws(TransportError) {
      try peer.gather { .peerRestarted(id, $0) }
    } catch {
      report(.peerFailed(id, "\(error)"))
    }
  }

  private func closePeer(_ id: PeerID) {
    guard let peer = peers.removeValue(forKey: id) else { return }
    if let room = rooms[peer.room] {
      room.peers.remove(id)
      peerRemoved(id, from: room)
    }
    peer.router.removePeer(id)
    peer.close()
    adjustTicker()
  }
}
