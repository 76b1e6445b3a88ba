import Core
import Gateway
import Logging
import NIOPosix
import Store

/// Keeps the gateway's directory equal to the store's, and trunks' host names resolved.
struct DirectoryFeed: Sendable {
  let store: Store
  let signalling: ServiceLoop<Gateway>
  let logger: Logger
  /// Called with all trunks and their addresses: limits do not apply to them, and TLS checks their names.
  let onTrunks: @Sendable ([(trunk: Trunk, addresses: [IPAddress])]) -> Void

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
    onTrunks(trunks.map { ($0, addresses[$0.name] ?? []) })
    signalling.submit { $0.update(directory, trunkAddresses: addresses) }
  }
}
