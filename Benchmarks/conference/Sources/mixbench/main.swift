import Audio
import Bridge
import Core
import Glibc
import RTP

/// CPU time of this thread in seconds.
func cpu() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

final class Count: PacketTransport, PacketReceiver {
  var packets = 0
  func send(rtp packet: UnsafeRawBufferPointer) { packets += 1 }
  func send(rtcp packet: UnsafeRawBufferPointer) {}
  func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) { packets += 1 }
  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {}
}

/// Packets of one far end, encoded before the clock runs: four seconds that come again and again.
struct Recording {
  let codec: AudioCodec
  let type: PayloadType
  let payloads: [[UInt8]]
  let level: UInt8

  init(_ codec: AudioCodec, peak: Double, seed: UInt64) throws {
    self.codec = codec
    type = codec.staticPayloadType ?? PayloadType(111)
    var random = SeededRandom(seed: seed)
    let leg = MediaLeg(ssrc: SSRC(1), cname: "x", firstSequence: 1, firstTimestamp: 1, seed: 1, now: .zero)
    final class Keep: PacketTransport {
      var payloads: [[UInt8]] = []
      func send(rtp packet: UnsafeRawBufferPointer) {
        if let header = try? RTPHeader(parsing: packet) { payloads.append(Array(packet[header.payload])) }
      }
      func send(rtcp packet: UnsafeRawBufferPointer) {}
    }
    let keep = Keep()
    leg.transport = keep
    try leg.configure(
      NegotiatedAudio(codec: codec, payloadType: type, receivePayloadTypes: [type: codec]), now: .zero)
    let rate = codec.nativeSampleRate
    var samples: [Int16] = []
    var phase = 0.0
    for n in 0..<(4 * rate) {
      // Syllables of a gliding hum with harmonics, and a little noise.
      let t = Double(n) / Double(rate)
      phase += (110 + 40 * sin(t * 3)) / Double(rate)
      var sum = 0.0
      for k in 1...8 { sum += sin(2 * .pi * phase * Double(k)) / Double(k) }
      let syllable = max(0, sin(2 * .pi * 2.5 * t))
      let noise = Double.random(in: -12...12, using: &random)
      samples.append(Int16(max(-32_000, min(32_000, sum * syllable * peak + noise))))
    }
    try leg.setSource(.clip(AudioClip(sampleRate: rate, samples: samples), loops: true), now: .zero)
    for tick in 0..<200 { leg.tick(now: .zero + .milliseconds(Int64(tick) * 20)) }
    payloads = keep.payloads
    level = peak > 100 ? 20 : 66
  }
}

/// A far end that plays a recording.
struct FarEnd {
  let recording: Recording
  let levelExtension: Bool
  private var packet: [UInt8]
  private var index: Int
  private var sequence: UInt16 = 1
  private var timestamp: UInt32 = 1
  private let ssrc: SSRC

  init(_ recording: Recording, id: Int, levelExtension: Bool = false) {
    self.recording = recording
    self.levelExtension = levelExtension
    packet = [UInt8](repeating: 0, count: 1_500)
    index = id * 17
    ssrc = SSRC(UInt32(1_000 + id))
  }

  mutating func next(_ body: (UnsafeRawBufferPointer) -> Void) {
    let payload = recording.payloads[index % recording.payloads.count]
    index += 1
    sequence &+= 1
    timestamp &+= UInt32(recording.codec.clockRate / 50)
    let header = RTPHeader(
      payloadType: recording.type, sequence: sequence, timestamp: timestamp, ssrc: ssrc, marker: false)
    packet.withUnsafeMutableBytes { room in
      header.write(into: room)
      var length = 12
      if levelExtension {
        room[0] |= 0x10
        for (at, byte) in [0xBE, 0xDE, 0, 1, 0x10, recording.level, 0, 0].enumerated() { room[12 + at] = byte }
        length = 20
      }
      payload.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: room[length...]).copyMemory(from: $0) }
      body(UnsafeRawBufferPointer(rebasing: room[..<(length + payload.count)]))
    }
  }
}

