package import Core
package import RTP

/// One packet of a stream, in its place.
package struct OrderedPacket: Sendable {
  package let header: RTPHeader
  /// The whole packet; `header.payload` says where its payload is.
  package let bytes: [UInt8]
  /// Extended sequence number.
  package let sequence: Int64
  package let arrival: Instant

  package var payload: ArraySlice<UInt8> { bytes[header.payload] }
}

/// Puts the packets of one stream back into order: late and retransmitted ones find their place, repeated ones go.
package struct PacketOrder: Sendable {
  private var waiting: [OrderedPacket] = []
  private var unwrapper = SequenceUnwrapper()
  private var ssrc: SSRC?
  private var lastOut: Int64 = .min
  private var newest = Instant(nanoseconds: .min)
  private let patience: Duration

  /// - Parameter patience: How much later than its neighbours a packet may have come.
  package init(patience: Duration = .seconds(2)) { self.patience = patience }

  /// Takes a packet; returns those whose turn it is. Of another SSRC than before: all that waited, then a new count.
  package mutating func add(_ bytes: [UInt8], arrival: Instant) -> [OrderedPacket] {
    guard let header = try? RTPHeader(parsing: bytes) else { return [] }
    var out: [OrderedPacket] = []
    if ssrc != header.ssrc {
      out = flush()
      ssrc = header.ssrc
      unwrapper = SequenceUnwrapper()
      lastOut = .min
    }
    if let highest = unwrapper.highest {
      let distance = Int(Int16(bitPattern: header.sequence &- UInt16(truncatingIfNeeded: highest)))
      // The source counts anew.
      if abs(distance) > 3_000 {
        out += flush()
        unwrapper = SequenceUnwrapper()
        lastOut = .min
      }
    }
    let sequence = unwrapper.unwrap(header.sequence)
    if arrival > newest { newest = arrival }
    if sequence > lastOut {
      var index = waiting.endIndex
      while index > 0, waiting[index - 1].sequence > sequence { index -= 1 }
      if index == 0 || waiting[index - 1].sequence != sequence {
        waiting.insert(OrderedPacket(header: header, bytes: bytes, sequence: sequence, arrival: arrival), at: index)
      }
    }
    while let first = waiting.first,
      first.sequence == lastOut &+ 1 || newest - first.arrival > patience || waiting.count > 8_192
    {
      lastOut = first.sequence
      out.append(waiting.removeFirst())
    }
    return out
  }

  /// All that still waits.
  package mutating func flush() -> [OrderedPacket] {
    defer { waiting = [] }
    if let last = waiting.last { lastOut = last.sequence }
    return waiting
  }
}
