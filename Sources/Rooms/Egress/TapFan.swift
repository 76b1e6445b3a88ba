import Core

/// One track's packets to several recordings. Never changed: another set of recordings is another fan.
final class TapFan: PacketTap, Sendable {
  private let taps: [any PacketTap & Sendable]

  init(_ taps: [any PacketTap & Sendable]) { self.taps = taps }

  func tap(rtp packet: UnsafeRawBufferPointer, arrival: Instant) {
    for tap in taps { tap.tap(rtp: packet, arrival: arrival) }
  }

  func tap(rtcp packet: UnsafeRawBufferPointer, arrival: Instant) {
    for tap in taps { tap.tap(rtcp: packet, arrival: arrival) }
  }
}
