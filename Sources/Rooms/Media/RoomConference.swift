import Audio
import Bridge
import Core
import RTP
import SFU

/// The phones of one room on its worker: each is a local peer of the router that publishes, and one more local peer takes
/// what the browsers say to the mixer. There for as long as the room has phones. Worker-confined.
final class RoomConference {
  private let router: Router
  private let mixer: ConferenceMixer
  private let ear: MixerEar
  private let earID: PeerID
  private var phones: [PeerID: Phone] = [:]
  private var announcers: [PeerID: ConferenceAnnouncer] = [:]
  /// What the mixer takes, by track.
  private var taken: [ProducerID: (consumer: ConsumerID, ssrc: SSRC, track: ConferenceTrack)] = [:]
  private var lastID: UInt64 = 0
  private let complexity: Int

  private struct Phone {
    let member: ConferencePhone
    let producer: ProducerID
  }

  /// Identifiers from here on are the media side's own: the control plane counts up from below.
  private static let ownIDs: UInt64 = 1 << 63

  /// Where the mixer stands in the router: packets are handed on by their SSRC.
  private final class MixerEar: PacketTransport {
    var tracks: [SSRC: ConferenceTrack] = [:]
    private let clock: () -> Instant

    init(clock: @escaping () -> Instant) { self.clock = clock }

