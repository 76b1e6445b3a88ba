internal import COpenSSL

/// Authenticates, replay-checks and decrypts one peer's packets (RFC 3711 §3.3, RFC 7714).
///
/// libcrypto instead of libsrtp2, which Debian builds on NSS: half to a quarter of the CPU, a tenth of the memory a
/// source, and in the tests the same verdict and the same bytes packet for packet.
struct SRTPReceiver: ~Copyable {
  /// One peer may use so many SSRCs; each costs state that lives until the transport ends.
  static let maximumSources = 128

  private let rtp: SRTPCipher
  private let rtcp: SRTPCipher
  private var sources: [Source] = []

  private struct Source {
    let ssrc: UInt32
    var rtp = ReplayWindow()
    var rtcp = ControlReplayWindow()
  }

  init(profile: SRTPProfile, master: SRTPMasterKey) throws(TransportError) {
    let rtp = try SRTPSessionKeys(.rtp, profile: profile, master: master)
    let rtcp = try SRTPSessionKeys(.rtcp, profile: profile, master: master)
    try self.init(profile: profile, rtp: rtp, rtcp: rtcp)
  }

  /// With session keys instead of derived ones, as published test vectors have them.
  init(profile: SRTPProfile, rtp: SRTPSessionKeys, rtcp: SRTPSessionKeys) throws(TransportError) {
    let rtpCipher = try SRTPCipher(profile: profile, keys: rtp, .unprotect)
    let rtcpCipher = try SRTPCipher(profile: profile, keys: rtcp, .unprotect)
    self.rtp = rtpCipher
    self.rtcp = rtcpCipher
  }

  /// In place. Nil: a further SSRC beyond `maximumSources`.
  @inline(__always)
  mutating func unprotect(rtp packet: UnsafeMutableRawBufferPointer) -> SRTPResult? {
    guard let base = packet.baseAddress else { return .malformed }
    let raw = UnsafeRawBufferPointer(packet)
    guard let header = RTPFields.headerLength(raw) else { return .malformed }
    let ssrc = RTPFields.uint32(raw, at: 8)
    let sequence = RTPFields.uint16(raw, at: 2)
    let position = position(ssrc)
    if position == nil, sources.count >= SRTPReceiver.maximumSources { return nil }
    // What a source that is not known has is an empty window.
    let index = position.map { sources[$0].rtp.index(of: sequence) } ?? UInt64(sequence)
    if let position, !sources[position].rtp.accepts(index) { return .replayed }
    let rollOverCounter = UInt32(truncatingIfNeeded: index >> 16)
    guard
      let length = rtp.unprotect(
        rtp: base, length: packet.count, header: header, ssrc: ssrc, rollOverCounter: rollOverCounter,
        sequence: sequence)
    else { return packet.count < header + rtp.tagLength ? .malformed : .authenticationFailed }
    // Only what was authenticated moves the window.
    sources[position ?? add(ssrc)].rtp.take(index)
    return .done(length)
  }

  /// In place. Nil as above.
  mutating func unprotect(rtcp packet: UnsafeMutableRawBufferPointer) -> SRTPResult? {
    guard let base = packet.baseAddress, packet.count >= 8 + rtcp.tagLength + 4 else { return .malformed }
    let raw = UnsafeRawBufferPointer(packet)
    let ssrc = RTPFields.uint32(raw, at: 4)
    let position = position(ssrc)
    if position == nil, sources.count >= SRTPReceiver.maximumSources { return nil }
    let word = RTPFields.uint32(raw, at: rtcp.rtcpIndexOffset(packet.count))
    // Every profile here encrypts RTCP; a packet that says it is not would only be authenticated.
    guard word & 0x8000_0000 != 0 else { return .malformed }
    let index = word & 0x7FFF_FFFF
    if let position, !sources[position].rtcp.accepts(index) { return .replayed }
    guard let length = rtcp.unprotect(rtcp: base, length: packet.count, ssrc: ssrc, index: index) else {
      return .authenticationFailed
    }
    sources[position ?? add(ssrc)].rtcp.take(index)
    return .done(length)
  }

  @inline(__always)
  private func position(_ ssrc: UInt32) -> Int? {
    for i in sources.indices where sources[i].ssrc == ssrc { return i }
    return nil
  }

  private mutating func add(_ ssrc: UInt32) -> Int {
    sources.append(Source(ssrc: ssrc))
    return sources.count - 1
  }
}

/// What became of one packet.
enum SRTPResult: Equatable {
  /// The new length.
  case done(Int)
  case authenticationFailed
  case replayed
  case malformed
}
