import Core
import LiveKitProtocol
import Logging
import SFU

/// One room: who is in it, and what all of them are told. Routes between participants and its sub-machines.
final class Room {
  unowned let service: RoomCore
  let context: RoomContext
  let sid: String
  let name: String
  let mediaID: MediaRoomID
  /// Index of its media worker.
  let worker: Int
  let createdAt: WallTime
  var metadata: String
  var emptyTimeout: Duration
  var departureTimeout: Duration
  /// 0 is no limit.
  var maximumParticipants: UInt32
  /// A host closed the door: only moderators may still come in.
  var isLocked = false
  private(set) var isClosed = false
  private var placement: RoomPlacement

  private var participants: [String: Participant] = [:]
  /// In the order of their joins.
  private(set) var present: [Participant] = []
  private var departed = Departures()
  private(set) var data: DataRouter! = nil
  private(set) var speakers: Speakers! = nil
  private(set) var quality: QualityBoard! = nil
  private(set) var recordings: Recordings! = nil
  private var lifeTimer: RoomTimer?
  private var updateTimer: RoomTimer?

  init(service: RoomCore, name: String, worker: Int, options: RoomOptions) {
    self.service = service
    context = service.context
    self.name = name
    self.worker = worker
    sid = context.makeSID(.room)
    mediaID = MediaRoomID(rawValue: context.nextID())
    placement = RoomPlacement(
      room: mediaID, home: worker, workers: context.dependencies.media.count,
      limit: context.configuration.receiversPerWorker)
    createdAt = context.wallTime
    metadata = options.metadata
    emptyTimeout = options.emptyTimeout
    departureTimeout = options.departureTimeout
    maximumParticipants = options.maximumParticipants
    data = DataRouter(self)
    speakers = Speakers(self)
    quality = QualityBoard(self)
    recordings = Recordings(self)
    order(.openRoom(mediaID))
    lifeTimer = context.after(emptyTimeout) { [weak self] in self?.closeIfEmpty() }
  }

  var info: Livekit_Room {
    var info = Livekit_Room()
    info.sid = sid
    info.name = name
    info.emptyTimeout = UInt32(clamping: emptyTimeout.components.seconds)
    info.departureTimeout = UInt32(clamping: departureTimeout.components.seconds)
    info.maxParticipants = maximumParticipants
    info.creationTime = createdAt.milliseconds / 1000
    info.creationTimeMs = createdAt.milliseconds
    info.metadata = metadata
    info.enabledCodecs = context.configuration.enabledCodecs.map { mime in
      var codec = Livekit_Codec()
      codec.mime = mime
      return codec
    }
    let visible = present.filter { !$0.isHidden }
    info.numParticipants = UInt32(clamping: visible.count)
    info.numPublishers = UInt32(clamping: visible.count { !$0.publishing.live.isEmpty })
    info.activeRecording = !recordings.isEmpty || present.contains { $0.permission.recorder }
    return info
  }

  /// Queues an order for the workers that it concerns.
  func order(_ command: RoomMediaCommand) {
    placement.route(command) { context.order($0, worker: $1) }
  }

  /// For a peer that receives only, before it is opened: it may live on another worker than the room.
  func place(_ peer: PeerID) {
    let before = placement.all
    placement.place(peer)
    for worker in placement.all where !before.contains(worker) {
      context.logger.info("room spreads", metadata: ["room": "\(name)", "sid": "\(sid)", "worker": "\(worker)"])
    }
  }

  func participant(_ identity: String) -> Participant? { participants[identity] }
  func participant(sid: String) -> Participant? { present.first { $0.sid == sid } }

  var isFull: Bool {
    maximumParticipants > 0 && present.count { $0.holdsRoom } >= Int(maximumParticipants)
  }

  // MARK: Coming and going

  func add(_ participant: Participant) {
    participants[participant.identity] = participant
    present.append(participant)
    lifeTimer = nil
  }

  /// The participant has been told all that it needs; now the others.
  func joined(_ participant: Participant) {
    participant.version &+= 1
    announce(participant, includingItself: false)
    updateSoon()
  }

  func becameActive(_ participant: Participant) {
    context.logger.info("participant joined", metadata: participant.loggerMetadata)
    context.dependencies.onEvent(.participantJoined(info, participant.info))
    quality.start()
  }

