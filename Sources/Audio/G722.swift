import CSpanDSP

/// ITU-T G.722 at 64 kbit/s: one octet for two samples at 16,000 Hz, or for one at 8,000 Hz when only the lower
/// sub-band is wanted (towards G.711, without a resampler).
package enum G722 {
  /// Samples for each octet at `sampleRate`: 2 at 16,000 Hz, 1 at 8,000 Hz.
  package static func samplesPerOctet(sampleRate: Int) -> Int { sampleRate >= 16_000 ? 2 : 1 }

  fileprivate static func options(sampleRate: Int) -> Int32 {
    sampleRate >= 16_000 ? 0 : Int32(G722_SAMPLE_RATE_8000)
  }
}

/// Owns one libspandsp G.722 encoder. Used on one thread.
package final class G722Encoder {
  /// 16,000 or 8,000 Hz.
  package let sampleRate: Int
  // A `g722_encode_state_t *`, owned.
  private let state: OpaquePointer

  package init(sampleRate: Int = 16_000) throws(AudioError) {
    guard let state = g722_encode_init(nil, 64_000, G722.options(sampleRate: sampleRate)) else {
      throw .allocation("g722_encode_init")
    }
    self.state = state
    self.sampleRate = sampleRate >= 16_000 ? 16_000 : 8_000
  }

  deinit { g722_encode_free(state) }

  /// Encodes an even number of samples; returns the number of octets. What does not fit is left out.
  package func encode(_ samples: Samples, into octets: UnsafeMutableRawBufferPointer) -> Int {
    let perOctet = G722.samplesPerOctet(sampleRate: sampleRate)
    let count = min(samples.count / perOctet, octets.count) * perOctet
    guard count > 0, let source = samples.baseAddress, let target = octets.baseAddress else { return 0 }
    return Int(g722_encode(state, target.assumingMemoryBound(to: UInt8.self), source, Int32(clamping: count)))
  }
}

/// Owns one libspandsp G.722 decoder. Used on one thread.
package final class G722Decoder {
  /// 16,000 or 8,000 Hz.
  package let sampleRate: Int
  // A `g722_decode_state_t *`, owned.
  private let state: OpaquePointer

  package init(sampleRate: Int = 16_000) throws(AudioError) {
    guard let state = g722_decode_init(nil, 64_000, G722.options(sampleRate: sampleRate)) else {
      throw .allocation("g722_decode_init")
    }
    self.state = state
    self.sampleRate = sampleRate >= 16_000 ? 16_000 : 8_000
  }

  deinit { g722_decode_free(state) }

  /// Decodes octets; returns the number of samples. What does not fit is left out.
  package func decode(_ octets: UnsafeRawBufferPointer, into samples: Samples) -> Int {
    let count = min(octets.count, samples.count / G722.samplesPerOctet(sampleRate: sampleRate))
    guard count > 0, let source = octets.baseAddress, let target = samples.baseAddress else { return 0 }
    return Int(g722_decode(state, target, source.assumingMemoryBound(to: UInt8.self), Int32(clamping: count)))
  }
}
