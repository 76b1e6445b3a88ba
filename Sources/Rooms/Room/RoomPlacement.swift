import SFU

/// On which media workers the peers of a room live, and who has to get which order.
///
/// What is published arrives at the room's home. Peers that only receive may live elsewhere once the home has many of
/// them: there the room has a replica, and pipes carry to it the tracks that somebody there takes. A pure value.
struct RoomPlacement {
  private struct Replica {
    let pipe = RoomPipe()
    var peers = 0
    /// Tracks that come through the pipe; they do so until they end.
    var tracks: Set<ProducerID> = []
  }

  let room: MediaRoomID
  /// Index of the worker.
  let home: Int
  private let workers: Int
  /// Receiving peers that a worker takes before another one gets some; 0: all live at home.
  private let limit: Int
  private var receivers = 0
  private var replicas: [Int: Replica] = [:]
  /// Receiving peers, and their workers.
  private var places: [PeerID: Int] = [:]
  /// Of peers that do not live at home: their workers.
  private var consumers: [ConsumerID: Int] = [:]

  init(room: MediaRoomID, home: Int, workers: Int, limit: Int) {
    self.room = room
    self.home = home
    self.workers = max(workers, 1)
    self.limit = limit
  }

  /// The workers that have a part of the room.
  var all: [Int] { [home] + replicas.keys.sorted() }

  func worker(of peer: PeerID) -> Int { places[peer] ?? home }

  /// Finds a place for a peer that receives only. Before it is opened.
  mutating func place(_ peer: PeerID) {
    func count(_ worker: Int) -> Int { worker == home ? receivers : replicas[worker]?.peers ?? 0 }
    let order = (0..<workers).map { (home + $0) % workers }
    let worker =
      limit == 0 ? home : order.first { count($0) < limit } ?? order.min { count($0) < count($1) } ?? home
    places[peer] = worker
    if worker == home { receivers += 1 } else { replicas[worker, default: Replica()].peers += 1 }
  }

  /// Gives each order to the workers that have to carry it out.
  mutating func route(_ command: RoomMediaCommand, _ send: (RoomMediaCommand, Int) -> Void) {
    switch command {
    case .closeRoom:
      for worker in all { send(command, worker) }
    case .openPeer(let peer, _, _, _):
      let worker = worker(of: peer)
      if let replica = replicas[worker], replica.peers == 1 {
        send(.openReplica(room, replica.pipe, index: worker), worker)
      }
      send(command, worker)
    case .setRemote(let peer, _), .addCandidate(let peer, _), .restartICE(let peer), .configurePeer(let peer, _),
      .openDataChannels(let peer, _, _):
      send(command, worker(of: peer))
    case .closePeer(let peer):
      send(command, worker(of: peer))
      guard let worker = places.removeValue(forKey: peer) else { return }
      if worker == home { receivers -= 1 } else { replicas[worker]?.peers -= 1 }
    case .sendData(let peers, let label, let bytes):
      for (worker, group) in Dictionary(grouping: peers, by: worker(of:)) {
        send(.sendData(group, label, bytes), worker)
      }
    case .addConsumer(let consumer, let producer, let peer, _):
      let worker = worker(of: peer)
      send(command, worker)
      guard worker != home else { return }
      consumers[consumer] = worker
      if replicas[worker]?.tracks.insert(producer).inserted == true, let pipe = replicas[worker]?.pipe {
        send(.addPipe(pipe, of: producer, room: room), home)
      }
    case .updateConsumer(let consumer, _, _), .renegotiateConsumer(let consumer, _, _, _, _):
      send(command, consumers[consumer] ?? home)
    case .removeConsumer(let consumer, _):
      send(command, consumers.removeValue(forKey: consumer) ?? home)
    case .removeProducer(let producer, _):
      send(command, home)
      for worker in replicas.keys { replicas[worker]?.tracks.remove(producer) }
    default: send(command, home)
    }
  }
}

/// The highest spatial layer that is wanted of a track on each worker of its room.
struct LayerDemand {
  private var layers: [Int: Int] = [:]

  /// Takes what one worker found, nil for nothing, and gives the highest of all.
  mutating func set(_ layer: Int?, worker: Int) -> Int? {
    layers[worker] = layer
    return layers.values.max()
  }
}
