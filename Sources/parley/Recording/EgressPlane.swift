import API
import Core
import Foundation
import LiveKitProtocol
import Logging
import Recording
import Rooms
import Store
import Synchronization

/// Recording of rooms, put together: made before the rooms, which tell it their events, and given the rooms afterwards.
final class EgressPlane: Sendable {
  private let service = Mutex<EgressService?>(nil)
  private let events: AsyncStream<RoomEvent>
  private let event: AsyncStream<RoomEvent>.Continuation
  private let ending = EndingFlag()

  init() {
    (events, event) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(10_000))
  }

  /// From the signalling loop; never waits.
  func receive(_ event: RoomEvent) { self.event.yield(event) }

  func start(
    rooms: RoomService, store: Store, catalog: RecordingCatalog, storage: RecordingStorage,
    webhooks: [String], recordsRooms: Bool, post: @escaping @Sendable (RoomEvent) -> Void, logger: Logger
  ) -> EgressService {
    let made = EgressService(
      EgressService.Dependencies(
        rooms: rooms, store: store, catalog: CatalogStore(store: store, webhooks: webhooks), writer: catalog.writer,
        queue: catalog.renders, storage: storage, ending: ending,
        directory: storage.directory, post: post, logger: logger), recordsRooms: recordsRooms)
    service.withLock { $0 = made }
    return made
  }

  /// Finishes what the last process left, and records what is to be recorded of its own accord. Until cancelled.
  func run() async {
    guard let service = service.withLock({ $0 }) else { return }
    async let recovery: Void = service.recover()
    for await event in events { await service.receive(event) }
    await recovery
  }

  /// Ends all recordings: their spools are on the disk when this returns.
  func drain() async {
    await service.withLock({ $0 })?.drain()
    ending.set()
    event.finish()
  }
}
