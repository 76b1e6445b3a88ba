/// The last nonces of one sender's user packets: a packet sent again by the sender's own retry is forwarded once.
struct RecentNonces {
  private var ring: [[UInt8]] = []
  private var next = 0
  private static let capacity = 64

  /// Whether the nonce is new. An empty one always is.
  mutating func accept(_ nonce: [UInt8]) -> Bool {
    guard !nonce.isEmpty, nonce.count <= 64 else { return true }
    if ring.contains(nonce) { return false }
    if ring.count < RecentNonces.capacity {
      ring.append(nonce)
    } else {
      ring[next] = nonce
      next = (next + 1) % RecentNonces.capacity
    }
    return true
  }
}
