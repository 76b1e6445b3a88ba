/// Which way media flows, from the viewpoint of the description's author (RFC 8866 §6.7).
package enum Direction: String, Hashable, Sendable, CaseIterable {
  case sendrecv, sendonly, recvonly, inactive

  package init(sends: Bool, receives: Bool) {
    self = sends ? (receives ? .sendrecv : .sendonly) : (receives ? .recvonly : .inactive)
  }

  package var sends: Bool { self == .sendrecv || self == .sendonly }
  package var receives: Bool { self == .sendrecv || self == .recvonly }

  /// The same flow seen from the other side.
  package var reversed: Direction { Direction(sends: receives, receives: sends) }

  /// What both allow, seen from the same side.
  package func intersected(with other: Direction) -> Direction {
    Direction(sends: sends && other.sends, receives: receives && other.receives)
  }
}
