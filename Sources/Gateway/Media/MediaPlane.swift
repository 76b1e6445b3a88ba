package import Transport

/// The media workers. A call's legs share one worker, so their packets cross no thread.
package final class MediaPlane: Sendable {
  package let hosts: [MediaHost]
  /// For rooms too, which live on the same workers.
  package let workers: [MediaWorker]
  package let peerTransports: PeerTransports

  /// Starts the workers, and binds the single port where it is wanted.
  /// - Parameter failed: Called on the workers' threads for each leg's path that breaks.
  package init(
    configuration: MediaConfiguration, certificate: DTLSCertificate,
    failed: @escaping @Sendable (MediaFailure) -> Void = { _ in },
    events: @escaping @Sendable (LegID, HostedLegEvent) -> Void
  ) throws(TransportError) {
    let ports = PortAllocator(range: configuration.ports)
    // 4 ms: fewer wake-ups with many calls, for at most 4 ms of delay.
    let workers = (0..<max(1, configuration.workers)).map {
      MediaWorker(name: "media-\($0)", coalescing: .milliseconds(4))
    }
    let peerTransports: PeerTransports
    do throws(TransportError) {
      peerTransports = try PeerTransports(configuration: configuration, certificate: certificate, workers: workers)
    } catch {
      for worker in workers { worker.stop() }
      throw error
    }
    self.workers = workers
    self.peerTransports = peerTransports
    hosts = workers.map {
      MediaHost(
        worker: $0, configuration: configuration, peerTransports: peerTransports, ports: ports, failed: failed,
        events: events)
    }
  }

  /// The worker of the call with this running number.
  package func host(forCall number: UInt64) -> MediaHost { hosts[Int(number % UInt64(hosts.count))] }

  /// Stops the workers' threads. Legs must be closed before.
  package func stop() {
    peerTransports.singlePort?.close()
    for worker in workers { worker.stop() }
  }
}
