import Audio
import Core

/// One phone in a conference: what it says, as part of the mix and as a track for others, and what it hears.
package final class ConferencePhone {
  package let port: ConferencePort
  /// What others receive of it; nil for none.
  package var track: VoiceTrack?
  /// Not heard by anybody, in the mix or as a track.
  package var isMuted = false

  let voice = Voice()
  let mix: RateMix
  /// What it says now, after gain control.
  let own: FrameMemory
  private let reader: PortReader
  private var gain = GainControl()
  private(set) var attenuation: UInt8 = 127

  /// Its part of the mix at 48 kHz.
  private let part = MixMemory(count: 960)
  /// The same at its own rate: what is taken out of what it hears.
  private let narrow: MixMemory
  private let up: Resampler?
  private let down: Resampler?
  private let heard: FrameMemory
  private var output = MixOutput()
  var announcements = AnnouncementQueue()
  private var state = State.listening

  private enum State {
    case listening
    /// Part of the mix.
    case talking
    /// What the resampler still holds of it is taken out, too.
    case ending
    /// Hears the others as all do, by its own limiter, until that is where the shared one is.
    case returning
  }

  init(port: ConferencePort, mix: RateMix) throws(AudioError) {
    self.port = port
    self.mix = mix
    let count = port.samplesPerFrame
    own = FrameMemory(count: count)
    narrow = MixMemory(count: count)
    heard = FrameMemory(count: count)
    reader = PortReader(port.toConference, sampleRate: port.sampleRate)
    if port.sampleRate == 48_000 {
      (up, down) = (nil, nil)
    } else {
      up = try Resampler(from: port.sampleRate, to: 48_000)
      down = try Resampler(from: 48_000, to: port.sampleRate)
    }
  }

  /// Times that the leg gave too little.
  package var underflows: Int { reader.underflows }

  /// Takes 20 ms from the leg and passes them on as a track.
  func listen(now: Instant) {
    let frame = own.samples
    let isThere = reader.pull(frame)
    guard isThere, !isMuted else {
      attenuation = 127
      if isMuted {
        frame.update(repeating: 0)
        track?.skip(now: now)
      } else {
        track?.send(frame, attenuation: 127, now: now)
      }
      return
    }
    attenuation = gain.apply(to: frame)
    track?.send(frame, attenuation: attenuation, now: now)
  }

  /// Adds its part to the mix.
  func contribute(to sum: UnsafeMutableBufferPointer<Float>) {
    let next: Float = voice.isSelected ? 1 : 0
    guard next > 0 || voice.weight > 0 else {
      switch state {
      case .talking:
        part.samples.update(repeating: 0)
        state = .ending
      case .ending:
        up?.reset()
        down?.reset()
        state = .returning
      case .listening, .returning: break
      }
      return
    }
    if state == .listening { output.follow(mix.output) }
    state = .talking
    let count = own.samples.count
    // The longer memory is free until the resampler fills it.
    let scratch = UnsafeMutableBufferPointer(rebasing: narrow.samples[..<count])
    let step = (next - voice.weight) / Float(count)
    var weight = voice.weight
    for i in 0..<count {
      weight += step
      scratch[i] = Float(own.samples[i]) * weight
    }
    voice.weight = next
    if let up {
      up.process(UnsafeBufferPointer(scratch), into: part.samples)
    } else {
      part.samples.baseAddress?.update(from: scratch.baseAddress.unsafelyUnwrapped, count: count)
    }
    for i in 0..<min(sum.count, part.samples.count) { sum[i] += part.samples[i] }
  }

  /// Gives the leg what the others say.
  func speak() {
    let frame: Samples
    switch state {
    case .listening: frame = mix.shared.samples
    case .talking, .ending:
      if let down {
        down.process(UnsafeBufferPointer(part.samples), into: narrow.samples)
        for i in 0..<narrow.samples.count { narrow.samples[i] = mix.sum.samples[i] - narrow.samples[i] }
      } else {
        for i in 0..<narrow.samples.count { narrow.samples[i] = mix.sum.samples[i] - part.samples[i] }
      }
      output.render(UnsafeBufferPointer(narrow.samples), into: heard.samples) { mix.comfort() }
      frame = heard.samples
    case .returning:
      if output.isLike(mix.output) { state = .listening }
      output.render(UnsafeBufferPointer(mix.sum.samples), into: heard.samples) { mix.comfort() }
      frame = heard.samples
    }
    guard !announcements.isEmpty else {
      _ = port.fromConference.write(frame)
      return
    }
    if frame.baseAddress != heard.samples.baseAddress, let source = frame.baseAddress {
      heard.samples.baseAddress?.update(from: source, count: frame.count)
    }
    announcements.render(into: heard.samples)
    _ = port.fromConference.write(heard.samples)
  }
}
