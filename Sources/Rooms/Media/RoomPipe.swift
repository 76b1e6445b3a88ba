import Core
import RTP
import SFU
import Synchronization
import Transport

/// The way of a room's packets from the worker where they arrive to another one, some of whose peers take them too.
///
/// Packets go through a ring without lock or allocation; the other end is woken once a turn. What changes, such as a new
/// track, goes beside it.
package final class RoomPipe: Sendable {
  /// From the home worker to the replica.
  enum Message: Sendable {
    case packets
    case added(ProducerID, peer: PeerID, ProducerParameters)
    case changed(ProducerID, ProducerParameters)
    case ended(ProducerID)
  }

  /// From the replica to the home worker.
  struct KeyFrameRequest: Sendable {
    var peer: PeerID
    var ssrc: SSRC
  }

  /// Of packets that wait: some tens of milliseconds of a busy room.
  private static let capacity = 1 << 20
  /// Packets that the replica takes before it looks after its own.
  private static let packetsPerTurn = 2_048

  private let ring = PacketRing(capacity: RoomPipe.capacity)
  private let isSignalled = Atomic<Bool>(false)
  private let dropped = Atomic<Int>(0)
  private let ends = Mutex(Ends())

  private struct Ends {
    var replica: (worker: MediaWorker, take: @Sendable (Message) -> Void)?
    var home: (worker: MediaWorker, take: @Sendable (KeyFrameRequest) -> Void)?
    /// What came before the replica was there.
    var backlog: [Message] = []
  }

  package init() {}

  /// Packets that found no room.
  package var packetsDropped: Int { dropped.load(ordering: .relaxed) }

  // MARK: At home

  /// Requests of the replica come to `take` on the worker's thread.
  func attach(home worker: MediaWorker, take: @escaping @Sendable (KeyFrameRequest) -> Void) {
    ends.withLock { if $0.home == nil { $0.home = (worker, take) } }
  }

  func push(_ packet: UnsafeRawBufferPointer, isRTCP: Bool, from peer: PeerID) -> Bool {
    let label: (UInt64, UInt64, UInt64, UInt64) = (peer.rawValue, isRTCP ? 1 : 0, 0, 0)
    if withUnsafeBytes(of: label, { ring.push(packet, label: $0.baseAddress.unsafelyUnwrapped) }) { return true }
    dropped.wrappingAdd(1, ordering: .relaxed)
    return false
  }

  /// Wakes the replica, unless it is about to look anyway.
  func flush() {
    if !isSignalled.exchange(true, ordering: .sequentiallyConsistent) { send(.packets) }
  }

  func send(_ message: Message) {
    ends.withLock { ends in
      guard let (worker, take) = ends.replica else {
        ends.backlog.append(message)
        return
      }
      worker.perform { take(message) }
    }
  }

  // MARK: At the replica

  /// Messages come to `take` on the worker's thread.
  func attach(replica worker: MediaWorker, take: @escaping @Sendable (Message) -> Void) {
    let backlog = ends.withLock { ends in
      ends.replica = (worker, take)
      defer { ends.backlog = [] }
      return ends.backlog
    }
    for message in backlog { take(message) }
  }

  /// Gives the packets that came.
  func drain(_ body: (UnsafeRawBufferPointer, _ isRTCP: Bool, PeerID) -> Void) {
    // Before the ring is looked at: what is pushed from here on signals anew.
    isSignalled.store(false, ordering: .sequentiallyConsistent)
    let more = ring.drain(limit: RoomPipe.packetsPerTurn) { packet, label in
      body(
        UnsafeRawBufferPointer(packet), label.load(fromByteOffset: 8, as: UInt64.self) == 1,
        PeerID(rawValue: label.load(as: UInt64.self)))
    }
    if more { flush() }
  }

  func send(_ request: KeyFrameRequest) {
    ends.withLock { ends in
      guard let (worker, take) = ends.home else { return }
      worker.perform { take(request) }
    }
  }

  /// Neither end is told anything any more.
  func close() {
    ends.withLock { ends in
      ends.replica = nil
      ends.home = nil
      ends.backlog = []
    }
  }
}

/// One track's packets into a pipe. Confined to the home worker.
final class PipedProducer: ProducerPipe {
  private let pipe: RoomPipe
  private let worker: MediaWorker
  private let producer: ProducerID
  private let peer: PeerID
  private let flushes: PipeFlush

  init(_ producer: ProducerID, of peer: PeerID, into pipe: RoomPipe, worker: MediaWorker, flushes: PipeFlush) {
    self.pipe = pipe
    self.worker = worker
    self.producer = producer
    self.peer = peer
    self.flushes = flushes
  }

  func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant) {
    if pipe.push(packet, isRTCP: false, from: peer) { flushes.soon(worker) }
  }

  func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant) {
    if pipe.push(packet, isRTCP: true, from: peer) { flushes.soon(worker) }
  }

  func changed(_ parameters: ProducerParameters) { pipe.send(.changed(producer, parameters)) }

  func ended() { pipe.send(.ended(producer)) }
}

/// Flushes a pipe once at the end of a turn that put packets into it. Confined to the home worker.
final class PipeFlush {
  private let pipe: RoomPipe
  private var isDue = false

  init(_ pipe: RoomPipe) { self.pipe = pipe }

  func soon(_ worker: MediaWorker) {
    guard !isDue else { return }
    isDue = true
    worker.atEndOfTurn { [self] in
      isDue = false
      pipe.flush()
    }
  }
}

/// What a replica's router takes for the connection of a publisher: of what is sent there only the wish for a key frame
/// goes on. Confined to the replica's worker.
final class PipeTransport: PacketTransport {
  private let pipe: RoomPipe
  private let peer: PeerID

  init(_ pipe: RoomPipe, _ peer: PeerID) {
    self.pipe = pipe
    self.peer = peer
  }

  func send(rtp packet: UnsafeRawBufferPointer) {}

  func send(rtcp packet: UnsafeRawBufferPointer) {
    guard let packets = try? RTCPCompound.parse(packet) else { return }
    for packet in packets {
      switch packet {
      case .pictureLossIndication(_, let media): pipe.send(RoomPipe.KeyFrameRequest(peer: peer, ssrc: media))
      case .fullIntraRequest(_, let requests):
        for request in requests { pipe.send(RoomPipe.KeyFrameRequest(peer: peer, ssrc: request.media)) }
      default: break
      }
    }
  }
}
