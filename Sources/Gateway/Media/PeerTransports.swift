package import Core
package import Transport

/// Makes the transports of WebRTC peers, on the single port or with sockets of their own, as `media.ice` says. Calls and
/// rooms use the same.
package struct PeerTransports: Sendable {
  private let configuration: MediaConfiguration
  private let certificate: DTLSCertificate
  /// Nil with a full agent.
  package let singlePort: SinglePort?

  /// Binds the single port where it is wanted.
  init(
    configuration: MediaConfiguration, certificate: DTLSCertificate, workers: [MediaWorker]
  ) throws(TransportError) {
    self.configuration = configuration
    self.certificate = certificate
    switch configuration.ice {
    case .full: singlePort = nil
    case .singlePort(let port):
      let (addresses, isFound) = PeerTransports.portAddresses(configuration)
      singlePort = try SinglePort(
        workers: workers,
        configuration: SinglePort.Configuration(
          port: port, addresses: addresses, skipsMissingAddresses: isFound,
          advertisedAddresses: configuration.advertisedAddresses, certificate: certificate))
    }
  }

  /// What the single port binds: the listed addresses, or those of every interface, loopback included, which only peers
  /// on loopback are told.
  private static func portAddresses(_ configuration: MediaConfiguration) -> (addresses: [IPAddress], isFound: Bool) {
    let listed = configuration.listenAddresses.filter { !$0.isUnspecified }
    if !listed.isEmpty { return (listed, false) }
    return (LocalAddresses.interfaces() + [IPAddress(v4: 0x7F00_0001), IPAddress(v6High: 0, low: 1)], true)
  }

  /// On the worker's thread.
  /// - Parameters:
  ///   - towards: The peer's signalling address; a loopback peer gets a loopback candidate besides the others.
  ///   - isControlling: Whether we make the first offer.
  package func make(
    on worker: MediaWorker, towards peer: IPAddress, isControlling: Bool
  ) throws(TransportError) -> any PeerTransport {
    if let singlePort { return try singlePort.makeTransport(on: worker, towards: peer) }
    return try WebRTCTransport(worker: worker, configuration: full(towards: peer), controlling: isControlling)
  }

  private func full(towards peer: IPAddress) -> WebRTCTransport.Configuration {
    var addresses = configuration.listenAddresses.filter { !$0.isUnspecified }
    if addresses.isEmpty {
      addresses = LocalAddresses.interfaces()
      // A browser on this machine may have no other way in; elsewhere a loopback candidate is noise.
      if peer.isLoopback || addresses.isEmpty { addresses.insert(IPAddress(v4: 0x7F00_0001), at: 0) }
    }
    return WebRTCTransport.Configuration(
      localAddresses: addresses,
      advertisedAddress: configuration.advertisedAddresses.first { $0.isIPv6 == peer.isIPv6 },
      ports: configuration.ports,
      stunServer: configuration.stunServer,
      turnServers: configuration.turnServers,
      certificate: certificate)
  }
}

/// What browsers elsewhere are told of the single port.
package enum SinglePortAddresses {
  /// The bound addresses without loopback, or the advertised ones of their family.
  package static func told(bound: [IPAddress], advertised: [IPAddress]) -> [IPAddress] {
    SinglePort.candidateAddresses(bound: bound, advertised: advertised, isOnLoopback: false).filter { !$0.isLoopback }
  }
}
