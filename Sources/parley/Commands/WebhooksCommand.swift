import ArgumentParser
import Core
import Store

struct WebhooksCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "webhooks", abstract: "Look at the webhooks of rooms and send them again.",
    subcommands: [List.self, Replay.self], defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List webhooks, the newest first.")
    @OptionGroup var options: ConfigurationOptions
    @Option(help: "How many.") var limit: Int = 50
    @Option(help: "Only those that are: pending, delivered or failed.") var state: String?

    func validate() throws { _ = try wanted() }

    func run() async throws {
      let (_, store) = try await options.open()
      let rows = try await store.webhooks(limit: limit, state: try wanted()).map { delivery in
        [
          delivery.record.id, delivery.record.createdAt.rfc3339, delivery.record.room, delivery.record.event,
          delivery.state.rawValue, "\(delivery.attempts)", delivery.url, delivery.problem,
        ]
      }
      print(Terminal.table(["ID", "TIME", "ROOM", "EVENT", "STATE", "ATTEMPTS", "URL", "PROBLEM"], rows))
    }

    private func wanted() throws -> WebhookDelivery.State? {
      guard let state else { return nil }
      guard let known = WebhookDelivery.State(rawValue: state) else {
        throw ValidationError("--state must be pending, delivered or failed, not \(state).")
      }
      return known
    }
  }

  struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Send webhooks again, with their old ids.",
      discussion: "A running server notices within a second; otherwise they go out after its next start.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The ids of the events. Without one: all that the options choose.") var ids: [String] = []
    @Flag(help: "Only those that failed.") var failed = false
    @Option(help: "Only those at this time or later, such as 2026-11-20T20:00:00Z.") var since: String?
    @Option(help: "Only those before this time.") var until: String?
    @Option(help: "Only those of this room.") var room: String?
    @Flag(help: "All of them.") var all = false

    func validate() throws {
      guard !ids.isEmpty || failed || since != nil || until != nil || room != nil || all else {
        throw ValidationError("Say which: ids, --failed, --since, --until, --room or --all.")
      }
      _ = try (time(since, "--since"), time(until, "--until"))
    }

    func run() async throws {
      let (_, store) = try await options.open()
      var selection = WebhookSelection(failedOnly: failed)
      selection.since = try time(since, "--since")
      selection.until = try time(until, "--until")
      selection.room = room
      var count = 0
      for id in ids.isEmpty ? [nil] : ids.map(Optional.some) {
        selection.id = id
        let found = try await store.replayWebhooks(selection)
        if let id, found == 0 { throw CommandFailure("There is no webhook \(id) that could be sent again.") }
        count += found
      }
      print("\(count) webhooks will be sent again.")
    }

    private func time(_ text: String?, _ option: String) throws -> WallTime? {
      guard let text else { return nil }
      guard let time = WallTime(rfc3339: text) else {
        throw ValidationError("\(option) must be a time such as 2026-11-20T20:00:00Z, not \(text).")
      }
      return time
    }
  }
}
