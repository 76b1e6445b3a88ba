import Core
import LiveKitProtocol
import Recording
import Rooms
import SFU
import Synchronization

/// Writes a room's tracks into one spool, a stream a track, with what has to be known to render them.
final class SpoolRecorder: RoomRecorder {
  private struct State {
    var streams: [String: UInt16] = [:]
    var speaking: [String] = []
  }

  let spool: Spool
  private let state = Mutex(State())
  private let onEnd: @Sendable (RecordingEnd) -> Void

  /// Bytes of a ring: a second of the largest pictures, a minute of sound.
  private static let videoRing = 4 << 20
  private static let audioRing = 256 << 10

  init(spool: Spool, onEnd: @escaping @Sendable (RecordingEnd) -> Void) {
    self.spool = spool
    self.onEnd = onEnd
  }

  func add(_ track: RecordedTrack) -> (any PacketTap & Sendable)? {
    let capacity = track.kind == .video ? Self.videoRing : Self.audioRing
    let now = Instant.now()
    guard let (id, ring) = spool.addStream(stream(of: track), at: now, capacity: capacity) else { return nil }
    state.withLock { $0.streams[track.sid] = id }
    if track.isMuted { spool.note(.mute, stream: id, at: now) }
    return ring
  }

  func update(_ track: RecordedTrack) {
    if let id = id(track.sid) { spool.update(id, stream(of: track), at: .now()) }
  }

  func setMuted(_ sid: String, _ muted: Bool) {
    if let id = id(sid) { spool.note(muted ? .mute : .unmute, stream: id, at: .now()) }
  }

  func remove(_ sid: String) {
    if let id = state.withLock({ $0.streams.removeValue(forKey: sid) }) { spool.endStream(id, at: .now()) }
  }

  func speak(_ identities: [String]) {
    let isNew = state.withLock { state in
      defer { state.speaking = identities }
      return state.speaking != identities
    }
    if isNew { spool.note(RoomNote.speakers(identities).event, at: .now()) }
  }

  func ended(_ reason: RecordingEnd) { onEnd(reason) }

  private func id(_ sid: String) -> UInt16? { state.withLock { $0.streams[sid] } }

  private func stream(of track: RecordedTrack) -> SpoolStream {
    var codecs: [PayloadType: SpoolStream.Codec] = [:]
    for codec in track.codecs {
      codecs[codec.payloadType] = SpoolStream.Codec(
        name: codec.codec.rawValue, clockRate: codec.codec.clockRate, channels: codec.codec.kind == .audio ? 2 : 1,
        parameters: codec.formatParameters)
    }
    return SpoolStream(
      name: track.identity, media: track.kind == .video ? .video : .audio, codecs: codecs, clock: track.participantSID,
      attributes: ["sid": track.sid, "source": "\(track.source.name)", "name": track.participantName])
  }
}

extension Livekit_TrackSource {
  /// As in paths and in spools.
  var name: String {
    switch self {
    case .camera: "camera"
    case .microphone: "microphone"
    case .screenShare: "screen_share"
    case .screenShareAudio: "screen_share_audio"
    case .unknown, .UNRECOGNIZED: "unknown"
    }
  }
}
