import Core
import LiveKitProtocol
import Logging
import SFU

/// What all rooms share: the clock, timers, identifiers and the orders to the media workers, which leave in one batch a
/// worker at the end of each event. Confined to the signalling loop.
final class RoomContext {
  let configuration: RoomConfiguration
  let dependencies: RoomDependencies
  let logger: Logger
  private let timers = RoomTimers()
  private var random: SeededRandom
  private var lastID: UInt64 = 0
  private var commands: [[RoomMediaCommand]]
  private var requestedWake: Instant?

  /// Whom a media worker's events concern.
  private(set) var peers: [PeerID: WeakPeer] = [:]
  var producers: [ProducerID: WeakTrack] = [:]
  var consumers: [ConsumerID: WeakSubscription] = [:]
  /// Ended in this event; see `keepUntilFlush`.
  private var ended: [AnyObject] = []

  init(configuration: RoomConfiguration, dependencies: RoomDependencies, logger: Logger) {
    self.configuration = configuration
    self.dependencies = dependencies
    self.logger = logger
    random = SeededRandom(seed: dependencies.seed)
    commands = Array(repeating: [], count: dependencies.media.count)
  }

  // MARK: Time

  var now: Instant { dependencies.now() }
  var wallTime: WallTime { dependencies.wallTime() }

  func after(_ delay: Duration, _ body: @escaping () -> Void) -> RoomTimer {
    timers.add(at: now + max(delay, .zero), body)
  }

  func fireTimers() {
    requestedWake = nil
    timers.fire(now: now)
  }

  var serverInfo: Livekit_ServerInfo {
    var info = Livekit_ServerInfo()
    info.version = configuration.serverVersion
    info.protocol = 17
    info.region = configuration.region
    info.nodeID = configuration.nodeID
    return info
  }

  // MARK: Identifiers

  func nextID() -> UInt64 {
    lastID &+= 1
    return lastID
  }

  func makeSID(_ prefix: SID.Prefix, _ detail: String = "") -> String { SID.make(prefix, detail, using: &random) }

  func makeSSRC() -> SSRC { SSRC(UInt32.random(in: 1...UInt32.max, using: &random)) }

  func randomNumber() -> UInt64 { random.next() }

  // MARK: Media workers

  /// Queues an order for a worker.
  func order(_ command: RoomMediaCommand, worker: Int) { commands[worker].append(command) }

  /// Sends the queued orders and asks for the next wake-up. Called once at the end of each event from outside.
  func flush() {
    for worker in commands.indices where !commands[worker].isEmpty {
      let batch = commands[worker]
      commands[worker] = []
      dependencies.media[worker].perform(batch)
    }
    if let next = timers.nextDeadline, requestedWake.map({ next < $0 }) ?? true {
      requestedWake = next
      dependencies.requestWake(next)
    }
    ended = []
  }

  /// A room or a participant that ends may be in the midst of its own work: what belongs to it knows it without keeping
  /// it, so that it has to stay until the event from outside is over.
  func keepUntilFlush(_ object: AnyObject) { ended.append(object) }

  func register(_ peer: PeerConnection) { peers[peer.id] = WeakPeer(connection: peer) }
  func unregister(_ peer: PeerConnection) { peers[peer.id] = nil }

  struct WeakPeer { weak var connection: PeerConnection? }
  struct WeakTrack { weak var track: PublishedTrack? }
  struct WeakSubscription { weak var subscription: Subscription? }
}
