/// Encrypts one direction's packets under its own keys and roll-over counters. Lives as long as the DTLS association,
/// so an ICE restart or a change of the pair does not touch it.
///
/// libcrypto instead of libsrtp2, which Debian builds on NSS: a third to a seventh of the CPU, and equal to it byte for
/// byte in the tests.
struct SRTPSender: ~Copyable {
  let profile: SRTPProfile
  private let rtp: SRTPCipher
  private let rtcp: SRTPCipher
  private var streams: [Stream] = []
  /// 31 bits, growing for each source (RFC 3711 §3.4).
  private var rtcpIndices: [(ssrc: UInt32, index: UInt32)] = []

  private struct Stream {
    let ssrc: UInt32
    var counter: RollOverCounter
  }

  init(profile: SRTPProfile, master: SRTPMasterKey) throws(TransportError) {
    let rtp = try SRTPSessionKeys(.rtp, profile: profile, master: master)
    let rtcp = try SRTPSessionKeys(.rtcp, profile: profile, master: master)
    try self.init(profile: profile, rtp: rtp, rtcp: rtcp)
  }

  /// With session keys instead of derived ones, as published test vectors have them.
  init(profile: SRTPProfile, rtp: SRTPSessionKeys, rtcp: SRTPSessionKeys) throws(TransportError) {
    let rtpCipher = try SRTPCipher(profile: profile, keys: rtp)
    let rtcpCipher = try SRTPCipher(profile: profile, keys: rtcp)
    self.profile = profile
    self.rtp = rtpCipher
    self.rtcp = rtcpCipher
  }

  /// In place; `profile.tagLength` more bytes must be writable. The new length, or nil for what is no RTP packet.
  @inline(__always)
  mutating func protect(rtp packet: UnsafeMutableRawPointer, length: Int) -> Int? {
    let raw = UnsafeRawBufferPointer(start: packet, count: length)
    guard let header = RTPFields.headerLength(raw) else { return nil }
    let ssrc = RTPFields.uint32(raw, at: 8)
    let sequence = RTPFields.uint16(raw, at: 2)
    return rtp.protect(
      rtp: packet, length: length, header: header, ssrc: ssrc, rollOverCounter: rollOverCounter(ssrc, sequence),
      sequence: sequence)
  }

  /// In place; `profile.rtcpTrailerLength` more bytes must be writable.
  mutating func protect(rtcp packet: UnsafeMutableRawPointer, length: Int) -> Int? {
    guard length >= 8 else { return nil }
    let ssrc = RTPFields.uint32(UnsafeRawBufferPointer(start: packet, count: length), at: 4)
    guard let index = nextRTCPIndex(ssrc) else { return nil }
    return rtcp.protect(rtcp: packet, length: length, ssrc: ssrc, index: index)
  }

  @inline(__always)
  private mutating func rollOverCounter(_ ssrc: UInt32, _ sequence: UInt16) -> UInt32 {
    for i in streams.indices where streams[i].ssrc == ssrc { return streams[i].counter.advance(to: sequence) }
    var counter = RollOverCounter()
    let value = counter.advance(to: sequence)
    streams.append(Stream(ssrc: ssrc, counter: counter))
    return value
  }

  /// Counts from 1 for each source; nil after 2³¹ packets, when the key must not be used any more (RFC 3711 §9.2).
  private mutating func nextRTCPIndex(_ ssrc: UInt32) -> UInt32? {
    for i in rtcpIndices.indices where rtcpIndices[i].ssrc == ssrc {
      guard rtcpIndices[i].index < 0x7FFF_FFFF else { return nil }
      rtcpIndices[i].index += 1
      return rtcpIndices[i].index
    }
    rtcpIndices.append((ssrc, 1))
    return 1
  }
}

/// The upper 32 bits of a source's packet index (RFC 3711 §3.3.1). Also on the sending side a guess by nearness: a
/// packet that is sent again after the wrap needs the counter that it had.
struct RollOverCounter {
  private var value: UInt32 = 0
  private var highest: UInt16?

  /// The counter that goes with `sequence`.
  @inline(__always)
  mutating func advance(to sequence: UInt16) -> UInt32 {
    guard let highest else {
      self.highest = sequence
      return 0
    }
    if highest < 0x8000 {
      // More than half a cycle ahead: of the cycle before, unless there was none.
      if Int(sequence) - Int(highest) > 0x8000, value > 0 { return value &- 1 }
    } else if Int(highest) - 0x8000 > Int(sequence) {
      value &+= 1
      self.highest = sequence
      return value
    }
    if sequence > highest { self.highest = sequence }
    return value
  }
}
