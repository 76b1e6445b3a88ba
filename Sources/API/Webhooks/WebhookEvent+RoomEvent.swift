import Core
import LiveKitProtocol
import Rooms
import Store
import SwiftProtobuf

extension Livekit_WebhookEvent {
  /// Nil for what is no webhook.
  init?(_ event: RoomEvent, id: String, at now: WallTime) {
    self.init()
    self.id = id
    createdAt = now.milliseconds / 1000
    switch event {
    case .roomStarted(let room):
      self.event = "room_started"
      self.room = room
    case .roomFinished(let room):
      self.event = "room_finished"
      self.room = room
    case .participantJoined(let room, let participant):
      self.event = "participant_joined"
      self.room = room
      self.participant = participant
    case .participantLeft(let room, let participant):
      self.event = "participant_left"
      self.room = room
      self.participant = participant
    case .participantConnectionAborted(let room, let participant):
      self.event = "participant_connection_aborted"
      self.room = room
      self.participant = participant
    case .trackPublished(let room, let participant, let track):
      self.event = "track_published"
      self.room = room
      self.participant = participant
      self.track = track
    case .trackUnpublished(let room, let participant, let track):
      self.event = "track_unpublished"
      self.room = room
      self.participant = participant
      self.track = track
    case .egressStarted(let info):
      self.event = "egress_started"
      egressInfo = info
    case .egressUpdated(let info):
      self.event = "egress_updated"
      egressInfo = info
    case .egressEnded(let info):
      self.event = "egress_ended"
      egressInfo = info
    case .egressWanted: return nil
    }
  }

  /// As it is stored and sent: protobuf JSON, the same bytes in every attempt.
  func record(at now: WallTime) throws -> WebhookRecord {
    WebhookRecord(
      id: id, room: hasEgressInfo ? egressInfo.roomName : room.name, event: event, body: try jsonString(),
      createdAt: now)
  }
}
