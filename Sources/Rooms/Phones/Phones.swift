import Audio
import Core
import LiveKitProtocol
import Logging
import SFU
import SwiftProtobuf

/// All phones in rooms. Each is an ordinary participant of kind SIP without a client. Confined to the signalling loop.
final class Phones {
  private unowned let core: RoomCore
  private var sessions: [SeatID: PhoneSession] = [:]

  init(_ core: RoomCore) { self.core = core }

  private var context: RoomContext { core.context }
  var count: Int { sessions.count }

  func standing(of name: String) -> RoomStanding {
    let configuration = context.configuration
    guard let room = core.room(name) else {
      let hasRoom = configuration.maximumRooms == 0 || core.allRooms.count < configuration.maximumRooms
      return RoomStanding(isOpen: configuration.autoCreate && hasRoom && !core.isDraining)
    }
    let visible = room.present.filter { !$0.isHidden && $0.holdsRoom }
    return RoomStanding(
      exists: true, isOpen: !core.isDraining, participants: visible.count, isFull: room.isFull,
      isLocked: room.isLocked, hasHost: room.present.contains(where: \.isHost), isRecorded: room.info.activeRecording)
  }

  func enter(
    _ entry: PhoneEntry, _ onEvent: @escaping (SeatID, SeatEvent) -> Void
  ) throws(EntryRefusal) -> PhoneSeat {
    let before = standing(of: entry.room)
    if core.isDraining { throw .shuttingDown }
    if !before.exists, !context.configuration.autoCreate { throw .noRoom }
    if before.isLocked, !entry.isHost { throw .locked }
    if before.isFull { throw .full }
    let identity = entry.replaces ? entry.identity : free(entry.identity, in: core.room(entry.room))
    var claims = AccessClaims(identity: identity)
    claims.name = entry.name
    claims.kind = .sip
    claims.metadata = entry.metadata
    claims.attributes = entry.attributes
    claims.video.roomJoin = true
    claims.video.room = entry.room
    claims.video.roomAdmin = entry.isHost
    claims.roomConfiguration = try? Livekit_RoomConfiguration(serializedBytes: entry.roomConfiguration)
    var join = JoinRequest(claims: claims, clientInfo: Livekit_ClientInfo(), remote: IPAddress(v4: 0x7F00_0001))
    join.endpoint = .phone
    join.isSinglePeerConnection = true
    join.autoSubscribe = false
    join.protocolVersion = 17
    let session = PhoneSession(
      id: SeatID(rawValue: context.nextID()), peer: PeerID(rawValue: context.nextID()), isHost: entry.isHost,
      onEvent: onEvent
    ) { [weak self] in self?.sessions[$0.id] = nil }
    session.startsMuted = entry.isMuted
    do {
      _ = try core.join(join, sink: session)
    } catch {
      throw error.status == 503 ? .full : .refused(error.text)
    }
    guard let participant = core.room(entry.room)?.participant(identity) else { throw .refused("not admitted") }
    sessions[session.id] = session
    session.participant = participant
    participant.phone = session
    session.recorded(participant.room.info.activeRecording)
    participant.activatePhone()
    return PhoneSeat(id: session.id, identity: identity, participantSID: participant.sid)
  }

  /// Two phones of one number are two participants.
  private func free(_ identity: String, in room: Room?) -> String {
    guard let room, room.participant(identity) != nil else { return identity }
    var number = 2
    while room.participant("\(identity)-\(number)") != nil { number += 1 }
    return "\(identity)-\(number)"
  }

  func find(_ seat: SeatID) -> PhoneSession? { sessions[seat] }

  func connect(_ seat: SeatID, _ port: PhonePort) {
    guard let session = sessions[seat], let participant = session.participant else { return }
    session.connect(participant, port: port)
  }

  func setAttributes(_ seat: SeatID, _ attributes: [String: String]) {
    _ = sessions[seat]?.participant?.change(name: "", metadata: "", attributes: attributes)
  }

