package import Audio
package import Core
import RTP

/// A phone's voice as others receive it: Opus in RTP with audio levels (RFC 6464), and sender reports. Encodes only while
/// somebody wants it. Used on one media worker.
package final class VoiceTrack {
  /// Of the packets.
  package static let payloadType = PayloadType(111)
  /// The identifier of the level's header extension.
  package static let levelExtension: UInt8 = 1

  package let ssrc: SSRC
  /// Takes packets and reports as if a network had brought them.
  package var receiver: (any PacketReceiver)?
  /// Whether anybody takes packets. Asked once a frame.
  package var isWanted: () -> Bool = { true }
  /// Told the level of frames that nobody wanted: 0 loudest … 127 silent.
  package var onLevel: ((UInt8) -> Void)?
  package private(set) var framesEncoded = 0

  private let encoder: FrameEncoder
  private var output: OutputSequence
  private var reporter: RTCPReporter
  private let startedAt: Instant
  private let startedAtWall: WallTime
  // Owned: one packet.
  private let packet: UnsafeMutableRawBufferPointer
  private var silentFrames = 0

  /// 12 bytes of header, 4 of the extension's, the level padded to 4.
  private static let headerLength = 20
  private static let frameUnits: UInt32 = 960
  /// After 0.4 s without a sound a frame in 20 is sent, as with discontinuous transmission.
  private static let patience = 20
  /// −dBov: quieter than that is no sound.
  private static let silence: UInt8 = 72

  /// - Parameters:
  ///   - sampleRate: Of the frames: 8,000, 16,000 or 48,000 Hz.
  ///   - firstSequence: Random; with `firstTimestamp` and `seed`.
  package init(
    sampleRate: Int, ssrc: SSRC, cname: String, complexity: Int = 5, firstSequence: UInt16, firstTimestamp: UInt32,
    seed: UInt64, now: Instant, wall: WallTime
  ) throws(AudioError) {
    var parameters = OpusParameters()
    parameters.complexity = complexity
    encoder = try FrameEncoder(.opus, sampleRate: sampleRate, parameters: parameters)
    self.ssrc = ssrc
    output = OutputSequence(
      ssrc: ssrc, firstSequence: firstSequence, firstTimestamp: firstTimestamp, clockRate: 48_000)
    // Reports from the start: recordings want the relation of the clocks.
    reporter = RTCPReporter(
      ssrc: ssrc, cname: cname, clockRate: 48_000, interval: .seconds(2), seed: seed, now: now)
    startedAt = now
    startedAtWall = wall
    packet = .allocate(byteCount: Self.headerLength + 1_280, alignment: 8)
  }

  deinit { packet.deallocate() }

  /// Takes the next 20 ms, of that level.
  func send(_ frame: Samples, attenuation: UInt8, now: Instant) {
    defer { report(now) }
    guard receiver != nil, isWanted() else {
      output.skip(duration: Self.frameUnits)
      onLevel?(attenuation)
      return
    }
    silentFrames = attenuation >= Self.silence ? silentFrames + 1 : 0
    if silentFrames > Self.patience, silentFrames % Self.patience != 0 {
      output.skip(duration: Self.frameUnits)
      return
    }
    let room = UnsafeMutableRawBufferPointer(rebasing: packet[Self.headerLength...])
    let length = encoder.encode(frame, into: UnsafeMutableRawBufferPointer(rebasing: room[..<1_276]))
    framesEncoded &+= 1
    guard length > 0 else {
      output.skip(duration: Self.frameUnits)
      return
    }
    let stamp = output.next(duration: Self.frameUnits, now: now)
    RTPHeader(
      payloadType: Self.payloadType, sequence: stamp.sequence, timestamp: stamp.timestamp, ssrc: ssrc,
      marker: stamp.marker
    ).write(into: packet)
    // RFC 8285 §4.2: one element of one byte, padded to a word.
    packet[0] |= 0x10
    packet[12] = 0xBE
    packet[13] = 0xDE
    packet[14] = 0
    packet[15] = 1
    packet[16] = Self.levelExtension << 4
    // RFC 6464 §3: the first bit says voice.
    packet[17] = min(attenuation, 127) | (attenuation < Self.silence ? 0x80 : 0)
    packet[18] = 0
    packet[19] = 0
    reporter.sent(timestamp: stamp.timestamp, payloadOctets: length, now: now)
    receiver?.receive(rtp: UnsafeRawBufferPointer(rebasing: packet[..<(Self.headerLength + length)]), now: now)
  }

  /// 20 ms pass in which the phone is muted.
  func skip(now: Instant) {
    output.skip(duration: Self.frameUnits)
    report(now)
  }

  private func report(_ now: Instant) {
    guard now >= reporter.nextDeadline else { return }
    let wall = WallTime(
      milliseconds: startedAtWall.milliseconds &+ (now - startedAt).nanoseconds / 1_000_000)
    let report = reporter.makeReport(now: now, wall: wall)
    guard let receiver, isWanted() else { return }
    report.withUnsafeBytes { receiver.receive(rtcp: $0, now: now) }
  }
}
