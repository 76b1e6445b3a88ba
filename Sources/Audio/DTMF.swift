import CSpanDSP

/// Dual-tone multi-frequency signals (ITU-T Q.23).
package enum DTMF {
  /// The sixteen digits in the order of their RFC 4733 event codes.
  package static let digits: [Character] = Array("0123456789*#ABCD")

  /// The RFC 4733 event code of a digit, 0…15; lower-case letters count too.
  package static func eventCode(of digit: Character) -> UInt8? {
    guard let ascii = digit.asciiValue else { return nil }
    switch ascii {
    case 0x30...0x39: return ascii - 0x30
    case UInt8(ascii: "*"): return 10
    case UInt8(ascii: "#"): return 11
    case UInt8(ascii: "A")...UInt8(ascii: "D"): return ascii - UInt8(ascii: "A") + 12
    case UInt8(ascii: "a")...UInt8(ascii: "d"): return ascii - UInt8(ascii: "a") + 12
    default: return nil
    }
  }

  /// The digit of an RFC 4733 event code; nil for other events.
  package static func digit(ofEvent code: UInt8) -> Character? { code < 16 ? digits[Int(code)] : nil }

  /// The low and the high frequency in hertz of an event code 0…15.
  package static func frequencies(ofEvent code: UInt8) -> (low: Double, high: Double)? {
    guard code < 16 else { return nil }
    // Row and column on the key pad of 0…9 * # A…D.
    let position: (row: Int, column: Int) =
      switch code {
      case 0: (3, 1)
      case 1...9: ((Int(code) - 1) / 3, (Int(code) - 1) % 3)
      case 10: (3, 0)
      case 11: (3, 2)
      default: (Int(code) - 12, 3)
      }
    let low = [697.0, 770, 852, 941]
    let high = [1209.0, 1336, 1477, 1633]
    return (low[position.row], high[position.column])
  }
}

/// Plays one digit at a time, with soft edges, as long as asked.
package struct DTMFToneGenerator: Sendable {
  package let sampleRate: Int
  private var tone: ToneGenerator?
  private var gain: Float = 0
  private var isOn = false

  package init(sampleRate: Int) { self.sampleRate = sampleRate }

  /// Whether there is still something to hear, the last edge included.
  package var isActive: Bool { tone != nil }

  /// Starts a digit by its event code 0…15: low group at -8, high group at -6 dBm0 (Q.23 allows 2 dB of twist).
  package mutating func start(event code: UInt8) {
    guard let (low, high) = DTMF.frequencies(ofEvent: code) else { return }
    tone = ToneGenerator(sampleRate: sampleRate, low, -8, high, -6)
    gain = 0
    isOn = true
  }

  /// Lets the digit end within 2 ms.
  package mutating func stop() { isOn = false }

  /// Fills the buffer; silence where no digit sounds.
  package mutating func generate(into samples: Samples) {
    guard tone != nil else {
      samples.update(repeating: 0)
      return
    }
    let ramp = 500 / Float(sampleRate)
    gain = tone?.generate(into: samples, gain: gain, gainStep: isOn ? ramp : -ramp) ?? 0
    if !isOn, gain == 0 { tone = nil }
  }
}

/// Owns one libspandsp DTMF receiver: finds digits in speech. Used on one thread.
package final class InbandDTMFDetector {
  /// What changed with the samples just given.
  package enum Event: Sendable, Hashable {
    /// The digit has sounded for about 25 ms.
    case began(event: UInt8)
    /// It ended; how long it sounded, in milliseconds.
    case ended(event: UInt8, milliseconds: Int)
  }

  /// 8,000, 16,000 or 48,000 Hz. Above 8,000 the signal is decimated first.
  package let sampleRate: Int
  // A `dtmf_rx_state_t *`, owned.
  private let state: OpaquePointer
  private var decimator: Decimator
  private var current: UInt8?
  private var heardSamples = 0
  private var silentSamples = 0

  package init(sampleRate: Int) throws(AudioError) {
    guard let state = dtmf_rx_init(nil, nil, nil) else { throw .allocation("dtmf_rx_init") }
    self.state = state
    self.sampleRate = sampleRate
    decimator = Decimator(factor: max(1, sampleRate / 8_000))
  }

  deinit { dtmf_rx_free(state) }

  /// Whether a digit is sounding.
  package var isActive: Bool { current != nil }

  /// Feeds samples; calls `report` for what began or ended in them.
  package func detect(in samples: Samples, report: (Event) -> Void) {
    var at = 0
    // 12.75 ms a turn: the receiver's own block.
    let turn = 102 * max(1, sampleRate / 8_000)
    while at < samples.count {
      let chunk = samples.part(from: at, count: turn)
      at += chunk.count
      let narrow = decimator.decimate(chunk)
      if let base = narrow.baseAddress, narrow.count > 0 {
        _ = dtmf_rx(state, base, Int32(clamping: narrow.count))
      }
      step(narrow.count, report)
    }
  }

  private func step(_ samples: Int, _ report: (Event) -> Void) {
    var digit: CChar = 0
    let status = UInt8(truncatingIfNeeded: dtmf_rx_status(state))
    let sounding =
      status == 0 || status == UInt8(ascii: "x") ? nil : DTMF.eventCode(of: Character(UnicodeScalar(status)))
    if let event = current {
      if sounding == event {
        heardSamples += samples
        silentSamples = 0
      } else {
        silentSamples += samples
        // 20 ms without it end a digit; a shorter dip is one lost packet. Another digit ends it at once.
        if sounding != nil || silentSamples >= 160 { finish(event, report) }
      }
    }
    while dtmf_rx_get(state, &digit, 1) == 1 {
      guard let event = DTMF.eventCode(of: Character(UnicodeScalar(UInt8(bitPattern: digit)))) else { continue }
      // The same digit again straight after a short dip is the same press.
      if current == event, silentSamples > 0, silentSamples < 160 { continue }
      if let before = current { finish(before, report) }
      current = event
      // The receiver needs two blocks before it is sure.
      heardSamples = 204
      silentSamples = 0
      report(.began(event: event))
    }
  }

  private func finish(_ event: UInt8, _ report: (Event) -> Void) {
    current = nil
    report(.ended(event: event, milliseconds: heardSamples / 8))
    heardSamples = 0
    silentSamples = 0
  }
}
