import Core

/// Nonces that carry their own age and proof, so that a challenge costs no memory; what is remembered are the counts
/// of nonces that a valid response has used.
///
/// A nonce is 8 bytes of time, 8 random bytes and 16 bytes of HMAC-SHA-256 over them, in hexadecimal.
struct NonceStore {
  enum Verdict { case fresh, expired, foreign }

  /// Counts seen of one nonce: the highest, and the 64 below it as bits.
  private struct Window {
    var highest: UInt32
    var seen: UInt64
    var expiry: Int64
  }

  let lifetime: Duration
  /// Nonces remembered at most; the oldest go first, and count as used up then.
  let capacity: Int
  private let authentication: AuthenticationCode
  private var windows: [String: Window] = [:]
  /// In order of first use, which is nearly that of expiry.
  private var order: [String] = []
  private var orderStart = 0
  /// Nonces made before this are not accepted any more, because their counts were forgotten.
  private var horizon = Int64.min

  init(lifetime: Duration, capacity: Int, random: inout any RandomNumberGenerator & Sendable) {
    self.lifetime = lifetime
    self.capacity = max(capacity, 1)
    var key: [UInt8] = []
    for _ in 0..<4 { withUnsafeBytes(of: random.next()) { key.append(contentsOf: $0) } }
    authentication = AuthenticationCode(key: key)
  }

  func make(now: Instant, random: inout any RandomNumberGenerator & Sendable) -> String {
    let head = Self.bytes(UInt64(bitPattern: now.nanoseconds)) + Self.bytes(random.next())
    return (head + authentication.code(head).prefix(16)).withUnsafeBytes(DigestHash.hexadecimal)
  }

  func check(_ nonce: String, now: Instant) -> Verdict {
    guard let bytes = Hex.decode(nonce), bytes.count == 32,
      DigestHash.isEqual(bytes[16...], authentication.code(Array(bytes[..<16])).prefix(16))
    else { return .foreign }
    let made = Int64(bitPattern: bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) })
    let age = now.nanoseconds &- made
    return age >= 0 && age <= lifetime.nanoseconds && made > horizon ? .fresh : .expired
  }

  /// Uses a count of a nonce that was checked; false when it has been used, or is too far behind. Without count the
  /// nonce is good for one request.
  mutating func use(_ nonce: String, count: UInt32?, now: Instant) -> Bool {
    let count = count ?? .max
    guard var window = windows[nonce] else {
      forget(before: now)
      windows[nonce] = Window(highest: count, seen: 1, expiry: now.nanoseconds &+ lifetime.nanoseconds)
      order.append(nonce)
      return true
    }
    if count > window.highest {
      let shift = count - window.highest
      window.seen = shift >= 64 ? 1 : window.seen << UInt64(shift) | 1
      window.highest = count
    } else {
      let behind = window.highest - count
      guard behind < 64, window.seen >> UInt64(behind) & 1 == 0 else { return false }
      window.seen |= 1 << UInt64(behind)
    }
    windows[nonce] = window
    return true
  }

  var count: Int { windows.count }

  /// Makes room for one more.
  private mutating func forget(before now: Instant) {
    while orderStart < order.count {
      let nonce = order[orderStart]
      guard let window = windows[nonce] else { break }
      if window.expiry >= now.nanoseconds {
        guard windows.count >= capacity else { break }
        if let bytes = Hex.decode(String(nonce.prefix(16))) {
          horizon = max(horizon, Int64(bitPattern: bytes.reduce(0) { $0 << 8 | UInt64($1) }))
        }
      }
      windows.removeValue(forKey: nonce)
      orderStart += 1
    }
    if orderStart > 1024, orderStart * 2 > order.count {
      order.removeFirst(orderStart)
      orderStart = 0
    }
  }

  private static func bytes(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) }
  }
}
