package import Core

extension JitterBuffer {
  package struct Configuration: Hashable, Sendable {
    package var minimumDelay: Duration = .milliseconds(20)
    package var maximumDelay: Duration = .milliseconds(400)
    /// Before anything is known of the network.
    package var initialDelay: Duration = .milliseconds(40)
    /// Pops without any packet that are concealed; then the buffer fills up anew.
    package var maximumConcealment = 3

    package init() {}
  }

  package enum Verdict: Hashable, Sendable {
    case stored
    case duplicate
    /// Its turn is over, or its number is far from all others and not yet confirmed by a second packet.
    case late
    /// Stored as the first packet of another numbering; everything before it is gone.
    case reset
    /// Longer than a slot; dropped.
    case oversized
  }

  package enum Pop: Hashable, Sendable {
    case packet(Slot)
    /// Lost, or not here yet: conceal one packet's time. `next` is the packet directly behind the lost one, which may
    /// carry forward error correction for it; it is not consumed.
    case missing(next: Slot?)
    /// The far end left a pause here (discontinuous transmission): fill one packet's time with comfort noise.
    case gap
    /// Not started, or run dry and filling up.
    case waiting
  }

  /// What the consumer should do to the audio it gets.
  package enum Adjustment: Hashable, Sendable { case none, accelerate, expand }

  /// One packet. Its bytes are had from `payload(of:)`.
  package struct Slot: Hashable, Sendable {
    package var sequence: UInt16
    package var timestamp: UInt32
    package var payloadType: PayloadType
    package var marker: Bool
    /// In timestamp units; estimated where `insert` was not told.
    package var duration: UInt32
    /// Bytes.
    package var count: Int
    let index: Int
  }

  /// Counts since the buffer was made.
  package struct Statistics: Hashable, Sendable {
    package var stored = 0
    package var duplicates = 0
    package var late = 0
    /// Numbers that were passed over without their packet.
    package var lost = 0
    package var resets = 0
    /// Dropped to bring the delay down: more packets than slots, or far too old.
    package var discarded = 0
    package var oversized = 0
    package var underruns = 0
  }
}
