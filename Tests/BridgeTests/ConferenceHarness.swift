import Audio
import Core
import RTP
import TestSupport
import Testing

@testable import Bridge

/// A browser's microphone: Opus with audio levels, over a lossy link to its track in the mixer.
final class Microphone {
  let track: ConferenceTrack
  var voice: ((Int) -> Int16)?
  private let encoder: FrameEncoder
  private var link: VirtualLink<[UInt8]>
  private var sequence: UInt16 = 500
  private var timestamp: UInt32 = 7_000
  private var index = 0
  private var frame = [Int16](repeating: 0, count: 960)
  private let ssrc: SSRC

  init(
    _ track: ConferenceTrack, id: UInt32, voice: ((Int) -> Int16)?, delay: Duration = .milliseconds(5),
    jitter: Duration = .zero, loss: Double = 0
  ) throws {
    self.track = track
    self.voice = voice
    ssrc = SSRC(0xBB00_0000 | id)
    encoder = try FrameEncoder(.opus, sampleRate: 48_000, parameters: OpusParameters())
    link = VirtualLink(seed: UInt64(id) + 5, delay: delay, jitter: jitter, loss: loss)
  }

  /// Says the next 20 ms.
  func talk(now: Instant) {
    for i in 0..<960 { frame[i] = voice?(index + i) ?? 0 }
    index += 960
    var payload = [UInt8](repeating: 0, count: 1_276)
    let (length, level) = frame.withUnsafeMutableBufferPointer { samples in
      (payload.withUnsafeMutableBytes { encoder.encode(samples, into: $0) }, LevelMeter.octet(of: samples))
    }
    let header = RTPHeader(
      payloadType: PayloadType(111), sequence: sequence, timestamp: timestamp, ssrc: ssrc, marker: false)
    var packet = header.serialized(payload: [])
    packet[0] |= 0x10
    packet += RTPHeader.extensionBytes([(id: 1, data: [level])])
    packet += payload[..<length]
    sequence &+= 1
    timestamp &+= 960
    link.send(packet, now: now)
  }

  func deliver(now: Instant) {
    for packet in link.receive(now: now) { packet.withUnsafeBytes { track.receive(rtp: $0, now: now) } }
  }
}

/// Takes the packets of a phone's track and decodes them.
final class TrackEar: PacketReceiver {
  private let receiver: AudioReceiver
  private(set) var headers: [RTPHeader] = []
  private(set) var levels: [AudioLevel] = []
  private(set) var reports = 0
  private(set) var heard: [Int16] = []
  private var frame = [Int16](repeating: 0, count: 960)

  init() throws { receiver = try AudioReceiver(codecs: [.opus], sampleRate: 48_000, seed: 1) }

  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) {
    guard let header = try? RTPHeader(parsing: packet) else { return }
    headers.append(header)
    if let element = header.extensionElement(1, in: packet.bytes), let at = element.first {
      levels.append(AudioLevel(byte: packet[at]))
    }
    receiver.insert(
      UnsafeRawBufferPointer(rebasing: packet[header.payload]), codec: .opus, sequence: header.sequence,
      timestamp: header.timestamp, now: now)
  }

  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {
    if let packets = try? RTCPCompound.parse(packet),
      packets.contains(where: { if case .senderReport = $0 { true } else { false } })
    {
      reports += 1
    }
  }

  func play(now: Instant) {
    _ = frame.withUnsafeMutableBufferPointer { receiver.pull($0, now: now) }
    heard += frame
  }
}

/// A room with phones on legs and browsers, under a virtual clock. Legs and mixer tick at different phases, as on
/// different workers.
final class Conference {
  let mixer: ConferenceMixer
  private(set) var peers: [Peer] = []
  private(set) var phones: [ConferencePhone] = []
  private(set) var ears: [TrackEar] = []
  private(set) var microphones: [Microphone] = []
  private(set) var now = Instant.zero
  private var steps = 0

  init(_ configuration: ConferenceMixer.Configuration = .init()) {
    mixer = ConferenceMixer(configuration: configuration, seed: 3)
  }

  @discardableResult
  func addPhone(_ peer: Peer, tone: Double? = nil) throws -> ConferencePhone {
    if let tone { peer.voice = Sound.sine(tone, rate: peer.rate, peak: 5_000) }
    let port = ConferencePort(for: try #require(peer.leg.negotiated))
    try peer.leg.setSource(.conference(port), now: now)
    let phone = try mixer.addPhone(port)
    let ear = try TrackEar()
    let track = try VoiceTrack(
      sampleRate: port.sampleRate, ssrc: SSRC(UInt32(900 + peers.count)), cname: "phone", firstSequence: 1,
      firstTimestamp: 1, seed: 1, now: now, wall: WallTime(milliseconds: 1_700_000_000_000))
    track.receiver = ear
    phone.track = track
    peers.append(peer)
    phones.append(phone)
    ears.append(ear)
    return phone
  }

  @discardableResult
  func addMicrophone(
    tone: Double?, jitter: Duration = .zero, loss: Double = 0, peak: Double = 5_000
  ) throws -> Microphone {
    let microphone = try Microphone(
      mixer.addTrack(levelExtension: 1), id: UInt32(microphones.count),
      voice: tone.map { Sound.sine($0, rate: 48_000, peak: peak) }, jitter: jitter, loss: loss)
    microphones.append(microphone)
    return microphone
  }

  func run(_ duration: Duration, each: (() throws -> Void)? = nil) rethrows {
    let end = now + duration
    while now < end {
      now = now + .milliseconds(5)
      steps += 1
      if steps % 4 == 1 { for microphone in microphones { microphone.talk(now: now) } }
      for microphone in microphones { microphone.deliver(now: now) }
      for peer in peers { peer.advance(to: now) }
      if steps % 4 == 0 { for peer in peers { peer.leg.tick(now: now) } }
      if steps % 4 == 2 {
        mixer.tick(now: now)
        for ear in ears { ear.play(now: now) }
        try each?()
      }
    }
  }

  /// What a phone heard in the last seconds.
  func heard(by index: Int, seconds: Double = 1) throws -> [Int16] {
    try peers[index].audio(lastSeconds: seconds, now: now)
  }
}
