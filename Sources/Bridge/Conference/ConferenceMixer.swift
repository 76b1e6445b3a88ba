package import Audio
package import Core

/// Mixes one room for its phones. Confined to one media worker; reads no clock.
///
/// Everybody who talks is summed once, at 48 kHz; each rate of a phone gets that sum once, and whoever is part of the sum has
/// his own part taken out again, exactly, since all on the way is linear. So a phone that listens costs a copy here and
/// one encode on its leg. Only the loudest few who talk are decoded and mixed.
///
/// Drive it with packets of the tracks and with `tick` every 20 ms, which allocates nothing.
package final class ConferenceMixer {
  package struct Configuration: Sendable {
    /// Who is mixed at once.
    package var maximumTalkers = 10
    /// What a phone hears when nobody talks: −dBov.
    package var comfortNoise: UInt8 = 66

    package init() {}
  }

  package let configuration: Configuration
  package private(set) var phones: [ConferencePhone] = []
  package private(set) var tracks: [ConferenceTrack] = []
  /// Called in `tick` and `end` with announcements that all have heard.
  package var onAnnouncementEnded: ((UInt64) -> Void)?

  private var selection: TalkerSelection
  private var mixes: [RateMix] = []
  private var decoders: [AudioReceiver] = []
  private var decoderCount = 0
  private var announcements: [Announcement] = []
  private var announcers: [ConferenceAnnouncer] = []
  private let seed: UInt32
  private let sum = MixMemory(count: 960)
  private let frame = FrameMemory(count: 960)
  private var due: Instant?

  /// - Parameter seed: For comfort noise.
  package init(configuration: Configuration = Configuration(), seed: UInt32) {
    self.configuration = configuration
    self.seed = seed
    selection = TalkerSelection(limit: configuration.maximumTalkers)
  }

  // MARK: Members

  /// A phone joins. What it is to be heard by others as can be set on it.
  package func addPhone(_ port: ConferencePort) throws(AudioError) -> ConferencePhone {
    let mix: RateMix
    if let present = mixes.first(where: { $0.sampleRate == port.sampleRate }) {
      mix = present
    } else {
      mix = try RateMix(
        sampleRate: port.sampleRate, comfortNoise: configuration.comfortNoise,
        seed: seed &+ UInt32(truncatingIfNeeded: port.sampleRate))
      mixes.append(mix)
    }
    let phone = try ConferencePhone(port: port, mix: mix)
    mix.listeners += 1
    phones.append(phone)
    return phone
  }

  package func remove(_ phone: ConferencePhone) {
    guard let index = phones.firstIndex(where: { $0 === phone }) else { return }
    phones.remove(at: index)
    selection.remove(phone.voice)
    phone.announcements.removeAll()
    phone.mix.listeners -= 1
    mixes.removeAll { $0.listeners == 0 }
    reportEnded()
  }

  /// Somebody whose packets are Opus, for the phones to hear.
  ///
  /// - Parameter levelExtension: The identifier of RFC 6464 levels in its packets.
  package func addTrack(levelExtension: UInt8?) -> ConferenceTrack {
    let track = ConferenceTrack(mixer: self, levelExtension: levelExtension)
    tracks.append(track)
    return track
  }

  package func remove(_ track: ConferenceTrack) {
    tracks.removeAll { $0 === track }
    selection.remove(track.voice)
    release(track)
    track.leave()
  }

  /// Who can say announcements to those who are no phones.
  package func addAnnouncer(_ track: VoiceTrack) -> ConferenceAnnouncer {
    let announcer = ConferenceAnnouncer(track: track)
    announcers.append(announcer)
    return announcer
  }

  package func remove(_ announcer: ConferenceAnnouncer) {
    announcer.queue.removeAll()
    announcers.removeAll { $0 === announcer }
    reportEnded()
  }

  // MARK: Packets

  /// Whether a packet of the track is decoded; lends it a decoder.
  func admits(_ track: ConferenceTrack, attenuation: UInt8) -> Bool {
    guard selection.consider(track.voice, attenuation: attenuation) else { return false }
    if track.receiver == nil { track.receiver = lendDecoder() }
    return track.receiver != nil
  }

  /// Decoders are made as they are needed, at most two more than can be mixed: some are still fading out.
  private func lendDecoder() -> AudioReceiver? {
    if let free = decoders.popLast() { return free }
    guard decoderCount < configuration.maximumTalkers + 2,
      let decoder = try? AudioReceiver(codecs: [.opus], sampleRate: 48_000, seed: seed)
    else { return nil }
    decoderCount += 1
    decoders.reserveCapacity(decoderCount)
    return decoder
  }

  private func release(_ track: ConferenceTrack) {
    guard let receiver = track.receiver else { return }
    track.receiver = nil
    receiver.reset()
    decoders.append(receiver)
  }

  // MARK: Time

  /// Mixes what is due. Call it every 20 ms or more often.
  package func tick(now: Instant) {
    var due = due ?? now
    // A worker that stood still for long does not make up for it.
    if now - due > .milliseconds(100) || due - now > .milliseconds(100) { due = now }
    while due <= now + .milliseconds(1) {
      mix(now: due)
      due = due + .milliseconds(20)
    }
    self.due = due
  }

  private func mix(now: Instant) {
    for phone in phones {
      phone.listen(now: now)
      if phone.isMuted {
        if phone.voice.isSelected { selection.remove(phone.voice) }
      } else {
        selection.consider(phone.voice, attenuation: phone.attenuation)
      }
    }
    for track in tracks where track.voice.isSelected && track.isSilent(now: now) {
      selection.consider(track.voice, attenuation: 127)
    }
    selection.advance()
    sum.samples.update(repeating: 0)
    for phone in phones { phone.contribute(to: sum.samples) }
    for track in tracks where track.receiver != nil { add(track, now: now) }
    for mix in mixes { mix.render(UnsafeBufferPointer(sum.samples)) }
    for announcer in announcers { announcer.tick(now: now) }
    for phone in phones { phone.speak() }
    if !announcements.isEmpty { reportEnded() }
  }

  /// Decodes a track and adds it to the mix.
  private func add(_ track: ConferenceTrack, now: Instant) {
    guard let receiver = track.receiver else { return }
    let voice = track.voice
    let next: Float = voice.isSelected ? 1 : 0
    if receiver.pull(frame.samples, now: now) {
      _ = track.gain.apply(to: frame.samples)
      var weight = voice.weight
      let step = (next - weight) / Float(frame.samples.count)
      for i in 0..<min(frame.samples.count, sum.samples.count) {
        weight += step
        sum.samples[i] += Float(frame.samples[i]) * weight
      }
    }
    voice.weight = next
    if next == 0 { release(track) }
  }

  // MARK: Announcements

  /// Lets phones hear a clip over the talk. Clips for the same phone follow each other.
  ///
  /// - Parameters:
  ///   - id: The caller's; told by `onAnnouncementEnded`.
  ///   - toAll: The announcers say it, too.
  package func announce(_ id: UInt64, _ clip: AudioClip, to listeners: [ConferencePhone], toAll: Bool = false) {
    let announcement = Announcement(id: id, clip: clip)
    announcements.append(announcement)
    for phone in listeners {
      guard let stream = announcement.prepare(sampleRate: phone.port.sampleRate) else { continue }
      phone.announcements.append(announcement, stream)
    }
    if toAll {
      for announcer in announcers {
        guard let stream = announcement.prepare(sampleRate: 48_000) else { continue }
        announcer.queue.append(announcement, stream)
      }
    }
    reportEnded()
  }

  /// Ends an announcement early.
  package func end(_ id: UInt64) {
    guard let announcement = announcements.first(where: { $0.id == id }) else { return }
    announcement.isCancelled = true
    reportEnded()
  }

  private func reportEnded() {
    var index = 0
    while index < announcements.count {
      let announcement = announcements[index]
      guard announcement.isCancelled || announcement.listeners <= 0 else {
        index += 1
        continue
      }
      announcements.remove(at: index)
      onAnnouncementEnded?(announcement.id)
    }
  }

  // MARK: Figures

  /// Who is mixed now.
  package var talkerCount: Int { selection.selected.count }
  /// Decoders that run now.
  package var decoderCountInUse: Int { decoderCount - decoders.count }
}

/// Says announcements as a track.
package final class ConferenceAnnouncer {
  let track: VoiceTrack
  var queue = AnnouncementQueue()
  private let frame = FrameMemory(count: 960)

  init(track: VoiceTrack) { self.track = track }

  func tick(now: Instant) {
    guard !queue.isEmpty else {
      track.skip(now: now)
      return
    }
    frame.samples.update(repeating: 0)
    queue.render(into: frame.samples)
    track.send(frame.samples, attenuation: LevelMeter.octet(of: frame.samples), now: now)
  }
}
