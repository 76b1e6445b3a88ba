import Core
import Gateway
import LiveKitProtocol
import Logging
import NIOCore
import Rooms
import SFU
import Transport

/// The rooms: control on the signalling loop, media on the workers that calls use too.
struct RoomsPlane: Sendable {
  let service: RoomService
  /// One a worker.
  let workers: [RoomMedia]

  /// How long the token lasts that a client gets for its next connect.
  private static let refreshedTokenLifetime = Duration.seconds(600)

  init(
    configuration: RoomConfiguration, router: RouterConfiguration, media: MediaPlane, loop: any EventLoop,
    keys: [String: Secret], logger: Logger, failed: @escaping @Sendable (MediaFailure) -> Void,
    onEvent: @escaping @Sendable (RoomEvent) -> Void
  ) {
    let bound = ServiceLoop<RoomService>(loop: loop) { $0.advance() }
    let transports = media.peerTransports
    let workers = media.workers.enumerated().map { index, worker in
      RoomMedia(
        worker: worker, index: index, configuration: router,
        makeTransport: { worker, towards, isControlling throws(TransportError) in
          try transports.make(on: worker, towards: towards, isControlling: isControlling)
        },
        failed: failed, events: { events in bound.submit { $0.media(events) } })
    }
    self.workers = workers
    service = RoomService(
      executor: loop.executor, configuration: configuration,
      dependencies: RoomDependencies(
        media: workers, requestWake: { bound.requestWake(at: $0) }, onEvent: onEvent,
        mintToken: { claims in
          guard let secret = keys[claims.issuer] else { return nil }
          return TokenSigner(key: claims.issuer, secret: secret).sign(
            claims, now: .now(), lifetime: Self.refreshedTokenLifetime)
        }),
      logger: logger)
    bound.attach(service)
  }
}
