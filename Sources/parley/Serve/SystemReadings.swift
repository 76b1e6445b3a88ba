import Core
import Gateway
import SIP
import SIPTransport
import Synchronization

/// What sockets, transactions, media workers and the store count, taken once a second so that `/metrics` waits for nobody.
final class SystemReadings: Sendable {
  private struct Snapshot {
    var transport = SIPTransportStatistics()
    var transactions = TransactionStatistics()
    var mediaLegs: [Int] = []
  }

  private let snapshot = Mutex(Snapshot())
  private let gateway: Gateway
  private let transport: SIPTransportStack
  private let hosts: [MediaHost]

  init(registry: MetricsRegistry, gateway: Gateway, transport: SIPTransportStack, media: MediaPlane) {
    self.gateway = gateway
    self.transport = transport
    hosts = media.hosts
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
    for worker in hosts.indices {
      registry.reading("parley_media_legs", "Legs with media, by worker.", labels: [("worker", "\(worker)")]) {
        [self] in
        Double(snapshot.withLock { $0.mediaLegs.indices.contains(worker) ? $0.mediaLegs[worker] : 0 })
      }
    }
  }

  /// Takes a snapshot each second until cancelled.
  func run() async {
    while !Task.isCancelled {
      let statistics = await transport.statistics()
      let transactions = await gateway.transactionStatistics
      var legs: [Int] = []
      for host in hosts { legs.append(await host.legCount) }
      snapshot.withLock {
        $0 = Snapshot(transport: statistics, transactions: transactions, mediaLegs: legs)
      }
      try? await Task.sleep(for: .seconds(1))
    }
  }
}
