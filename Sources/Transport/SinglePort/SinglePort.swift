package import Core

/// One UDP port, and ICE-TCP on the same number, for all peers of all workers: what one hole in a firewall lets through.
///
/// Each worker has a socket of its own on every address (SO_REUSEPORT). A peer lives on one worker; datagrams that the
/// kernel gives to another one's socket are handed over through a bounded ring. Packets leave from the peer's own worker.
package final class SinglePort: Sendable {
  package struct Configuration: Sendable {
    /// 0 lets the kernel choose, for tests.
    package var port: UInt16
    /// To bind; none of them unspecified. Loopback ones are only offered to peers that are on loopback themselves.
    package var addresses: [IPAddress]
    /// Leaves out addresses that cannot be bound because the machine does not have them, unless that is all of them.
    package var skipsMissingAddresses: Bool
    /// Stand in candidates instead of the bound addresses of their family, for servers behind 1:1 NAT.
    package var advertisedAddresses: [IPAddress]
    package var certificate: DTLSCertificate
    /// In order of preference.
    package var profiles: [SRTPProfile]
    /// Also takes peers by TCP (RFC 6544), on the same port number.
    package var overTCP: Bool
    /// From `setRemote` to a proved path.
    package var iceTimeout: Duration
    /// From a proved path to verified keys.
    package var handshakeTimeout: Duration
    /// Bytes that one TCP peer may leave unread before packets to it are dropped.
    package var streamBacklog: Int

    package init(
      port: UInt16, addresses: [IPAddress], skipsMissingAddresses: Bool = false, advertisedAddresses: [IPAddress] = [],
      certificate: DTLSCertificate,
      profiles: [SRTPProfile] = [.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA1_80], overTCP: Bool = true,
      iceTimeout: Duration = .seconds(20), handshakeTimeout: Duration = .seconds(10), streamBacklog: Int = 256 * 1024
    ) {
      self.port = port
      self.addresses = addresses
      self.skipsMissingAddresses = skipsMissingAddresses
      self.advertisedAddresses = advertisedAddresses
      self.certificate = certificate
      self.profiles = profiles
      self.overTCP = overTCP
      self.iceTimeout = iceTimeout
      self.handshakeTimeout = handshakeTimeout
      self.streamBacklog = streamBacklog
    }
  }

  package let configuration: Configuration
  /// The bound port.
  package let port: UInt16
  let lanes: [PortLane]

  /// Binds everything and begins to take datagrams on the workers.
  package init(workers: [MediaWorker], configuration: Configuration) throws(TransportError) {
    guard !workers.isEmpty, workers.count <= ICECredentials.maximumWorkers else {
      throw .library(function: "SinglePort", detail: "\(workers.count) workers")
    }
    guard !configuration.addresses.isEmpty else {
      throw .library(function: "SinglePort", detail: "no address to bind")
    }
    guard !configuration.profiles.isEmpty else {
      throw .library(function: "SinglePort", detail: "no SRTP profile is configured")
    }
    var configuration = configuration
    var lanes: [PortLane] = []
    for (index, worker) in workers.enumerated() {
      let sockets = try PortSockets(configuration: &configuration, isFirst: index == 0)
      lanes.append(
        try PortLane(
          index: index, worker: worker, sockets: sockets, workers: workers.count, configuration: configuration))
    }
    self.configuration = configuration
    self.port = configuration.port
    self.lanes = lanes
    for lane in lanes { lane.start(beside: lanes) }
  }

  /// A transport of a new peer on `worker`, which must be one of the port's. On the worker's thread.
  /// - Parameter towards: The peer's address in signalling: loopback peers are offered loopback candidates.
  package func makeTransport(on worker: MediaWorker, towards: IPAddress) throws(TransportError) -> SinglePortTransport {
    guard let lane = lanes.first(where: { $0.worker === worker }) else {
      throw .library(function: "SinglePort", detail: "the worker is none of the port's")
    }
    return try SinglePortTransport(lane: lane, towards: towards)
  }

  /// What the sockets of `worker` have seen. On the worker's thread.
  package func statistics(of worker: MediaWorker) -> SinglePortStatistics {
    lanes.first { $0.worker === worker }?.statistics ?? SinglePortStatistics()
  }

  /// Gives the sockets back, on the workers' threads and soon. Transports must be closed before.
  package func close() {
    for lane in lanes { lane.worker.perform { lane.close() } }
  }
}

/// What the sockets of one worker have seen. Datagrams, unless said otherwise.
package struct SinglePortStatistics: Sendable, Hashable {
  package var received: UInt64 = 0
  /// Given to another worker, and taken from others.
  package var handedOver: UInt64 = 0
  package var takenOver: UInt64 = 0
  /// Not given to another worker because it was too far behind.
  package var handOverDropped: UInt64 = 0
  /// Neither a peer's nor a check.
  package var unknownSource: UInt64 = 0
  /// Connectivity checks that were answered with success.
  package var checks: UInt64 = 0
  /// Checks that were not: unknown user, wrong password, malformed.
  package var badChecks: UInt64 = 0
  /// Peers, those of them with a socket of their own, and ICE-TCP connections.
  package var peers = 0
  package var connectedSockets = 0
  package var connections = 0
  /// Connections that were refused or ended because of what they sent or did not send.
  package var connectionsRefused: UInt64 = 0

  package init() {}

  package static func += (all: inout SinglePortStatistics, one: SinglePortStatistics) {
    all.received &+= one.received
    all.handedOver &+= one.handedOver
    all.takenOver &+= one.takenOver
    all.handOverDropped &+= one.handOverDropped
    all.unknownSource &+= one.unknownSource
    all.checks &+= one.checks
    all.badChecks &+= one.badChecks
    all.peers += one.peers
    all.connectedSockets += one.connectedSockets
    all.connections += one.connections
    all.connectionsRefused &+= one.connectionsRefused
  }
}
