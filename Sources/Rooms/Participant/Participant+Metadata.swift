import LiveKitProtocol

// Name, metadata and attributes.
extension Participant {
  /// The participant's own request.
  func updateMetadata(_ update: Livekit_UpdateParticipantMetadata) {
    func answer(_ reason: Livekit_RequestResponse.Reason, _ message: String) {
      respond(update.requestID, reason, message) { $0.request = .updateMetadata(update) }
    }
    guard permission.canUpdateMetadata else {
      answer(.notAllowed, "does not have permission to update own metadata")
      return
    }
    // The whole is sent each time: js leaves empty what it does not change.
    switch change(name: update.name, metadata: update.metadata, attributes: update.attributes) {
    case nil: answer(.ok, "")
    case let problem?: answer(.limitExceeded, problem)
    }
  }

  /// Sets what is not empty; attributes with empty values go. Returns what is wrong, and then changes nothing.
  func change(name: String, metadata: String, attributes: [String: String]) -> String? {
    var merged = self.attributes
    for (key, value) in attributes { merged[key] = value.isEmpty ? nil : value }
    if name.count > context.configuration.maximumNameLength { return "name exceeds limits" }
    if metadata.utf8.count > context.configuration.maximumMetadata { return "metadata exceeds limits" }
    if merged.reduce(0, { $0 + $1.key.utf8.count + $1.value.utf8.count }) > context.configuration.maximumAttributes {
      return "attributes exceed limits"
    }
    let before = (self.name, self.metadata, self.attributes)
    if !name.isEmpty { self.name = name }
    if !metadata.isEmpty { self.metadata = metadata }
    self.attributes = merged
    if before != (self.name, self.metadata, self.attributes) { changed(tellsItself: true) }
    return nil
  }

  /// Replaces the permissions whole.
  func change(permission new: Livekit_ParticipantPermission) {
    guard new != permission else { return }
    let old = permission
    permission = new
    if old.hidden != new.hidden {
      // Others have to forget or to learn of it.
      room.hiddenChanged(self)
    }
    changed(tellsItself: true)
    publishing.permissionChanged()
    if old.hidden != new.hidden { room.permissionsChanged(of: self) }
    if old.canSubscribe != new.canSubscribe { subscribing.reconcileAll() }
    refreshToken()
  }
}
