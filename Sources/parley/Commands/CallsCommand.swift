import ArgumentParser
import Core
import Store

struct CallsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calls", abstract: "List calls, newest first, or show one.")

  @OptionGroup var options: ConfigurationOptions
  @Argument(help: "The call to show.") var id: String?
  @Option(help: "How many to list, 1 to 1000.") var limit = 20
  @Option(help: "Only calls from this number or user.") var from: String?
  @Option(help: "Only calls to this number.") var to: String?
  @Option(help: "Only calls in which this user had a part.") var user: String?
  @Option(help: "Only calls that started at this time or later: 2026-11-20 or 2026-11-20T08:00:00Z.") var since: String?
  @Flag(help: "Only calls that run now.") var active = false

  func validate() throws {
    if !(1...1000).contains(limit) { throw ValidationError("--limit must be from 1 to 1000.") }
    if let since, WallTime(rfc3339: since) == nil {
      throw ValidationError("--since must be a date or a time such as 2026-11-20T08:00:00Z.")
    }
  }

  func run() async throws {
    let (_, store) = try await options.open()
    if let id {
      guard let call = try await store.call(id: id) else { throw CommandFailure("There is no call \(id).") }
      print(Self.describe(call))
      return
    }
    var filter = CallFilter()
    filter.from = from
    filter.to = to
    filter.user = user
    filter.since = since.flatMap { WallTime(rfc3339: $0) }
    filter.active = active ? true : nil
    let calls = try await store.calls(limit: limit, filter: filter)
    print(
      Terminal.table(
        ["ID", "STARTED", "FROM", "TO", "OUTCOME", "SECONDS"],
        calls.map { call in
          [
            call.id, call.startedAt.rfc3339, call.from, call.to, call.outcome.rawValue, Self.seconds(call),
          ]
        }))
  }

  private static func seconds(_ call: CallRecord) -> String {
    guard let answered = call.answeredAt, let ended = call.endedAt else { return "" }
    return "\(max(0, (ended.milliseconds - answered.milliseconds) / 1000))"
  }

  /// A call and its legs, a line each.
  static func describe(_ call: CallRecord) -> String {
    func row(_ name: String, _ value: String?) -> [String]? { value.map { [name, $0] } }
    let status = call.status.map { "\($0)" }
    let rows = [
      row("Call", call.id), row("Direction", call.direction.rawValue),
      row("From", call.fromDisplay.isEmpty ? call.from : "\(call.fromDisplay) <\(call.from)>"), row("To", call.to),
      row("Started", call.startedAt.rfc3339), row("Ringing", call.ringingAt?.rfc3339),
      row("Answered", call.answeredAt?.rfc3339), row("Ended", call.endedAt?.rfc3339),
      row("Outcome", call.outcome.rawValue), row("Ended by", call.endedBy?.rawValue), row("Status", status),
      row("Reason", call.reason.isEmpty ? nil : call.reason),
    ].compactMap { $0 }
    let legs = call.legs.map { leg in
      [
        "\(leg.index)", leg.kind.rawValue, leg.party, "\(leg.transport) \(leg.remoteAddress)", leg.codec ?? "",
        "\(leg.media.packetsSent)", "\(leg.media.packetsReceived)", "\(leg.media.packetsLost)",
        "\((leg.media.jitter * 10).rounded() / 10) ms",
        leg.media.roundTrip.map { "\(($0 * 10).rounded() / 10) ms" } ?? "", leg.sipCallID,
      ]
    }
    let width = rows.map { $0[0].count }.max() ?? 0
    let head = rows.map { row in
      row[0] + String(repeating: " ", count: width - row[0].count + 2) + Terminal.visible(row[1])
    }.joined(separator: "\n")
    let table = Terminal.table(
      ["LEG", "KIND", "PARTY", "ADDRESS", "CODEC", "SENT", "RECEIVED", "LOST", "JITTER", "ROUND TRIP", "CALL-ID"], legs)
    return head + "\n\n" + table
  }
}
