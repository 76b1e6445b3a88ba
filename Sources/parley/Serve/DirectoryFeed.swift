import Core
import Gateway
import Logging
import NIOPosix
import Store

/// Keeps the gateway's directory equal to the store's, and trunks' host names resolved.
struct DirectoryFeed: Sendable {
  let store: Store
  let signalling: SignallingLoop
  let logger: Logger
  /// Called with the addresses of all trunks, for limits that do not apply to them.
  let onTrunkAddresses: @Sendable ([IPAddress]) -> Void

  /// Host names are asked for again this often, since carriers move.
  private static let resolveInterval = Duration.seconds(60)

  /// Loads once, so that the first call finds everything.
  func load() async throws {
    let snapshot = try await store.directory()
    await apply(snapshot)
  }

  /// Follows changes until cancelled.
  func run() async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        for await snapshot in store.directoryChanges() { await apply(snapshot) }
      }
      group.addTask {
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.resolveInterval)
          await reload()
        }
      }
    }
  }

  private func reload() async {
    guard !Task.isCancelled else { return }
    do {
      await apply(try await store.directory())
    } catch {
      logger.error("the directory could not be read; the last one stays in force", metadata: ["error": "\(error)"])
    }
  }

  private func apply(_ snapshot: DirectorySnapshot) async {
    let trunks = snapshot.trunks
    // getaddrinfo blocks; it must hold up neither the loop nor Swift's own threads.
    let addresses =
      (try? await NIOThreadPool.singleton.runIfActive {
        Dictionary(trunks.map { ($0.name, LocalAddresses.resolve($0.host)) }, uniquingKeysWith: { first, _ in first })
      }) ?? [:]
    for trunk in trunks where addresses[trunk.name]?.isEmpty ?? true {
      logger.warning("a trunk's host does not resolve", metadata: ["trunk": "\(trunk.name)", "host": "\(trunk.host)"])
    }
    let directory = Directory(
      users: snapshot.users, trunks: snapshot.trunks, numbers: snapshot.numbers, routes: snapshot.routes)
    onTrunkAddresses(addresses.values.flatMap { $0 })
    signalling.submit { $0.update(directory, trunkAddresses: addresses) }
  }
}
