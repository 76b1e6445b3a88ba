import COpus

/// Owns one libopus decoder: any Opus packet to mono samples at the rate that it was made with (libopus
/// resamples and mixes down). Used on one thread.
package final class OpusDecoder {
  /// 8,000, 12,000, 16,000, 24,000 or 48,000 Hz.
  package let sampleRate: Int
  // An `OpusDecoder *`, owned: made in init, destroyed in deinit.
  private let decoder: OpaquePointer

  package init(sampleRate: Int) throws(AudioError) {
    var code: Int32 = 0
    guard let decoder = opus_decoder_create(Int32(clamping: sampleRate), 1, &code), code == OPUS_OK else {
      throw AudioError(opus: "opus_decoder_create", code)
    }
    self.decoder = decoder
    self.sampleRate = sampleRate
  }

  deinit { opus_decoder_destroy(decoder) }

  /// Decodes one packet; returns the number of samples. 120 ms of room holds whatever a valid packet has.
  package func decode(_ packet: UnsafeRawBufferPointer, into samples: Samples) throws(AudioError) -> Int {
    // An empty packet would mean "lost" to libopus.
    guard packet.count > 0 else { throw AudioError(opus: "opus_decode", OPUS_INVALID_PACKET) }
    return try decode(packet, into: samples, forwardErrorCorrection: false)
  }

  /// Recovers the frame *before* `next` from the coarse copy inside `next`, or conceals where it has none.
  /// `samples` must be as long as what was lost.
  package func recover(from next: UnsafeRawBufferPointer, into samples: Samples) throws(AudioError) -> Int {
    guard next.count > 0 else { return try conceal(into: samples) }
    return try decode(next, into: samples, forwardErrorCorrection: true)
  }

  /// Fills `samples` (a multiple of 2.5 ms) in place of a lost packet; after a DTX packet with comfort noise.
  package func conceal(into samples: Samples) throws(AudioError) -> Int {
    try decode(UnsafeRawBufferPointer(start: nil, count: 0), into: samples, forwardErrorCorrection: false)
  }

  /// Forgets the past, as for a new stream.
  package func reset() { _ = copus_decoder_reset(decoder) }

  /// The audio in a packet, in samples at `sampleRate`; nil if it is not a valid packet.
  package static func samples(in packet: UnsafeRawBufferPointer, sampleRate: Int) -> Int? {
    guard packet.count > 0, let base = packet.baseAddress else { return nil }
    let count = opus_packet_get_nb_samples(
      base.assumingMemoryBound(to: UInt8.self), Int32(clamping: packet.count), Int32(clamping: sampleRate))
    return count > 0 ? Int(count) : nil
  }

  private func decode(
    _ packet: UnsafeRawBufferPointer, into samples: Samples, forwardErrorCorrection: Bool
  ) throws(AudioError) -> Int {
    guard let target = samples.baseAddress else { throw AudioError(opus: "opus_decode", OPUS_BUFFER_TOO_SMALL) }
    let count = opus_decode(
      decoder, packet.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(clamping: packet.count), target,
      Int32(clamping: samples.count), forwardErrorCorrection ? 1 : 0)
    guard count >= 0 else { throw AudioError(opus: "opus_decode", count) }
    return Int(count)
  }
}
