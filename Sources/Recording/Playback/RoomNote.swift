package import Core

/// What a room's spool says of the room beside its tracks.
package enum RoomNote: Hashable, Sendable {
  /// Identities of those who speak from now on, the loudest first.
  case speakers([String])
  case layout(RenderPlan.Layout)

  /// Identities hold anything but line breaks; those are dropped.
  package var event: SpoolEvent {
    switch self {
    case .speakers(let identities):
      .note("speakers:" + identities.map { String($0.filter { !$0.isNewline }) }.joined(separator: "\n"))
    case .layout(let layout): .note("layout:" + layout.rawValue)
    }
  }

  package init?(_ event: SpoolEvent) {
    guard case .note(let text) = event else { return nil }
    if text.hasPrefix("speakers:") {
      self = .speakers(text.dropFirst(9).split(separator: "\n").map(String.init))
    } else if text.hasPrefix("layout:"), let layout = RenderPlan.Layout(rawValue: String(text.dropFirst(7))) {
      self = .layout(layout)
    } else {
      return nil
    }
  }
}
