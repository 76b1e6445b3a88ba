import API
import Core
import Gateway
import Logging
import Rooms
import SIPTransport
import ServiceLifecycle
import Store

/// What goes on beside the calls: the directory, the certificate, the sign of life for crash recovery, the end of old
/// records, and the drain at the end.
struct Upkeep: Service {
  let gateway: Gateway
  let rooms: RoomService
  let egress: EgressPlane
  let transport: SIPTransportStack
  let store: Store
  /// Nil: for ever.
  let keepCalls: Duration?
  let recordings: RecordingsPlane
  let feed: DirectoryFeed
  let certificate: CertificateWatch?
  let http: HTTPServer
  let readings: SystemReadings
  let logger: Logger
  let announce: @Sendable ([BoundHTTPListener]) -> Void

  func run() async throws {
    announce(try await http.bound())
    await withTaskGroup { group in
      group.addTask { await feed.run() }
      group.addTask { await signsOfLife() }
      if let keepCalls { group.addTask { await removeRecords(olderThan: keepCalls) } }
      if let certificate { group.addTask { await certificate.run() } }
      group.addTask { await readings.run() }
      group.addTask { await egress.run() }
      group.addTask { await recordings.run() }
      // Ends with the first signal; this service is the last one started, so it is told first.
      group.addTask { try? await gracefulShutdown() }
      // The others run for ever, so whichever ends first is the signal.
      await group.next()
      logger.notice("draining: no new calls")
      async let roomsAreEmpty: Void = rooms.drain()
      await gateway.drain()
      await roomsAreEmpty
      await egress.drain()
      group.cancelAll()
    }
  }

  private func removeRecords(olderThan age: Duration) async {
    while !Task.isCancelled {
      do {
        let removed = try await store.removeCalls(
          endedBefore: WallTime(milliseconds: WallTime.now().milliseconds - age.nanoseconds / 1_000_000))
        if removed > 0 { logger.info("old call records were removed", metadata: ["calls": "\(removed)"]) }
      } catch {
        logger.error("old call records cannot be removed", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: .seconds(3600))
    }
  }

  /// The store takes the last sign as the end of calls that a crash cut.
  private func signsOfLife() async {
    while !Task.isCancelled {
      do {
        try await store.recordAlive(at: .now())
      } catch {
        logger.error("the database cannot be written", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: .seconds(10))
    }
  }
}
