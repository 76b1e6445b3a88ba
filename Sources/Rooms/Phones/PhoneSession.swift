import Core
import LiveKitProtocol
import SFU

/// One phone in one room: to its participant it is a signalling connection on which the server alone speaks. Confined to
/// the signalling loop.
final class PhoneSession: SignalSink, @unchecked Sendable {
  // @unchecked: the room calls its sinks on its own loop only, where everything else here happens too.
  let id: SeatID
  /// The phone's peer on the room's media worker.
  let peer: PeerID
  let isHost: Bool
  /// The room keeps the participant.
  weak var participant: Participant?
  private(set) var track: PublishedTrack?
  private let onEvent: (SeatID, SeatEvent) -> Void
  private let onEnd: (PhoneSession) -> Void
  private var isConnected = false
  private var isEnded = false
  private var isRecorded = false
  /// A moderator switched the microphone off.
  private(set) var isModerated = false

  init(
    id: SeatID, peer: PeerID, isHost: Bool, onEvent: @escaping (SeatID, SeatEvent) -> Void,
    onEnd: @escaping (PhoneSession) -> Void
  ) {
    self.id = id
    self.peer = peer
    self.isHost = isHost
    self.onEvent = onEvent
    self.onEnd = onEnd
  }

  // MARK: From the phone

  /// Joins the phone's audio with the room's.
  func connect(_ participant: Participant, port: PhonePort) {
    guard !isConnected, participant.isPresent else { return }
    isConnected = true
    let track = participant.publishing.addMicrophone(muted: isModerated || startsMuted)
    self.track = track
    participant.order(.openPhone(peer, room: participant.room.mediaID, producer: track.producer, port: port))
    if track.info.muted { participant.order(.setPhoneMuted(peer, true)) }
    participant.publishing.start(track)
  }

  var startsMuted = false

  /// Its own wish; false where it may not speak.
  func setMuted(_ muted: Bool) -> Bool {
    guard let participant, let track else { return false }
    guard muted || participant.permission.allows(.microphone) else { return false }
    isModerated = false
    participant.publishing.setMuted(track, muted)
    return true
  }

  /// A key for the participants' data channels.
  func publish(digit: Character) {
    guard let participant, participant.permission.canPublishData, let code = PhoneKeys.code(of: digit) else { return }
    var packet = Livekit_DataPacket()
    packet.kind = .reliable
    packet.sipDtmf.code = code
    packet.sipDtmf.digit = String(digit)
    participant.room.data.send(packet, from: participant)
  }

  /// It hung up.
  func leave(_ departure: SeatDeparture) {
    guard !isEnded, let participant else { return }
    isEnded = true
    onEnd(self)
    let reason: Livekit_DisconnectReason =
      switch departure {
      case .hungUp: .clientInitiated
      case .unavailable: .userUnavailable
      case .rejected: .userRejected
      case .trunkFailure: .sipTrunkFailure
      }
    participant.leave(reason, action: .disconnect)
  }

  // MARK: From the room

  /// Keys that a participant pressed. Those of other phones are meant for whoever listens, unless they name this one.
  func receive(_ dtmf: Livekit_SipDTMF, from sender: Participant?, isAddressed: Bool) {
    guard isAddressed || sender?.phone == nil else { return }
    let digits = PhoneKeys.keys(of: dtmf)
    if !digits.isEmpty { onEvent(id, .digits(digits)) }
  }

  /// Its participant may no longer speak: that is a muted microphone, as its line goes on.
  func silence(_ track: PublishedTrack) {
    guard let participant, !track.info.muted else { return }
    isModerated = true
    participant.publishing.setMuted(track, true)
    onEvent(id, .muted(true))
  }

  func send(_ response: Livekit_SignalResponse) {
    guard !isEnded else { return }
    switch response.message {
    case .mute(let mute) where mute.sid == track?.sid:
      isModerated = mute.muted
      onEvent(id, .muted(mute.muted))
    case .roomUpdate(let update): recorded(update.room.activeRecording)
    case .leave(let leave): end(leave.reason)
    // Whatever else the room tells: there is nobody to read it.
    default: break
    }
  }

  func recorded(_ isRecorded: Bool) {
    guard self.isRecorded != isRecorded else { return }
    self.isRecorded = isRecorded
    onEvent(id, .recording(isRecorded))
  }

  func close(_ code: SignalClose) { end(.unknownReason) }

  private func end(_ reason: Livekit_DisconnectReason) {
    guard !isEnded else { return }
    isEnded = true
    onEnd(self)
    switch reason {
    case .roomDeleted, .roomClosed: onEvent(id, .roomEnded)
    case .participantRemoved: onEvent(id, .removed("removed from the room"))
    case .duplicateIdentity: onEvent(id, .removed("another participant took its identity"))
    case .serverShutdown: onEvent(id, .removed("the server is shutting down"))
    default: onEvent(id, .removed("the room let it go"))
    }
  }

  /// The participant has ended.
  func closeMedia() {
    guard isConnected, let participant else { return }
    isConnected = false
    participant.order(.closePhone(peer))
  }
}

/// Keys of a telephone and the event codes of RFC 4733 §3.2.
enum PhoneKeys {
  private static let all: [Character] = Array("0123456789*#ABCD")

  static func code(of key: Character) -> UInt32? { all.firstIndex(of: key).map { UInt32($0) } }

  /// The text where there is one, else the code. At most 32 keys of one packet.
  static func keys(of dtmf: Livekit_SipDTMF) -> String {
    let text = dtmf.digit.uppercased().filter { all.contains($0) || $0 == "W" }
    if !text.isEmpty { return String(text.prefix(32)) }
    guard dtmf.digit.isEmpty, dtmf.code < UInt32(all.count) else { return "" }
    return String(all[Int(dtmf.code)])
  }
}
