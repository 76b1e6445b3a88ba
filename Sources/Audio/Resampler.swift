import CSpeexDSP

/// Owns one resampler of libspeexdsp: mono, linear in the strict sense (no saturation between the samples), state carried
/// over calls. Delays by some milliseconds. Used on one thread.
package final class Resampler {
  /// Hertz.
  package let inputRate: Int
  package let outputRate: Int
  // A `SpeexResamplerState *`, owned: made in init, destroyed in deinit.
  private let state: OpaquePointer

  /// - Parameter quality: 0…10; 3 is libspeexdsp's advice for speech.
  package init(from inputRate: Int, to outputRate: Int, quality: Int = 3) throws(AudioError) {
    var code: Int32 = 0
    guard
      let state = speex_resampler_init(
        1, UInt32(clamping: max(1, inputRate)), UInt32(clamping: max(1, outputRate)), Int32(clamping: quality), &code),
      code == 0
    else { throw AudioError(function: "speex_resampler_init", code: code, name: "\(inputRate) to \(outputRate) Hz") }
    self.state = state
    self.inputRate = inputRate
    self.outputRate = outputRate
  }

  deinit { speex_resampler_destroy(state) }

  /// The delay in samples of the input.
  package var latency: Int { Int(speex_resampler_get_input_latency(state)) }

  /// Resamples as much as fits; returns how much was taken and made. With whole ratios a frame goes in and out whole.
  @discardableResult
  package func process(
    _ input: UnsafeBufferPointer<Float>, into output: UnsafeMutableBufferPointer<Float>
  ) -> (taken: Int, made: Int) {
    guard let source = input.baseAddress, let target = output.baseAddress else { return (0, 0) }
    var taken = UInt32(clamping: input.count)
    var made = UInt32(clamping: output.count)
    guard speex_resampler_process_float(state, 0, source, &taken, target, &made) == 0 else { return (0, 0) }
    return (Int(taken), Int(made))
  }

  /// The same for 16-bit samples.
  @discardableResult
  package func process(_ input: UnsafeBufferPointer<Int16>, into output: Samples) -> (taken: Int, made: Int) {
    guard let source = input.baseAddress, let target = output.baseAddress else { return (0, 0) }
    var taken = UInt32(clamping: input.count)
    var made = UInt32(clamping: output.count)
    guard speex_resampler_process_int(state, 0, source, &taken, target, &made) == 0 else { return (0, 0) }
    return (Int(taken), Int(made))
  }

  /// Forgets the past: what comes next begins out of silence.
  package func reset() { speex_resampler_reset_mem(state) }
}
