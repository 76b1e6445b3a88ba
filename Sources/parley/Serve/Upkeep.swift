import API
import Core
import Gateway
import Logging
import SIPTransport
import ServiceLifecycle
import Store

/// What goes on beside the calls: the directory, the sign of life for crash recovery, and the drain at the end.
struct Upkeep: Service {
  let gateway: Gateway
  let transport: SIPTransportStack
  let store: Store
  let feed: DirectoryFeed
  let http: HTTPServer
  let readings: SystemReadings
  let logger: Logger
  let announce: @Sendable ([BoundHTTPListener]) -> Void

  func run() async throws {
    announce(try await http.bound())
    await withTaskGroup { group in
      group.addTask { await feed.run() }
      group.addTask { await signsOfLife() }
      group.addTask { await readings.run() }
      // Ends with the first signal; this service is the last one started, so it is told first.
      group.addTask { try? await gracefulShutdown() }
      // The others run for ever, so whichever ends first is the signal.
      await group.next()
      logger.notice("draining: no new calls")
      await gateway.drain()
      group.cancelAll()
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
