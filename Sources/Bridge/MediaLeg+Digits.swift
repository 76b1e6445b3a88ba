package import Audio
package import Core
import RTP

/// The way in which a digit came.
enum DigitPath: Equatable { case events, tones, info }

/// Keeps digits that come in several ways from counting twice: many phones send RFC 4733 and tones, or INFO and tones.
struct ReceivedDigits {
  private var last: (event: UInt8, path: DigitPath, at: Instant)?
  private(set) var down: (event: UInt8, path: DigitPath)?
  /// The key that is down was passed on.
  var isRelaying = false

  /// The same digit within this time in another way is the same press: tones wait in the jitter buffer, INFO on its way.
  private static let window = Duration.milliseconds(800)

  /// False for a digit that is known already.
  mutating func begin(_ event: UInt8, _ path: DigitPath, _ now: Instant) -> Bool {
    if let down, down.path != path, down.event == event { return false }
    if let last, last.event == event, last.path != path, now - last.at < Self.window {
      // Each press is worth one twin: a third way or a second press counts again from here.
      return false
    }
    down = (event, path)
    isRelaying = false
    return true
  }

  /// False for the end of a digit that did not count.
  mutating func end(_ event: UInt8, _ path: DigitPath, _ now: Instant) -> Bool {
    guard let down, down.event == event, down.path == path else { return false }
    self.down = nil
    last = (event, path, now)
    return true
  }
}

extension MediaLeg {
  /// Queues digits for the far end (0…9 * # A…D, others are left out): RFC 4733 events where it takes them, else tones.
  package func sendDTMF(_ digits: String, now: Instant, durationMilliseconds: Int = 100) {
    guard !isClosed, negotiated != nil, prepareDigits() else { return }
    for digit in digits {
      guard let event = DTMF.eventCode(of: digit) else { continue }
      self.digits.enqueue(event: event, length: .milliseconds(max(0, min(10_000, durationMilliseconds))))
    }
  }

  /// A digit of this leg's far end that came by SIP INFO. Told and passed on like the others, and not twice.
  package func receiveInfo(digit: Character, durationMilliseconds: Int = 160, now: Instant) {
    guard !isClosed, let event = DTMF.eventCode(of: digit) else { return }
    digitBegan(event, via: .info, now)
    digitEnded(event, via: .info, duration: .milliseconds(max(0, min(10_000, durationMilliseconds))), now)
  }

  /// Whether digits are sought in the audio of the far end. For legs without RFC 4733: their packets are then decoded
  /// instead of relayed. Events that arrive after all take precedence.
  package var inbandDTMFDetection: Bool { wantsDetection }

  /// Turns the search on or off.
  package func setInbandDTMFDetection(_ isOn: Bool, now: Instant) throws(AudioError) {
    guard !isClosed, isOn != wantsDetection else { return }
    wantsDetection = isOn
    try updateDetection()
    if sourceKind == .echo || sourceKind == .conference { try plan(now) }
    try listener?.plan(now)
  }

  func updateDetection() throws(AudioError) {
    guard wantsDetection, negotiated != nil else {
      detector = nil
      detectorFrame = nil
      return
    }
    if !hasPuller { try prepareReceiver(sampleRate: detectionRate) }
    if detectorFrame == nil { detectorFrame = FrameMemory(count: 960) }
    let rate = receiver?.sampleRate ?? detectionRate
    if detector?.sampleRate != rate { detector = try InbandDTMFDetector(sampleRate: rate) }
  }

  /// Every codec can be decoded to that.
  var detectionRate: Int { 8_000 }

  /// Somebody takes frames from our decoder.
  var hasPuller: Bool {
    if sourceKind == .echo, isPulling { return true }
    if sourceKind == .conference { return true }
    return listener?.isPulling ?? false
  }

  /// Detection goes on when nobody hears this leg.
  func detectUnheard(_ now: Instant) {
    guard detector != nil, !hasPuller, let receiver, let room = detectorFrame?.samples else { return }
    pull(room.part(from: 0, count: receiver.sampleRate / 50), now: now)
  }

  // MARK: Digits of the far end

  func receive(event payload: UnsafeRawBufferPointer, clockRate: Int, _ header: RTPHeader, _ now: Instant) {
    receiver?.skip(sequence: header.sequence, timestamp: header.timestamp, now: now)
    // Its numbers do not pass: the gap must not look like loss.
    if let passer = sourceKind == .echo ? self : listener, passer.relayedCodec != nil { passer.output.breakSource() }
    guard negotiated?.receives == true, let event = TelephoneEventPayload(parsing: payload) else { return }
    telephoneEvents.clockRate = clockRate
    let outcome = telephoneEvents.receive(event, timestamp: header.timestamp, now: now)
    // `ended` comes first unless both are of the same event.
    if let ended = outcome.ended, ended.event != outcome.began?.event || outcome.began == nil {
      digitEnded(ended.event, via: .events, duration: ended.duration, now)
      if let began = outcome.began { digitBegan(began.event, via: .events, now) }
    } else {
      if let began = outcome.began { digitBegan(began.event, via: .events, now) }
      if let ended = outcome.ended { digitEnded(ended.event, via: .events, duration: ended.duration, now) }
    }
  }

  func digitBegan(_ event: UInt8, via path: DigitPath, _ now: Instant) {
    guard event < 16, digitsReceived.begin(event, path, now) else { return }
    guard let hearer = sourceKind == .echo ? self : listener, hearer.takesDigits(via: path) else { return }
    digitsReceived.isRelaying = true
    hearer.digits.press(event: event)
  }

  func digitEnded(_ event: UInt8, via path: DigitPath, duration: Duration, _ now: Instant) {
    guard event < 16, digitsReceived.end(event, path, now) else { return }
    if digitsReceived.isRelaying, let hearer = sourceKind == .echo ? self : listener {
      hearer.digits.release(event: event, length: duration)
    }
    digitsReceived.isRelaying = false
    if let digit = DTMF.digit(ofEvent: event) {
      onEvent?(.dtmf(digit: digit, durationMilliseconds: Int(duration.inMilliseconds.rounded())))
    }
  }

  /// Tones reach a far end without RFC 4733 in the audio itself.
  private func takesDigits(via path: DigitPath) -> Bool {
    guard let negotiated, !isClosed, sourceKind != .echo || path != .tones else { return false }
    return negotiated.telephoneEvent != nil || path != .tones && prepareDigits()
  }

  /// Tones need an encoder, which a relaying leg has not.
  private func prepareDigits() -> Bool {
    guard let negotiated else { return false }
    guard negotiated.telephoneEvent == nil else { return true }
    do {
      try prepareEncoder(nativeRate: nil)
      return true
    } catch {
      return false
    }
  }
}
