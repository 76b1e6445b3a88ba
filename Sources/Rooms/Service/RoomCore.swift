import Core
import LiveKitProtocol
import Logging
import SFU

/// All rooms and all sessions: finds whom an event concerns. Confined to the signalling loop.
final class RoomCore {
  let context: RoomContext
  private var rooms: [String: Room] = [:]
  private var roomsByMedia: [MediaRoomID: Room] = [:]
  private var sessions: [SessionID: Participant] = [:]
  /// Participants on each media worker.
  private var load: [Int]
  private var gates: [LoadGate]
  private(set) var isDraining = false
  private(set) lazy var endpoints = Endpoints(self)
  private(set) lazy var phones = Phones(self)

  init(_ context: RoomContext) {
    self.context = context
    load = Array(repeating: 0, count: max(1, context.dependencies.media.count))
    gates = Array(repeating: LoadGate(), count: load.count)
  }

  /// The oldest first.
  var allRooms: [Room] {
    rooms.values.sorted { ($0.createdAt.milliseconds, $0.name) < ($1.createdAt.milliseconds, $1.name) }
  }
  func room(_ name: String) -> Room? { rooms[name] }
  var participantCount: Int { load.reduce(0, +) }

  // MARK: Joins

  /// Whether a join would be taken.
  func validate(_ request: JoinRequest) throws(JoinRefusal) {
    let configuration = context.configuration
    let grant = request.claims.video
    guard grant.roomJoin else { throw JoinRefusal(status: 401, text: "permissions denied") }
    guard !request.claims.identity.isEmpty else { throw JoinRefusal(status: 400, text: "identity cannot be empty") }
    guard !grant.room.isEmpty else { throw JoinRefusal(status: 400, text: "no room name") }
    for (what, text) in [
      ("room name", grant.room), ("identity", request.claims.identity), ("name", request.claims.name),
    ] where text.count > configuration.maximumNameLength {
      throw JoinRefusal(status: 400, text: "\(what) exceeds \(configuration.maximumNameLength) characters")
    }
    guard request.claims.metadata.utf8.count <= configuration.maximumMetadata else {
      throw JoinRefusal(status: 400, text: "metadata exceeds limits")
    }
    guard !isDraining, !context.dependencies.media.isEmpty else {
      throw JoinRefusal(status: 503, text: "the server is shutting down")
    }
    guard let room = rooms[grant.room] else {
      guard configuration.autoCreate || grant.roomCreate else {
        throw JoinRefusal(status: 404, text: "requested room does not exist")
      }
      guard configuration.maximumRooms == 0 || rooms.count < configuration.maximumRooms else {
        throw JoinRefusal(status: 503, text: "too many rooms")
      }
      try checkSessions()
      guard gates.contains(where: \.isOpen) else { throw tooBusy(leastLoaded) }
      return
    }
    // One who comes back, or takes the place of its older self, needs no new place.
    guard room.participant(request.claims.identity) == nil else { return }
    guard !room.isLocked || grant.roomAdmin || grant.agent || grant.recorder else {
      throw JoinRefusal(status: 403, text: "the room is locked")
    }
    let needsPlace = !grant.agent && !grant.recorder && request.claims.kind != .agent && request.claims.kind != .egress
    guard !needsPlace || !room.isFull else {
      throw JoinRefusal(status: 503, text: "room has exceeded its max participants")
    }
    try checkSessions()
    guard gates[room.worker].isOpen else { throw tooBusy(room.worker) }
  }

  /// Better nobody more than everybody worse.
  private func tooBusy(_ worker: Int) -> JoinRefusal {
    let percent = Int((gates[worker].share * 100).rounded())
    return JoinRefusal(status: 503, text: "the server is at its limit: media worker \(worker) is \(percent) % busy")
  }

  private func checkSessions() throws(JoinRefusal) {
    let limit = context.configuration.maximumSessions
    guard limit == 0 || participantCount < limit else { throw JoinRefusal(status: 503, text: "too many participants") }
  }

  func join(_ request: JoinRequest, sink: any SignalSink) throws(JoinRefusal) -> SessionID {
    try validate(request)
    let id = SessionID(rawValue: context.nextID())
    let signal = SignalConnection(id: id, sink: sink, lastHeard: context.now)
    if let reconnect = request.reconnect {
      resume(request, reconnect, signal)
      return id
    }
    let room = rooms[request.claims.video.room] ?? make(request)
    if let old = room.participant(request.claims.identity) { old.leave(.duplicateIdentity, action: .disconnect) }
    let participant = Participant(
      room: room, sid: context.makeSID(.participant), request: request, joinedAt: context.wallTime)
    sessions[id] = participant
    load[room.worker] += 1
    room.add(participant)
    participant.begin(request, signal: signal)
    room.joined(participant)
    return id
  }

