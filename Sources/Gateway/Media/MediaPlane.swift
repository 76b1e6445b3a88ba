package import Transport

/// The media workers. A call's legs share one worker, so their packets cross no thread.
package final class MediaPlane: Sendable {
  package let hosts: [MediaHost]
  private let workers: [MediaWorker]

  package init(
    configuration: MediaConfiguration, certificate: DTLSCertificate,
    events: @escaping @Sendable (LegID, HostedLegEvent) -> Void
  ) {
    let ports = PortAllocator(range: configuration.ports)
    // 4 ms: fewer wake-ups with many calls, for at most 4 ms of delay.
    workers = (0..<max(1, configuration.workers)).map { MediaWorker(name: "media-\($0)", coalescing: .milliseconds(4)) }
    hosts = workers.map {
      MediaHost(worker: $0, configuration: configuration, certificate: certificate, ports: ports, events: events)
    }
  }

  /// The worker of the call with this running number.
  package func host(forCall number: UInt64) -> MediaHost { hosts[Int(number % UInt64(hosts.count))] }

  /// Stops the workers' threads. Legs must be closed before.
  package func stop() {
    for worker in workers { worker.stop() }
  }
}
