import Core
import GRDB

// How Core's values lie in columns. A value that this version does not know (written by a newer one, or by hand) is
// reported by name instead of trapping.

/// A column holds what no version of this program wrote.
struct UnreadableRow: Error, CustomStringConvertible {
  let table: String
  let column: String
  let value: String
  var description: String { "unreadable value in \(table).\(column): \(value)" }
}

/// The raw value's case, or the error that names the column.
private func parse<Value: RawRepresentable>(
  _ raw: Value.RawValue, _ table: String, _ column: String
) throws -> Value {
  guard let value = Value(rawValue: raw) else { throw UnreadableRow(table: table, column: column, value: "\(raw)") }
  return value
}

private func target(_ text: String, _ table: String) throws -> RouteTarget {
  guard let target = RouteTarget(text) else { throw UnreadableRow(table: table, column: "target", value: text) }
  return target
}

private func time(_ milliseconds: Int64?) -> WallTime? { milliseconds.map(WallTime.init(milliseconds:)) }

extension User {
  init(row: Row) {
    self.init(
      tenant: TenantID(rawValue: row["tenant"]), name: row["name"], display: row["display"], ha1MD5: row["ha1_md5"],
      ha1SHA256: row["ha1_sha256"], enabled: row["enabled"], record: row["record"])
  }

  var columns: [Column] {
    [
      ("tenant", tenant.rawValue), ("name", name), ("display", display), ("ha1_md5", ha1MD5),
      ("ha1_sha256", ha1SHA256), ("enabled", enabled), ("record", record),
    ]
  }
}

extension Trunk {
  init(row: Row) throws {
    let codecs: String = row["codecs"]
    let allow: String = row["allow"]
    let port: Int = row["port"]
    guard let port = UInt16(exactly: port) else {
      throw UnreadableRow(table: "trunks", column: "port", value: "\(port)")
    }
    self.init(
      tenant: TenantID(rawValue: row["tenant"]), name: row["name"], host: row["host"], port: port,
      transport: row["transport"],
      codecs: try codecs.split(separator: ",").map { try parse(String($0), "trunks", "codecs") },
      allow: allow.split(separator: ",").map(String.init), username: row["username"], password: row["password"],
      register: row["register"], enabled: row["enabled"], record: row["record"])
  }

  var columns: [Column] {
    [
      ("tenant", tenant.rawValue), ("name", name), ("host", host), ("port", Int(port)), ("transport", transport),
      ("codecs", codecs.map(\.rawValue).joined(separator: ",")), ("allow", allow.joined(separator: ",")),
      ("username", username), ("password", password), ("register", register), ("enabled", enabled), ("record", record),
    ]
  }
}

extension NumberRule {
  init(row: Row) throws {
    self.init(
      tenant: TenantID(rawValue: row["tenant"]), number: row["number"], to: try target(row["target"], "numbers"),
      record: row["record"])
  }

  var columns: [Column] {
    [("tenant", tenant.rawValue), ("number", number), ("target", to.description), ("record", record)]
  }
}

extension RouteRule {
  init(row: Row) throws {
    self.init(
      tenant: TenantID(rawValue: row["tenant"]), position: row["position"], match: row["match"],
      to: try target(row["target"], "routes"), number: row["number"], record: row["record"])
  }

  var columns: [Column] {
    [
      ("tenant", tenant.rawValue), ("position", position), ("match", match), ("target", to.description),
      ("number", number), ("record", record),
    ]
  }
}

extension CallRecord {
  /// Without the legs.
  init(row: Row) throws {
    self.init(
      id: row["id"], tenant: TenantID(rawValue: row["tenant"]), from: row["caller"],
      fromDisplay: row["caller_display"], to: row["dialled"],
      direction: try parse(row["direction"], "calls", "direction"),
      startedAt: WallTime(milliseconds: row["started_at"]), outcome: try parse(row["outcome"], "calls", "outcome"))
    ringingAt = time(row["ringing_at"])
    answeredAt = time(row["answered_at"])
    endedAt = time(row["ended_at"])
    let party: String? = row["ended_by"]
    endedBy = try party.map { try parse($0, "calls", "ended_by") }
    status = row["status"]
    reason = row["reason"]
    transfers = try TransferColumn.parse(row["transfers"])
  }

  func columns(savedAt: WallTime) -> [Column] {
    [
      ("tenant", tenant.rawValue), ("id", id), ("caller", from), ("caller_display", fromDisplay), ("dialled", to),
      ("direction", direction.rawValue), ("started_at", startedAt.milliseconds),
      ("ringing_at", ringingAt?.milliseconds), ("answered_at", answeredAt?.milliseconds),
      ("ended_at", endedAt?.milliseconds), ("outcome", outcome.rawValue), ("ended_by", endedBy?.rawValue),
      ("status", status), ("reason", reason), ("saved_at", savedAt.milliseconds),
      ("transfers", TransferColumn.text(transfers)),
    ]
  }
}

extension LegRecord {
  init(row: Row) throws {
    self.init(
      index: row["position"], kind: try parse(row["kind"], "legs", "kind"), party: row["party"],
      sipCallID: row["sip_call_id"], remoteAddress: row["remote_address"], transport: row["transport"],
      startedAt: WallTime(milliseconds: row["started_at"]))
    answeredAt = time(row["answered_at"])
    endedAt = time(row["ended_at"])
    status = row["status"]
    reason = row["reason"]
    codec = row["codec"]
    media.packetsSent = row["packets_sent"]
    media.packetsReceived = row["packets_received"]
    media.octetsSent = row["octets_sent"]
    media.octetsReceived = row["octets_received"]
    media.packetsLost = row["packets_lost"]
    media.packetsRejected = row["packets_rejected"]
    media.jitter = row["jitter"]
    media.roundTrip = row["round_trip"]
  }

  func columns(of call: CallRecord) -> [Column] {
    [
      ("tenant", call.tenant.rawValue), ("call", call.id), ("position", index), ("kind", kind.rawValue),
      ("party", party), ("sip_call_id", sipCallID), ("remote_address", remoteAddress), ("transport", transport),
      ("started_at", startedAt.milliseconds), ("answered_at", answeredAt?.milliseconds),
      ("ended_at", endedAt?.milliseconds), ("status", status), ("reason", reason), ("codec", codec),
      ("packets_sent", media.packetsSent), ("packets_received", media.packetsReceived),
      ("octets_sent", media.octetsSent), ("octets_received", media.octetsReceived),
      // SQLite has no NaN or infinity: they would become NULL and the record would be refused.
      ("packets_lost", media.packetsLost), ("packets_rejected", media.packetsRejected),
      ("jitter", media.jitter.isFinite ? media.jitter : 0),
      ("round_trip", media.roundTrip.flatMap { $0.isFinite ? $0 : nil }),
    ]
  }
}
