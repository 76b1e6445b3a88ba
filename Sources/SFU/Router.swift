package import Core

/// Forwards the packets of one room between its peers. Confined to one worker's thread; reads no clock.
package final class Router {
  package let configuration: RouterConfiguration
  /// Called from within `receive` and `tick`; may not call back into the router.
  package var onEvent: ((RouterEvent) -> Void)?

  package init(seed: UInt64, configuration: RouterConfiguration = RouterConfiguration()) {
    self.configuration = configuration
  }

  /// What the transport of a peer delivers to.
  package func addPeer(_ id: PeerID, transport: any PacketTransport, now: Instant) -> any PacketReceiver {
    fatalError("in work")
  }
}
