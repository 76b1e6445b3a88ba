import Core
import SFU
import Transport

// Rooms that spread over several workers: their tracks arrive at one, their home, and pipes carry those that are wanted
// elsewhere to the replicas.
extension RoomMedia {
  func runPipes(_ command: RoomMediaCommand) {
    switch command {
    case .openReplica(let id, let pipe, let index): openReplica(id, pipe, index)
    case .addPipe(let pipe, let producer, let room): addPipe(pipe, of: producer, in: room)
    default: break
    }
  }

  // MARK: Home

  private func addPipe(_ pipe: RoomPipe, of producer: ProducerID, in id: MediaRoomID) {
    guard let room = rooms[id], let (peer, parameters) = room.router.description(of: producer) else { return }
    let key = ObjectIdentifier(pipe)
    let flush: PipeFlush
    if let known = room.pipes[key] {
      flush = known.flush
    } else {
      flush = PipeFlush(pipe)
      room.pipes[key] = (pipe, flush)
      pipe.attach(home: worker) { [weak self] request in
        self?.assumeIsolated { $0.rooms[id]?.router.requestKeyFrame(peer: request.peer, ssrc: request.ssrc) }
      }
    }
    pipe.send(.added(producer, peer: peer, parameters))
    room.router.addPipe(
      PipedProducer(producer, of: peer, into: pipe, worker: worker, flushes: flush), of: producer)
    room.router.requestKeyFrame(producer)
  }

  // MARK: Replica

  private func openReplica(_ id: MediaRoomID, _ pipe: RoomPipe, _ index: Int) {
    openRoom(id)
    guard let room = rooms[id], room.replica == nil else { return }
    room.replica = RoomReplica(pipe, of: room.router)
    // What all peers of the room tell together is the home's to tell.
    room.router.onEvent = { [weak self] event in
      self?.assumeIsolated { media in
        switch event {
        case .consumerState, .currentLayer, .quality: media.report(.router(id, event))
        case .wantedLayers(let producer, let layer):
          media.report(.wantedAtReplica(producer, maximumSpatialLayer: layer, replica: index))
        case .producerStarted, .producerStalled, .producerResumed, .producerEnded, .layersSeen, .speakers: break
        }
      }
    }
    pipe.attach(replica: worker) { [weak self] message in
      self?.assumeIsolated { $0.receive(message, in: id, index) }
    }
  }

  private func receive(_ message: RoomPipe.Message, in id: MediaRoomID, _ index: Int) {
    guard let room = rooms[id], let replica = room.replica else { return }
    let now = worker.now
    switch message {
    case .packets: replica.drain(now: now)
    case .added(let producer, let peer, let parameters):
      replica.add(producer, of: peer, parameters, now: now)
      for waiting in replica.takeWaiting(for: producer) { run(waiting) }
    case .changed(let producer, let parameters):
      room.router.updateProducer(producer, parameters: parameters)
    case .ended(let producer):
      replica.remove(producer)
      report(.wantedAtReplica(producer, maximumSpatialLayer: nil, replica: index))
    }
  }

  func closePipes(of room: HostedRoom) {
    for (pipe, _) in room.pipes.values { pipe.close() }
    room.replica?.close()
  }
}

/// What a worker holds of a room whose tracks arrive at another one. Confined to the worker's thread.
final class RoomReplica {
  private let pipe: RoomPipe
  private let router: Router
  /// The publishers' places in the router, and how many tracks of each are here.
  private var publishers: [PeerID: (receiver: any PacketReceiver, tracks: Int)] = [:]
  private var tracks: [ProducerID: PeerID] = [:]
  /// Orders for tracks that are on their way: the pipe and the control plane do not wait for each other.
  private var waiting: [ProducerID: [RoomMediaCommand]] = [:]

  init(_ pipe: RoomPipe, of router: Router) {
    self.pipe = pipe
    self.router = router
  }

  func close() {
    pipe.close()
    waiting = [:]
  }

  func drain(now: Instant) {
    pipe.drain { packet, isRTCP, peer in
      guard let receiver = publishers[peer]?.receiver else { return }
      if isRTCP { receiver.receive(rtcp: packet, now: now) } else { receiver.receive(rtp: packet, now: now) }
    }
  }

  /// Whether an order about a consumer has to wait for its track, and then keeps it.
  func keeps(_ command: RoomMediaCommand) -> Bool {
    switch command {
    case .addConsumer(_, let producer, _, _):
      guard tracks[producer] == nil else { return false }
      waiting[producer, default: []].append(command)
      return true
    case .updateConsumer(let consumer, _, _), .renegotiateConsumer(let consumer, _, _, _, _),
      .removeConsumer(let consumer, _):
      guard !waiting.isEmpty, let producer = waiting.first(where: { $0.value.contains { $0.adds(consumer) } })?.key
      else { return false }
      waiting[producer]?.append(command)
      return true
    default: return false
    }
  }

  func takeWaiting(for producer: ProducerID) -> [RoomMediaCommand] { waiting.removeValue(forKey: producer) ?? [] }

  func add(_ producer: ProducerID, of peer: PeerID, _ parameters: ProducerParameters, now: Instant) {
    remove(producer)
    if publishers[peer] == nil {
      publishers[peer] = (router.addPeer(peer, transport: PipeTransport(pipe, peer), now: now), 0)
    }
    publishers[peer]?.tracks += 1
    tracks[producer] = peer
    router.addProducer(producer, peer: peer, parameters: parameters)
  }

  func remove(_ producer: ProducerID) {
    guard let peer = tracks.removeValue(forKey: producer), let publisher = publishers[peer] else { return }
    router.removeProducer(producer)
    if publisher.tracks > 1 {
      publishers[peer]?.tracks -= 1
    } else {
      publishers[peer] = nil
      router.removePeer(peer)
    }
  }
}

extension RoomMediaCommand {
  fileprivate func adds(_ consumer: ConsumerID) -> Bool {
    if case .addConsumer(consumer, _, _, _) = self { true } else { false }
  }
}
