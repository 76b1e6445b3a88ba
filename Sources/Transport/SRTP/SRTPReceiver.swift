/// Authenticates, decrypts and replay-checks one peer's packets.
struct SRTPReceiver: ~Copyable {
  /// One peer may use so many SSRCs; each costs libsrtp2 a stream of about 2 KB that lives until the transport ends.
  static let maximumSources = 32

  private let session: SRTPSession
  private var sources: [UInt32] = []

  init(profile: SRTPProfile, master: SRTPMasterKey) throws(TransportError) {
    session = try SRTPSession(profile: profile, master: master, direction: .inbound)
    sources.reserveCapacity(4)
  }

  /// In place. The packet must have an RTP header's fixed part. Nil: a further SSRC beyond `maximumSources`.
  @inline(__always)
  mutating func unprotect(rtp packet: UnsafeMutableRawBufferPointer) -> SRTPResult? {
    guard let base = packet.baseAddress else { return .malformed }
    let raw = UnsafeRawBufferPointer(packet)
    // libsrtp2 trusts that CSRCs and extension lie inside only in part; a packet cut there never reaches it.
    guard RTPFields.headerLength(raw) != nil else { return .malformed }
    let source = RTPFields.uint32(raw, at: 8)
    let known = sources.contains(source)
    if !known, sources.count >= SRTPReceiver.maximumSources { return nil }
    let result = session.unprotect(rtp: base, length: packet.count)
    if !known, case .done = result { sources.append(source) }
    return result
  }

  /// In place. The packet must have 8 bytes. Nil as above.
  @inline(__always)
  mutating func unprotect(rtcp packet: UnsafeMutableRawBufferPointer) -> SRTPResult? {
    guard let base = packet.baseAddress, packet.count >= 8 else { return .malformed }
    let source = RTPFields.uint32(UnsafeRawBufferPointer(packet), at: 4)
    let known = sources.contains(source)
    if !known, sources.count >= SRTPReceiver.maximumSources { return nil }
    let result = session.unprotect(rtcp: base, length: packet.count)
    if !known, case .done = result { sources.append(source) }
    return result
  }
}
