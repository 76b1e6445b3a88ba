internal import CSRTP
internal import CUSRSCTP

/// Owns one `srtp_t` of libsrtp2 for one direction: the judge of `SRTPSender` and `SRTPReceiver` in the tests.
struct SRTPSession: ~Copyable {
  enum Direction { case inbound, outbound }

  private let pointer: srtp_t

  /// `srtp_init` may run only once a process.
  private static let isInitialised: Bool = srtp_init() == srtp_err_status_ok

  /// Keys of all SSRCs of one direction. Windows of 1,024 packets take reordering and retransmissions of seconds.
  init(profile: SRTPProfile, master: SRTPMasterKey, direction: Direction) throws(TransportError) {
    guard SRTPSession.isInitialised else { throw .library(function: "srtp_init", detail: "failed") }
    guard master.key.count == profile.keyLength, master.salt.count == profile.saltLength else {
      throw .library(function: "srtp_create", detail: "master key or salt of a wrong length")
    }
    var policy = srtp_policy_t()
    let id = srtp_profile_t(rawValue: UInt32(profile.rawValue))
    guard srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, id) == srtp_err_status_ok,
      srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, id) == srtp_err_status_ok
    else { throw .library(function: "srtp_crypto_policy_set_from_profile", detail: profile.openSSLName) }
    policy.ssrc.type = direction == .inbound ? ssrc_any_inbound : ssrc_any_outbound
    policy.window_size = 1024
    // A packet may be sent again for a NACK; the payload under one index is always the same.
    policy.allow_repeat_tx = 1
    var made: srtp_t?
    var key = master.key + master.salt
    let status = key.withUnsafeMutableBufferPointer { bytes in
      policy.key = bytes.baseAddress
      return srtp_create(&made, &policy)
    }
    guard status == srtp_err_status_ok, let made else {
      throw .library(function: "srtp_create", detail: "status \(status.rawValue)")
    }
    pointer = made
  }

  deinit { srtp_dealloc(pointer) }

  /// Decrypts in place.
  @inline(__always)
  func unprotect(rtp packet: UnsafeMutableRawPointer, length: Int) -> SRTPResult {
    var count = Int32(truncatingIfNeeded: length)
    return SRTPResult(srtp_unprotect(pointer, packet, &count), count)
  }

  @inline(__always)
  func unprotect(rtcp packet: UnsafeMutableRawPointer, length: Int) -> SRTPResult {
    var count = Int32(truncatingIfNeeded: length)
    return SRTPResult(srtp_unprotect_rtcp(pointer, packet, &count), count)
  }

  /// Encrypts in place; `profile.tagLength` more bytes must be writable.
  @inline(__always)
  func protect(rtp packet: UnsafeMutableRawPointer, length: Int) -> SRTPResult {
    var count = Int32(truncatingIfNeeded: length)
    return SRTPResult(srtp_protect(pointer, packet, &count), count)
  }

  /// Encrypts in place; `profile.rtcpTrailerLength` more bytes must be writable.
  @inline(__always)
  func protect(rtcp packet: UnsafeMutableRawPointer, length: Int) -> SRTPResult {
    var count = Int32(truncatingIfNeeded: length)
    return SRTPResult(srtp_protect_rtcp(pointer, packet, &count), count)
  }
}

extension SRTPResult {
  @inline(__always)
  fileprivate init(_ status: srtp_err_status_t, _ length: Int32) {
    switch status {
    case srtp_err_status_ok: self = .done(Int(length))
    case srtp_err_status_auth_fail, srtp_err_status_cipher_fail, srtp_err_status_algo_fail: self = .authenticationFailed
    case srtp_err_status_replay_fail, srtp_err_status_replay_old, srtp_err_status_pkt_idx_old: self = .replayed
    default: self = .malformed
    }
  }
}
