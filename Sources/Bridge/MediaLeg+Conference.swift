import Audio
import Core

/// A leg's end of a port.
final class ConferenceEnd {
  let port: ConferencePort
  private let reader: PortReader
  /// Where the leg's codec does not run at the port's rate.
  private var inward: Resampler?
  private var outward: Resampler?
  /// What is spoken or heard before it is resampled: up to 60 ms.
  private let room: FrameMemory
  /// When the next frame is spoken.
  var nextFrameAt: Instant?

  init(_ port: ConferencePort) {
    self.port = port
    reader = PortReader(port.fromConference, sampleRate: port.sampleRate)
    room = FrameMemory(count: 48_000 * 60 / 1_000)
  }

  /// The rates in hertz of what the leg decodes and of what it encodes.
  func configure(decoding: Int, encoding: Int) throws(AudioError) {
    if inward?.inputRate != decoding {
      inward = decoding == port.sampleRate ? nil : try Resampler(from: decoding, to: port.sampleRate)
    }
    if outward?.outputRate != encoding {
      outward = encoding == port.sampleRate ? nil : try Resampler(from: port.sampleRate, to: encoding)
    }
  }

  /// Gives a frame of the far end's to the conference. What finds no room is lost.
  func speak(_ frame: Samples) {
    guard let inward else {
      _ = port.toConference.write(frame)
      return
    }
    let (_, made) = inward.process(UnsafeBufferPointer(frame), into: room.samples)
    _ = port.toConference.write(room.samples.part(from: 0, count: made))
  }

  /// Fills a frame with what the others in the conference say.
  func hear(_ frame: Samples) {
    guard let outward else {
      _ = reader.pull(frame)
      return
    }
    let needed = room.samples.part(from: 0, count: frame.count * port.sampleRate / max(1, outward.outputRate))
    _ = reader.pull(needed)
    let (_, made) = outward.process(UnsafeBufferPointer(needed), into: frame)
    frame.part(from: made, count: frame.count - made).update(repeating: 0)
  }
}

// A leg that is in a conference.
extension MediaLeg {
  /// Settles codecs and rates for the port.
  func planConference() throws(AudioError) {
    guard let conference else { return }
    let rate = conference.port.sampleRate
    try prepareEncoder(nativeRate: rate)
    try prepareReceiver(
      sampleRate: FrameEncoder.sampleRate(for: receivingCodec, nativeRate: rate, parameters: OpusParameters()))
    if detector != nil, detector?.sampleRate != receiver?.sampleRate { try updateDetection() }
    try conference.configure(decoding: receiver?.sampleRate ?? rate, encoding: encoder?.sampleRate ?? rate)
  }

  /// What the far end said since the last tick goes to the conference, also while it hears nothing.
  func speakToConference(_ now: Instant) {
    guard sourceKind == .conference, let conference, listener == nil else { return }
    guard negotiated?.receives == true, let receiver, let room = conferenceFrame?.samples else {
      conference.nextFrameAt = nil
      return
    }
    let frame = room.part(from: 0, count: receiver.sampleRate / 50)
    var due = conference.nextFrameAt ?? now
    if now - due > .milliseconds(100) || due - now > .milliseconds(100) { due = now }
    while due <= now + .milliseconds(5) {
      if pull(frame, now: due) { conference.speak(frame) }
      due = due + .milliseconds(20)
    }
    conference.nextFrameAt = due
  }

  /// A clip was played to its end: silence follows.
  func endClip(_ now: Instant) {
    generator = nil
    sourceKind = .silence
    fadeOut(now)
    onEvent?(.clipEnded)
  }
}