    func send(rtp packet: UnsafeRawBufferPointer) {
      guard packet.count >= RTPHeader.fixedLength else { return }
      let ssrc = SSRC(UInt32(bigEndian: packet.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
      tracks[ssrc]?.receive(rtp: packet, now: clock())
    }

    func send(rtcp packet: UnsafeRawBufferPointer) {}
  }

  /// What the router sends to a phone or an announcer: reports on its packets, which a path without loss does not need.
  private final class Nowhere: PacketTransport {
    func send(rtp packet: UnsafeRawBufferPointer) {}
    func send(rtcp packet: UnsafeRawBufferPointer) {}
  }

  /// - Parameter clock: The worker's.
  init(
    router: Router, complexity: Int, now: Instant, clock: @escaping () -> Instant,
    onAnnouncementEnded: @escaping (AnnouncementID) -> Void
  ) {
    self.router = router
    self.complexity = complexity
    mixer = ConferenceMixer(seed: .random(in: 0...UInt32.max))
    ear = MixerEar(clock: clock)
    earID = PeerID(rawValue: Self.ownIDs)
    _ = router.addPeer(earID, transport: ear, now: now)
    mixer.onAnnouncementEnded = { onAnnouncementEnded(AnnouncementID(rawValue: $0)) }
  }

  var isEmpty: Bool { phones.isEmpty && announcers.isEmpty }
  /// Of phones and announcers.
  var peerIDs: [PeerID] { Array(phones.keys) + Array(announcers.keys) }

  func tick(now: Instant) { mixer.tick(now: now) }

  /// Ends everything.
  func close() {
    mixer.onAnnouncementEnded = nil
    for id in Array(phones.keys) + Array(announcers.keys) { closePhone(id) }
    router.removePeer(earID)
    ear.tracks = [:]
  }

  // MARK: Phones

  func openPhone(_ id: PeerID, producer: ProducerID, port: ConferencePort, now: Instant) throws(AudioError) {
    closePhone(id)
    let track = try publish(id, producer, sampleRate: port.sampleRate, now: now)
    do throws(AudioError) {
      let member = try mixer.addPhone(port)
      member.track = track
      phones[id] = Phone(member: member, producer: producer)
    } catch {
      router.removePeer(id)
      throw error
    }
  }

  func openAnnouncer(_ id: PeerID, producer: ProducerID, now: Instant) throws(AudioError) {
    closePhone(id)
    announcers[id] = mixer.addAnnouncer(try publish(id, producer, sampleRate: 48_000, now: now))
  }

  /// Of a phone or an announcer.
  func closePhone(_ id: PeerID) {
    if let phone = phones.removeValue(forKey: id) {
      phone.member.track = nil
      mixer.remove(phone.member)
    } else if let announcer = announcers.removeValue(forKey: id) {
      mixer.remove(announcer)
    } else {
      return
    }
    router.removePeer(id)
  }

  func setMuted(_ id: PeerID, _ isMuted: Bool) {
    guard let phone = phones[id] else { return }
    phone.member.isMuted = isMuted
    router.setProducer(phone.producer, muted: isMuted)
  }

  /// The control plane muted a track, which may be a phone's.
  func producerMuted(_ id: ProducerID, _ isMuted: Bool) {
    for phone in phones.values where phone.producer == id { phone.member.isMuted = isMuted }
  }

  /// Makes a local peer with one track of Opus.
  private func publish(
    _ id: PeerID, _ producer: ProducerID, sampleRate: Int, now: Instant
  ) throws(AudioError) -> VoiceTrack {
    let track = try VoiceTrack(
      sampleRate: sampleRate, ssrc: SSRC(.random(in: 1...UInt32.max)), cname: "phone-\(id.rawValue)",
      complexity: complexity, firstSequence: .random(in: 0..<32_768), firstTimestamp: .random(in: 0...UInt32.max),
      seed: .random(in: 0...UInt64.max), now: now, wall: .now())
    track.receiver = router.addPeer(id, transport: Nowhere(), now: now)
    var extensions = HeaderExtensionMap()
    extensions[.audioLevel] = VoiceTrack.levelExtension
    router.addProducer(
      producer, peer: id,
      parameters: ProducerParameters(
        kind: .audio, mid: "0", codecs: [CodecParameters(codec: .opus, payloadType: VoiceTrack.payloadType)],
        extensions: extensions, encodings: [EncodingParameters(ssrc: track.ssrc)]))
    track.isWanted = { [weak router] in router?.isWanted(producer) ?? false }
    track.onLevel = { [weak router] in router?.noteLevel(of: producer, attenuation: $0, milliseconds: 20) }
    return track
  }

  // MARK: Tracks of browsers

  /// Lets the phones hear a track.
  func take(_ producer: ProducerID) {
    guard taken[producer] == nil, !phones.values.contains(where: { $0.producer == producer }) else { return }
    lastID += 1
    let consumer = ConsumerID(rawValue: Self.ownIDs + lastID)
    let ssrc = SSRC(.random(in: 1...UInt32.max))
    var extensions = HeaderExtensionMap()
    extensions[.audioLevel] = VoiceTrack.levelExtension
    let track = mixer.addTrack(levelExtension: VoiceTrack.levelExtension)
    ear.tracks[ssrc] = track
    // Plain Opus is asked for, so that redundant audio is thinned and its copies fill gaps.
    let isTaken = router.addConsumer(
      consumer, of: producer, peer: earID,
      parameters: ConsumerParameters(
        mid: "", ssrc: ssrc, retransmissionSSRC: nil,
        codecs: [CodecParameters(codec: .opus, payloadType: VoiceTrack.payloadType)], extensions: extensions,
        cname: ""))
    guard isTaken else {
      ear.tracks[ssrc] = nil
      mixer.remove(track)
      return
    }
    taken[producer] = (consumer, ssrc, track)
  }

  /// The track is gone, or not for phones.
  func drop(_ producer: ProducerID) {
    guard let (consumer, ssrc, track) = taken.removeValue(forKey: producer) else { return }
    router.removeConsumer(consumer)
    ear.tracks[ssrc] = nil
    mixer.remove(track)
  }

  // MARK: Announcements

  func announce(_ id: AnnouncementID, _ clip: AudioClip, to listeners: [PeerID]?, toAll: Bool) {
    let members =
      listeners.map { $0.compactMap { phones[$0]?.member } } ?? phones.values.map { $0.member }
    mixer.announce(id.rawValue, clip, to: members, toAll: toAll)
  }

  func endAnnouncement(_ id: AnnouncementID) { mixer.end(id.rawValue) }
}