  /// The participant has ended.
  func left(_ participant: Participant) {
    context.keepUntilFlush(participant)
    if participants[participant.identity] === participant { participants[participant.identity] = nil }
    present.removeAll { $0 === participant }
    announce(participant, includingItself: false)
    if !participant.isHidden { departed.add(participant.info, now: context.now) }
    speakers.left(participant)
    data.left(participant)
    recordings.left(participant)
    service.ended(participant)
    context.logger.info(
      "participant left",
      metadata: participant.loggerMetadata.merging(["reason": "\(participant.disconnectReason)"]) { $1 })
    context.dependencies.onEvent(
      participant.wasActive
        ? .participantLeft(info, participant.info) : .participantConnectionAborted(info, participant.info))
    guard !isClosed else { return }
    updateSoon()
    if !present.contains(where: \.holdsRoom) {
      isLocked = false
      lifeTimer = context.after(departureTimeout) { [weak self] in self?.closeIfEmpty() }
    }
  }

  private func closeIfEmpty() {
    guard !present.contains(where: \.holdsRoom) else { return }
    close(.roomClosed)
  }

  /// Ends the room for everybody.
  func close(_ reason: Livekit_DisconnectReason) {
    guard !isClosed else { return }
    isClosed = true
    context.keepUntilFlush(self)
    lifeTimer = nil
    updateTimer = nil
    for participant in present { participant.leave(reason, action: .disconnect) }
    quality.stop()
    recordings.roomClosed()
    order(.closeRoom(mediaID))
    service.closed(self)
    context.logger.info("room closed", metadata: ["room": "\(name)", "sid": "\(sid)", "reason": "\(reason)"])
    context.dependencies.onEvent(.roomFinished(info))
  }

  // MARK: What everybody is told

  /// Sends a participant's present state to those who may see it.
  func announce(_ participant: Participant, includingItself: Bool) {
    var update = Livekit_ParticipantUpdate()
    update.participants = [participant.info]
    var response = Livekit_SignalResponse()
    response.message = .update(update)
    if !participant.isHidden {
      for other in present where other !== participant { other.signal?.send(response) }
    }
    if includingItself { participant.signal?.send(response) }
  }

  /// A participant became visible or invisible; to the others it came or went.
  func hiddenChanged(_ participant: Participant) {
    guard participant.isHidden else { return }
    var gone = participant.info
    gone.state = .disconnected
    gone.tracks = []
    gone.version &+= 1
    participant.version &+= 1
    var update = Livekit_ParticipantUpdate()
    update.participants = [gone]
    for other in present where other !== participant { other.send(.update(update)) }
  }

  /// Everybody, for one who comes back: without it clients take the absent for gone.
  func snapshot(for participant: Participant) -> Livekit_ParticipantUpdate {
    var update = Livekit_ParticipantUpdate()
    update.participants = present.filter { !$0.isHidden || $0 === participant }.map(\.info)
    let identities = Set(present.map(\.identity))
    update.participants += departed.recent(now: context.now).filter { !identities.contains($0.identity) }
    return update
  }

  /// The room itself changed.
  func sendUpdate() {
    updateTimer = nil
    var update = Livekit_RoomUpdate()
    update.room = info
    var response = Livekit_SignalResponse()
    response.message = .roomUpdate(update)
    for participant in present { participant.signal?.send(response) }
  }

  /// The same for the numbers of participants, which change in bursts.
  func updateSoon() {
    guard updateTimer == nil else { return }
    updateTimer = context.after(.milliseconds(500)) { [weak self] in self?.sendUpdate() }
  }
}

/// What a room is created with.
struct RoomOptions {
  var metadata = ""
  var emptyTimeout: Duration
  var departureTimeout: Duration
  var maximumParticipants: UInt32
  /// What records it from its start on.
  var egress: Livekit_RoomEgress?

  init(_ configuration: RoomConfiguration) {
    emptyTimeout = configuration.emptyTimeout
    departureTimeout = configuration.departureTimeout
    maximumParticipants = configuration.maximumParticipants
  }

  mutating func apply(emptyTimeout: UInt32, departureTimeout: UInt32, maximumParticipants: UInt32, metadata: String) {
    if emptyTimeout > 0 { self.emptyTimeout = .seconds(Int64(emptyTimeout)) }
    if departureTimeout > 0 { self.departureTimeout = .seconds(Int64(departureTimeout)) }
    if maximumParticipants > 0 { self.maximumParticipants = maximumParticipants }
    if !metadata.isEmpty { self.metadata = metadata }
  }
}
