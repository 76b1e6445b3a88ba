// Phones in rooms.
extension RoomMedia {
  func runPhones(_ command: RoomMediaCommand) {
    if case .openPhone(let id, _, _, _) = command { report(.phoneFailed(id, "this build mixes no audio")) }
  }
}