  /// A session that cannot go on is told to begin anew; the upgrade succeeds all the same.
  private func resume(_ request: JoinRequest, _ reconnect: JoinRequest.Reconnect, _ signal: SignalConnection) {
    guard let participant = rooms[request.claims.video.room]?.participant(request.claims.identity),
      participant.sid == reconnect.participantSID, participant.isPresent,
      participant.isSinglePeerConnection == request.isSinglePeerConnection
    else {
      signal.send(.leave(Participant.leaveMessage(.stateMismatch, .reconnect)))
      signal.sink.close(.goingAway)
      return
    }
    sessions[signal.id] = participant
    participant.resume(request, signal: signal)
  }

  // MARK: Rooms

  private func make(_ request: JoinRequest) -> Room {
    var options = RoomOptions(context.configuration)
    if let wanted = request.claims.roomConfiguration {
      options.apply(
        emptyTimeout: wanted.emptyTimeout, departureTimeout: wanted.departureTimeout,
        maximumParticipants: wanted.maxParticipants, metadata: wanted.metadata)
      if wanted.hasEgress { options.egress = wanted.egress }
    }
    return make(request.claims.video.room, options)
  }

  /// A new room, on the worker with the fewest participants.
  func make(_ name: String, _ options: RoomOptions) -> Room {
    let worker = leastLoaded
    let room = Room(service: self, name: name, worker: worker, options: options)
    self.rooms[name] = room
    roomsByMedia[room.mediaID] = room
    context.logger.info("room created", metadata: ["room": "\(name)", "sid": "\(room.sid)", "worker": "\(worker)"])
    context.dependencies.onEvent(.roomStarted(room.info))
    if let egress = options.egress { context.dependencies.onEvent(.egressWanted(room.info, egress)) }
    return room
  }

  /// Of the workers that take participants, the one with the fewest.
  private var leastLoaded: Int {
    let rooms = Dictionary(grouping: self.rooms.values, by: \.worker).mapValues(\.count)
    func rank(_ worker: Int) -> (Int, Int, Int, Int) {
      (gates[worker].isOpen ? 0 : 1, load[worker], rooms[worker] ?? 0, worker)
    }
    return load.indices.min { rank($0) < rank($1) } ?? 0
  }

  func closed(_ room: Room) {
    if rooms[room.name] === room { rooms[room.name] = nil }
    roomsByMedia[room.mediaID] = nil
  }

  func ended(_ participant: Participant) {
    load[participant.room.worker] -= 1
    if let signal = participant.signal { sessions[signal.id] = nil }
  }

  // MARK: Events

  func receive(_ request: Livekit_SignalRequest, from id: SessionID) { sessions[id]?.receive(request) }

  func disconnected(_ id: SessionID) {
    guard let participant = sessions.removeValue(forKey: id), participant.signal?.id == id else { return }
    participant.signalLost()
  }

  /// The server closed this connection itself: nothing more is taken from it.
  func forget(_ id: SessionID) { sessions[id] = nil }

  func receive(_ event: RoomMediaEvent) {
    func connection(_ id: PeerID) -> PeerConnection? { context.peers[id]?.connection }
    switch event {
    case .peerOpened(let id, let local): connection(id)?.receive(opened: local)
    case .peerRestarted(let id, let local): connection(id)?.receive(restarted: local)
    case .peerConnected(let id), .peerReconnected(let id): connection(id)?.receiveConnected()
    case .peerDisconnected(let id): connection(id)?.receiveInterrupted()
    case .peerFailed(let id, let reason): connection(id)?.receiveFailed(reason)
    case .peerClosed(let id): connection(id)?.receiveClosed()
    case .dataChannelOpen: break
    case .data(let id, let label, let bytes):
      guard let participant = connection(id)?.participant else { return }
      participant.room.data.receive(bytes, on: label, from: participant)
    case .receiverStuck(let id):
      if let participant = connection(id)?.participant { participant.reconnectFully(.mediaFailure) }
    case .phoneFailed(let id, let reason): phones.failed(id, reason)
    case .announcementEnded: break
    case .consumerRefused(let id):
      if let subscription = context.consumers[id]?.subscription {
        subscription.subscriber.subscribing.refused(subscription.track.sid)
      }
    case .router(let id, let event): roomsByMedia[id]?.receive(event)
    case .load(let worker, let share):
      if gates.indices.contains(worker) { gates[worker].update(share, limit: context.configuration.maximumLoad) }
    case .wantedAtReplica(let id, let layer, let replica):
      if let track = context.producers[id]?.track { track.publisher.room.wanted(track, layer, worker: replica) }
    }
  }

  // MARK: Drain

  /// Takes no new participant; sends the present ones away, spread over the configured time.
  func drain() {
    guard !isDraining else { return }
    isDraining = true
    let all = rooms.values.flatMap(\.present)
    let spread = context.configuration.drainSpread
    for (index, participant) in all.enumerated() {
      participant.drainTimer = context.after(spread / max(1, all.count) * index) { [weak participant] in
        participant?.leave(.serverShutdown, action: .reconnect)
      }
    }
  }

  func closeAll() {
    isDraining = true
    for room in Array(rooms.values) { room.close(.serverShutdown) }
  }
}
