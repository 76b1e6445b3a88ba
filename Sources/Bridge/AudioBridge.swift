package import Audio
package import Core

/// Two legs that hear each other. Where both speak the same codec packets pass untouched, else they are transcoded.
package final class AudioBridge {
  package let a: MediaLeg
  package let b: MediaLeg

  package init(a: MediaLeg, b: MediaLeg) {
    self.a = a
    self.b = b
  }

  /// Each is the other's source.
  package var isConnected: Bool { a.hears(b) && b.hears(a) }

  /// No packet is decoded in either direction.
  package var isRelaying: Bool { isConnected && a.relayedCodec != nil && b.relayedCodec != nil }

  package func connect(now: Instant) throws(AudioError) {
    try a.setSource(.leg(b), now: now)
    try b.setSource(.leg(a), now: now)
  }

  /// Where the two still hear each other, they hear silence.
  package func disconnect(now: Instant) {
    // Silence needs no codec, so nothing is made that could fail.
    if a.hears(b) { try? a.setSource(.silence, now: now) }
    if b.hears(a) { try? b.setSource(.silence, now: now) }
  }

  /// Ticks both legs.
  package func tick(now: Instant) {
    a.tick(now: now)
    b.tick(now: now)
  }
}

extension MediaLeg {
  func hears(_ other: MediaLeg) -> Bool { sourceKind == .leg && sourceLeg === other }
}
