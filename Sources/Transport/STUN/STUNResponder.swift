package import Core

/// The answers of an ICE-lite agent to connectivity checks (RFC 8489 §6.3, §9.1.3; RFC 8445 §7.3).
package enum STUNAnswer: Equatable {
  /// 200: where the check came from.
  case success
  /// Neither USERNAME nor MESSAGE-INTEGRITY may be missing.
  case badRequest
  /// An unknown user or a wrong MESSAGE-INTEGRITY.
  case unauthenticated
  /// Attributes that must be understood and are not.
  case unknownAttributes([UInt16])
  /// The peer says that it is controlled too. A lite agent never controls, so the peer has to.
  case roleConflict

  /// Writes the answer to `request`; nil when it does not fit.
  /// - Parameter password: Ours; nil where the request was not authenticated (RFC 8489 §9.1.4).
  package func write(
    to request: UnsafeRawBufferPointer, from source: SocketAddress, password: [UInt8]?, integrity: STUNIntegrity,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int? {
    guard request.count >= STUNMessage.headerLength else { return nil }
    var writer = STUNWriter(
      self == .success ? .success : .error, transactionID: UnsafeRawBufferPointer(rebasing: request[8..<20]),
      into: buffer)
    switch self {
    case .success: writer.xorMappedAddress(source)
    case .badRequest: writer.errorCode(400, "Bad Request")
    case .unauthenticated: writer.errorCode(401, "Unauthenticated")
    case .unknownAttributes(let kinds):
      writer.errorCode(420, "Unknown Attribute")
      writer.unknownAttributes(kinds)
    case .roleConflict: writer.errorCode(487, "Role Conflict")
    }
    if let password { writer.messageIntegrity(integrity, password: password) }
    writer.fingerprint()
    return writer.finish()
  }
}

/// So many a second, and so many at once: answers to strangers must not make us a reflector.
struct TokenBucket {
  private let capacity: Int64
  /// Nanoseconds of one token.
  private let interval: Int64
  /// Nanoseconds' worth of tokens that are left.
  private var level: Int64
  private var last = Instant.zero

  init(perSecond rate: Int, burst: Int) {
    interval = 1_000_000_000 / Int64(max(1, rate))
    capacity = interval * Int64(burst)
    level = capacity
  }

  /// False when none is left.
  mutating func take(now: Instant) -> Bool {
    let passed = max(0, last.duration(to: now).nanoseconds)
    last = max(last, now)
    level = min(capacity, level &+ min(passed, capacity))
    guard level >= interval else { return false }
    level -= interval
    return true
  }
}
