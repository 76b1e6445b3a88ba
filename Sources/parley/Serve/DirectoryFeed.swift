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
  /// Of the configuration file.
  var dialInRules: [DispatchRule] = []
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
    let roomTrunks = snapshot.outboundTrunks.compactMap { stored in
      (try? SIPBridge.trunk(stored)).map { OutgoingRoomTrunk(trunk: $0, numbers: stored.numbers) }
    }
    let outbound = roomTrunks.map(\.trunk)
    let allowed = Set(snapshot.inboundTrunks.flatMap(\.allowedAddresses)).filter { Network($0) == nil }
    let hosts = Set((snapshot.trunks + outbound).map(\.host)).union(allowed)
    // getaddrinfo blocks; it must hold up neither the loop nor Swift's own threads.
    let resolved =
      (try? await NIOThreadPool.singleton.runIfActive {
        Dictionary(hosts.map { ($0, LocalAddresses.resolve($0)) }, uniquingKeysWith: { first, _ in first })
      }) ?? [:]
    for host in hosts.sorted() where resolved[host]?.isEmpty ?? true {
      logger.warning("a trunk's host does not resolve", metadata: ["host": "\(host)"])
    }
    let addresses = Dictionary(
      (snapshot.trunks + outbound).map { ($0.name, resolved[$0.host] ?? []) }, uniquingKeysWith: { first, _ in first })
    let directory = Directory(
      users: snapshot.users, trunks: snapshot.trunks, numbers: snapshot.numbers, routes: snapshot.routes,
      dialIn: DialInDispatcher(
        trunks: snapshot.inboundTrunks, rules: dialInRules + snapshot.dispatchRules, addresses: resolved),
      roomTrunks: roomTrunks)
    onTrunks(
      (snapshot.trunks + outbound).map { ($0, resolved[$0.host] ?? []) }
        + snapshot.inboundTrunks.map { Self.source($0, resolved) })
    signalling.submit { $0.update(directory, trunkAddresses: addresses) }
  }

  /// Where a room trunk's calls come from. Networks so wide that strangers live in them are none.
  private static func source(
    _ trunk: InboundRoomTrunk, _ resolved: [String: [IPAddress]]
  ) -> (trunk: Trunk, addresses: [IPAddress]) {
    let networks = trunk.allowedAddresses.filter { text in
      Network(text).map { $0.prefix >= ($0.address.isIPv6 ? 32 : 8) } ?? false
    }
    return (
      Trunk(name: trunk.id, host: "", allow: networks), trunk.allowedAddresses.flatMap { resolved[$0] ?? [] }
    )
  }
}
