import LiveKitProtocol

/// Who may subscribe to a participant's tracks, as the participant itself decides.
struct SubscriptionPermissions {
  private struct Entry {
    var allTracks: Bool
    var tracks: Set<String>
  }

  private var allParticipants = true
  private var bySID: [String: Entry] = [:]
  private var byIdentity: [String: Entry] = [:]

  mutating func update(_ request: Livekit_SubscriptionPermission) {
    allParticipants = request.allParticipants
    bySID = [:]
    byIdentity = [:]
    for permission in request.trackPermissions.prefix(10_000) {
      let entry = Entry(allTracks: permission.allTracks, tracks: Set(permission.trackSids))
      if !permission.participantIdentity.isEmpty {
        byIdentity[permission.participantIdentity] = entry
      } else if !permission.participantSid.isEmpty {
        bySID[permission.participantSid] = entry
      }
    }
  }

  func allows(identity: String, sid: String, track: String) -> Bool {
    if allParticipants { return true }
    guard let entry = byIdentity[identity] ?? bySID[sid] else { return false }
    return entry.allTracks || entry.tracks.contains(track)
  }
}