func run(phones: Int, browsers: Int, talkers: Int, codec: AudioCodec, wanted: Bool, seconds: Int) throws {
  let speech = try Recording(codec, peak: 3_000, seed: 1)
  let noise = try Recording(codec, peak: 0, seed: 2)
  let browserSpeech = try Recording(.opus, peak: 3_000, seed: 3)
  let mixer = ConferenceMixer(seed: 1)
  let sink = Count()
  let heard = Count()
  var legs: [MediaLeg] = []
  var farEnds: [FarEnd] = []
  for id in 0..<phones {
    let leg = MediaLeg(
      ssrc: SSRC(UInt32(id + 1)), cname: "p", firstSequence: 1, firstTimestamp: 1, seed: UInt64(id), now: .zero)
    leg.transport = sink
    let type = codec.staticPayloadType ?? PayloadType(111)
    let audio = NegotiatedAudio(codec: codec, payloadType: type, receivePayloadTypes: [type: codec])
    try leg.configure(audio, now: .zero)
    let port = ConferencePort(for: audio)
    try leg.setSource(.conference(port), now: .zero)
    let phone = try mixer.addPhone(port)
    let track = try VoiceTrack(
      sampleRate: port.sampleRate, ssrc: SSRC(UInt32(id + 5_000)), cname: "p", firstSequence: 1, firstTimestamp: 1,
      seed: 1, now: .zero, wall: WallTime(milliseconds: 1_700_000_000_000))
    track.receiver = heard
    track.isWanted = { wanted }
    phone.track = track
    legs.append(leg)
    farEnds.append(FarEnd(id < talkers ? speech : noise, id: id))
  }
  var microphones = (0..<browsers).map { FarEnd(browserSpeech, id: 500 + $0, levelExtension: true) }
  let tracks = (0..<browsers).map { _ in mixer.addTrack(levelExtension: 1) }

  var (legTime, mixTime) = (0.0, 0.0)
  for tick in 0..<(seconds * 50 + 50) {
    let now = Instant.zero + .milliseconds(Int64(tick) * 20)
    if tick == 50 { (legTime, mixTime) = (0, 0) }
    let start = cpu()
    for id in legs.indices {
      farEnds[id].next { legs[id].receive(rtp: $0, now: now) }
      legs[id].tick(now: now + .milliseconds(5))
    }
    let middle = cpu()
    for id in microphones.indices { microphones[id].next { tracks[id].receive(rtp: $0, now: now) } }
    mixer.tick(now: now + .milliseconds(10))
    legTime += middle - start
    mixTime += cpu() - middle
  }
  func shown(_ value: Double) -> String {
    let text = String(Int((value * 1_000).rounded()))
    let padded = String(repeating: "0", count: max(0, 4 - text.count)) + text
    return padded.dropLast(3) + "." + padded.suffix(3)
  }
  let count = Double(phones * seconds)
  print(
    "\(codec.rawValue)\t\(phones) phones\t\(talkers) talk\t\(browsers) browsers\ttracks \(wanted ? "taken" : "unused")\t"
      + "leg \(shown(legTime * 1_000 / count)) + room \(shown(mixTime * 1_000 / count)) = "
      + "\(shown((legTime + mixTime) * 1_000 / count)) ms CPU a phone-second; mixed \(mixer.talkerCount), "
      + "track packets \(heard.packets)")
  fflush(nil)
}

for codec in [AudioCodec.pcmu, .g722, .opus] {
  for phones in [1, 10, 100] {
    for wanted in [false, true] {
      try run(
        phones: phones, browsers: 2, talkers: min(2, phones), codec: codec, wanted: wanted,
        seconds: phones == 100 ? 5 : 20)
    }
  }
}