  func say(_ clip: AudioClip, to seat: SeatID) {
    guard let session = sessions[seat], let participant = session.participant else { return }
    participant.order(.announce(nextAnnouncement(), room: participant.room.mediaID, clip, to: [session.peer]))
  }

  func announce(_ clip: AudioClip, from seat: SeatID) {
    guard let participant = sessions[seat]?.participant else { return }
    let others = participant.room.present.compactMap { $0 === participant ? nil : $0.phone?.peer }
    guard !others.isEmpty else { return }
    participant.order(.announce(nextAnnouncement(), room: participant.room.mediaID, clip, to: others))
  }

  /// The worker cannot have the phone in the mix.
  func failed(_ peer: PeerID, _ reason: String) {
    guard let participant = sessions.values.first(where: { $0.peer == peer })?.participant else { return }
    context.logger.error(
      "a phone has no media", metadata: participant.loggerMetadata.merging(["reason": "\(reason)"]) { $1 })
    participant.leave(.mediaFailure, action: .disconnect)
  }

  private func nextAnnouncement() -> AnnouncementID { AnnouncementID(rawValue: context.nextID()) }

  // MARK: Hosts

  func perform(_ command: HostCommand, by seat: SeatID) -> Bool {
    guard let session = sessions[seat], session.isHost, let host = session.participant else { return false }
    let room = host.room
    switch command {
    case .lock: room.isLocked = true
    case .unlock: room.isLocked = false
    case .muteAll: for other in room.present where other !== host && !other.isHost { setMuted(other, true) }
    case .unmuteAll:
      for other in room.present where other.phone?.isModerated ?? context.configuration.enableRemoteUnmute {
        setMuted(other, false)
      }
    case .record, .stopRecording: return context.dependencies.onHostRecording(room.name, command == .record)
    case .end: room.close(.roomDeleted)
    }
    context.logger.info("host's command", metadata: host.loggerMetadata.merging(["command": "\(command)"]) { $1 })
    return true
  }

  private func setMuted(_ participant: Participant, _ muted: Bool) {
    for track in participant.publishing.tracks where track.info.source == .microphone && track.info.muted != muted {
      participant.publishing.setMuted(track, muted)
      var mute = Livekit_MuteTrackRequest()
      mute.sid = track.sid
      mute.muted = muted
      participant.send(.mute(mute))
    }
  }
}

extension Participant {
  /// A moderator: by its token, or by the host's PIN.
  var isHost: Bool { claims.video.roomAdmin }

  /// A phone has no connection that would have to come up first.
  func activatePhone() {
    wasActive = true
    joinTimer = nil
    state = .active
    changed()
    room.becameActive(self)
  }
}

extension Publishing {
  /// A phone's microphone: there is nothing to negotiate.
  func addMicrophone(muted: Bool) -> PublishedTrack {
    let context = participant.context
    var request = Livekit_AddTrackRequest()
    request.type = .audio
    request.source = .microphone
    request.name = "phone"
    request.muted = muted
    request.disableRed = true
    let sid = context.makeSID(.track, TrackDescription.sidDetail(.audio, .microphone))
    var info = TrackDescription.info(of: request, sid: sid)
    var codec = Livekit_SimulcastCodecInfo()
    codec.mimeType = "audio/opus"
    info.codecs = [codec]
    let track = PublishedTrack(
      publisher: participant, producer: ProducerID(rawValue: context.nextID()), info: info, cids: [])
    track.parameters = PhoneTrack.parameters
    track.stage = .negotiated
    adopt(track)
    return track
  }
}

/// What phones' tracks are to the router and to subscribers.
enum PhoneTrack {
  static let payloadType = PayloadType(111)

  static var parameters: ProducerParameters {
    ProducerParameters(
      kind: .audio, mid: "",
      codecs: [
        CodecParameters(codec: .opus, payloadType: payloadType, formatParameters: "minptime=10;useinbandfec=1")
      ],
      extensions: HeaderExtensionMap(), encodings: [EncodingParameters()])
  }
}
