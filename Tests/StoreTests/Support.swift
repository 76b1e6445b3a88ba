import Core
import Foundation
import Store

/// A directory of its own for each test, removed with the last reference.
final class TemporaryDirectory: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("parley-\(RandomToken.hex(bytes: 8))")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

extension CallRecord {
  /// An answered and ended call between a user and a trunk, every field set.
  static func complete(_ id: String, startedAt: Int64 = 1_000_000) -> CallRecord {
    var caller = LegRecord(
      index: 0, kind: .user, party: "1001", sipCallID: "a-\(id)", remoteAddress: "192.0.2.7:40000", transport: "WSS",
      startedAt: WallTime(milliseconds: startedAt))
    caller.answeredAt = WallTime(milliseconds: startedAt + 3000)
    caller.endedAt = WallTime(milliseconds: startedAt + 9000)
    caller.status = 200
    caller.reason = "BYE"
    caller.codec = "opus"
    caller.media.packetsSent = 300
    caller.media.packetsReceived = 299
    caller.media.octetsSent = 48_000
    caller.media.octetsReceived = 47_000
    caller.media.packetsLost = -1
    caller.media.packetsRejected = 4
    caller.media.jitter = 1.25
    caller.media.roundTrip = 20.5
    var callee = LegRecord(
      index: 1, kind: .trunk, party: "carrier", sipCallID: "b-\(id)", startedAt: WallTime(milliseconds: startedAt + 10))
    callee.codec = "PCMU"
    callee.endedAt = WallTime(milliseconds: startedAt + 9001)
    var call = CallRecord(
      id: id, from: "1001", fromDisplay: "Ada", to: "+15550199", direction: .outbound,
      startedAt: WallTime(milliseconds: startedAt), outcome: .answered, legs: [caller, callee])
    call.ringingAt = WallTime(milliseconds: startedAt + 1000)
    call.answeredAt = WallTime(milliseconds: startedAt + 3000)
    call.endedAt = WallTime(milliseconds: startedAt + 9000)
    call.endedBy = .caller
    call.status = 200
    call.reason = "normal clearing"
    return call
  }

  /// The same call while it was ringing.
  static func running(_ id: String, startedAt: Int64 = 1_000_000) -> CallRecord {
    var call = complete(id, startedAt: startedAt)
    call.outcome = .inProgress
    call.answeredAt = nil
    call.endedAt = nil
    call.endedBy = nil
    call.status = nil
    call.reason = ""
    for i in call.legs.indices {
      call.legs[i].answeredAt = nil
      call.legs[i].endedAt = nil
    }
    return call
  }
}

extension User {
  static func sample(_ name: String) -> User {
    User(
      name: name, display: "Name of \(name)", ha1MD5: String(repeating: "a", count: 32),
      ha1SHA256: String(repeating: "b", count: 64))
  }
}
