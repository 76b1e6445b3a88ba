/// Encrypts one direction's packets under its own keys and roll-over counters. Lives as long as the DTLS association,
/// so an ICE restart or a change of the pair does not touch it.
struct SRTPSender: ~Copyable {
  let profile: SRTPProfile
  private let session: SRTPSession

  init(profile: SRTPProfile, master: SRTPMasterKey) throws(TransportError) {
    session = try SRTPSession(profile: profile, master: master, direction: .outbound)
    self.profile = profile
  }

  /// In place; `profile.tagLength` more bytes must be writable. The new length, or nil for what is no RTP packet.
  @inline(__always)
  mutating func protect(rtp packet: UnsafeMutableRawPointer, length: Int) -> Int? {
    guard RTPFields.headerLength(UnsafeRawBufferPointer(start: packet, count: length)) != nil,
      case .done(let count) = session.protect(rtp: packet, length: length)
    else { return nil }
    return count
  }

  /// In place; `profile.rtcpTrailerLength` more bytes must be writable.
  @inline(__always)
  mutating func protect(rtcp packet: UnsafeMutableRawPointer, length: Int) -> Int? {
    guard length >= 8, case .done(let count) = session.protect(rtcp: packet, length: length) else { return nil }
    return count
  }
}
