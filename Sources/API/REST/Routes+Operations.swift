import Core
import Hummingbird
import Store

extension RESTRoutes {
  /// For orchestrators and Prometheus.
  mutating func addOperations() {
    let store = services.store
    let control = services.control
    let metrics = services.metrics

    on(.get, "/healthz", .everybody) { _ in .text("alive\n") }

    on(.get, "/readyz", .everybody) { _ in
      guard await control.isReady else { return .text("draining\n", status: .serviceUnavailable) }
      guard (try? await store.generation()) != nil else {
        return .text("the database does not answer\n", status: .serviceUnavailable)
      }
      return .text("ready\n")
    }

    metrics.reading("parley_store_saves_waiting", "Call records waiting for the disk.") { Double(store.savesWaiting) }
    metrics.reading("parley_store_commits_total", "Group commits of call records.", kind: .counter) {
      Double(store.saveCommits)
    }
    on(.get, "/metrics", .local) { _ in
      .text(metrics.prometheusText(), type: "text/plain; version=0.0.4; charset=utf-8")
    }
  }
}
