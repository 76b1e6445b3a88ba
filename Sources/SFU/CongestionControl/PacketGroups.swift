import Core

/// How one group of packets travelled against the group before it, in milliseconds.
struct GroupDelta: Hashable, Sendable {
  /// Between the last packets' departures.
  var sent: Double
  /// Between the last packets' arrivals.
  var arrived: Double
  /// The later group's last arrival.
  var arrival: Instant
  /// d(i) of draft-ietf-rmcat-gcc-02 §5.1: positive when a queue grew.
  var variation: Double { arrived - sent }
}

/// Gathers packets that were sent in one burst, and compares complete groups (draft-ietf-rmcat-gcc-02 §5.2).
struct PacketGroups: Sendable {
  private struct Group: Sendable {
    var firstSent: Instant
    var lastSent: Instant
    var firstArrival: Instant
    var lastArrival: Instant
  }

  /// `burst_time`, §5.6.
  private static let burst = Duration.milliseconds(5)
  private static let longestBurst = Duration.milliseconds(100)
  /// A receiver's clock that jumps this far was set anew.
  private static let clockJump = 3_000.0

  private var current: Group?
  private var previous: Group?
  private var reordered = 0

  init() {}

  /// Takes packets in the order of sending. Returns the step between the two groups that this packet completed.
  mutating func add(sentAt: Instant, arrival: Instant) -> GroupDelta? {
    guard var group = current else {
      current = Group(firstSent: sentAt, lastSent: sentAt, firstArrival: arrival, lastArrival: arrival)
      return nil
    }
    // Sent before the group began: its place is in the past.
    guard sentAt >= group.firstSent else { return nil }
    if belongs(sentAt, arrival, to: group) {
      group.lastSent = max(group.lastSent, sentAt)
      group.lastArrival = max(group.lastArrival, arrival)
      current = group
      return nil
    }
    defer {
      previous = group
      current = Group(firstSent: sentAt, lastSent: sentAt, firstArrival: arrival, lastArrival: arrival)
    }
    guard let previous else { return nil }
    let delta = GroupDelta(
      sent: (group.lastSent - previous.lastSent).inMilliseconds,
      arrived: (group.lastArrival - previous.lastArrival).inMilliseconds, arrival: group.lastArrival)
    if abs(delta.variation) > Self.clockJump {
      self = PacketGroups()
      return nil
    }
    if delta.arrived < 0 {
      // One group overtook another. Three in a row: the receiver's clock went backwards.
      reordered += 1
      if reordered >= 3 { self = PacketGroups() }
      return nil
    }
    reordered = 0
    return delta
  }

  private func belongs(_ sentAt: Instant, _ arrival: Instant, to group: Group) -> Bool {
    if sentAt - group.firstSent <= Self.burst { return true }
    // §5.2: a packet that arrives within a burst time and faster than it was sent was held up with the group.
    let arrived = arrival - group.lastArrival
    let sent = sentAt - group.lastSent
    return arrived - sent < .zero && arrived <= Self.burst && arrival - group.firstArrival < Self.longestBurst
  }
}
