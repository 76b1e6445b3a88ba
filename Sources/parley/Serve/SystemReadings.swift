import Core
import Gateway
import Rooms
import SIP
import SIPTransport
import Synchronization
import Transport

/// What sockets, transactions, media workers and the store count, taken once a second so that `/metrics` waits for nobody.
final class SystemReadings: Sendable {
  private struct Snapshot {
    var transport = SIPTransportStatistics()
    var transactions = TransactionStatistics()
    var mediaLegs: [Int] = []
    var port = SinglePortStatistics()
    var rooms = 0
    var participants = 0
    var media = RoomReadings()
  }

  private let snapshot = Mutex(Snapshot())
  private let roomMedia: [RoomMedia]
  private let gateway: Gateway
  private let rooms: RoomService
  private let transport: SIPTransportStack
  private let hosts: [MediaHost]
  private let port: SinglePort?

  init(
    registry: MetricsRegistry, gateway: Gateway, rooms: RoomsPlane, transport: SIPTransportStack, media: MediaPlane
  ) {
    self.gateway = gateway
    self.rooms = rooms.service
    roomMedia = rooms.workers
    self.transport = transport
    hosts = media.hosts
    port = media.peerTransports.singlePort
    for name in TransportProtocol.allCases {
      let label = [("transport", name.rawValue.lowercased())]
      registry.reading("parley_sip_connections", "Open SIP connections.", labels: label) { [self] in
        Double(snapshot.withLock { $0.transport[name].connections })
      }
      registry.reading("parley_sip_messages_received_total", "SIP messages received.", kind: .counter, labels: label) {
        [self] in Double(snapshot.withLock { $0.transport[name].messagesIn })
      }
      registry.reading("parley_sip_messages_sent_total", "SIP messages sent.", kind: .counter, labels: label) {
        [self] in
        Double(snapshot.withLock { $0.transport[name].messagesOut })
      }
    }
    for reason in RefusalReason.allCases {
      registry.reading(
        "parley_sip_transport_refused_total", "Connections and messages turned away by the sockets.", kind: .counter,
        labels: [("reason", reason.rawValue)]
      ) { [self] in Double(snapshot.withLock { $0.transport.refused[reason] ?? 0 }) }
    }
    registry.reading("parley_sip_retransmissions_sent_total", "SIP messages sent again by timer.", kind: .counter) {
      [self] in Double(snapshot.withLock { $0.transactions.retransmissionsSent })
    }
    registry.reading("parley_sip_transaction_timeouts_total", "SIP requests without a final answer.", kind: .counter) {
      [self] in Double(snapshot.withLock { $0.transactions.timeouts })
    }
    if port != nil { readPort(registry) }
    registry.reading("parley_rooms", "Rooms that are open.") { [self] in Double(snapshot.withLock { $0.rooms }) }
    registry.reading("parley_room_participants", "Participants of all rooms.") { [self] in
      Double(snapshot.withLock { $0.participants })
    }
    RoomReadings.register(in: registry) { [self] in snapshot.withLock { $0.media } }
    for worker in hosts.indices {
      registry.reading("parley_media_legs", "Legs with media, by worker.", labels: [("worker", "\(worker)")]) {
        [self] in
        Double(snapshot.withLock { $0.mediaLegs.indices.contains(worker) ? $0.mediaLegs[worker] : 0 })
      }
    }
  }

  /// Counts media paths that break. All kinds are there from the start, so that their first one can be seen.
  static func failures(_ plane: String, _ registry: MetricsRegistry) -> @Sendable (MediaFailure) -> Void {
    let counters = Dictionary(
      uniqueKeysWithValues: MediaFailure.allCases.map { failure in
        (
          failure,
          registry.counter(
            "parley_media_failures_total", "Media paths that could not be set up or broke.",
            labels: [("plane", plane), ("reason", failure.rawValue)])
        )
      })
    return { counters[$0]?.increment() }
  }

  private func readPort(_ registry: MetricsRegistry) {
    func reading(
      _ name: String, _ help: String, kind: MetricsRegistry.ReadingKind,
      _ value: @escaping @Sendable (SinglePortStatistics) -> UInt64
    ) {
      registry.reading(name, help, kind: kind) { [self] in Double(value(snapshot.withLock { $0.port })) }
    }
    reading("parley_port_peers", "WebRTC peers on the single port.", kind: .gauge) { UInt64($0.peers) }
    reading("parley_port_connections", "ICE-TCP connections.", kind: .gauge) { UInt64($0.connections) }
    reading("parley_port_datagrams_received_total", "Datagrams taken from the single port.", kind: .counter) {
      $0.received
    }
    reading(
      "parley_port_handed_over_total", "Datagrams that arrived at another worker's socket.", kind: .counter
    ) { $0.handedOver }
    reading(
      "parley_port_dropped_total", "Datagrams from nobody's address, or lost between workers.", kind: .counter
    ) { $0.unknownSource &+ $0.handOverDropped }
    reading("parley_port_checks_total", "Connectivity checks answered with success.", kind: .counter) { $0.checks }
    reading("parley_port_bad_checks_total", "Connectivity checks that were refused.", kind: .counter) { $0.badChecks }
  }

  /// Takes a snapshot each second until cancelled. The routers are summed up every third: a worker with thousands of
  /// subscriptions takes a millisecond for it.
  func run() async {
    var rounds = 0
    var readings = RoomReadings()
    while !Task.isCancelled {
      if rounds % 3 == 0 { readings = await RoomReadings.take(roomMedia) }
      rounds += 1
      let statistics = await transport.statistics()
      let transactions = await gateway.transactionStatistics
      var legs: [Int] = []
      var ports = SinglePortStatistics()
      for host in hosts {
        legs.append(await host.legCount)
        if let port { ports += await host.statistics(of: port) }
      }
      let open = await rooms.roomCount
      let present = await rooms.participantCount
      let taken = Snapshot(
        transport: statistics, transactions: transactions, mediaLegs: legs, port: ports, rooms: open,
        participants: present, media: readings)
      snapshot.withLock { $0 = taken }
      try? await Task.sleep(for: .seconds(1))
    }
  }
}
