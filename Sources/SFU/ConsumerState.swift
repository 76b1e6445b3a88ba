import Core
import RTP

/// What one source's packets are shifted by from its joining until the next.
struct ConsumerRun: Hashable, Sendable {
  /// The first output sequence number.
  var first: Int64 = .max
  var timestampOffset: UInt32 = 0
  /// Of the dependency descriptor.
  var frameNumberOffset: UInt16 = 0
  /// VP9, 15 bits.
  var pictureIDOffset: UInt16 = 0
  /// VP8 and VP9.
  var tl0Offset: UInt8 = 0
  /// VP8, 5 bits.
  var keyOffset: UInt8 = 0
}

/// The last runs: packets of older ones cannot be built again.
struct ConsumerRuns: Sendable {
  private var runs: InlineArray<8, ConsumerRun> = .init(repeating: ConsumerRun())
  private(set) var index: UInt8 = 0
  private var highestFrameNumber: UInt16?
  private var highestPictureID: UInt16?
  private var highestTL0: UInt8?
  /// Something was sent.
  private(set) var hasBegun = false
  /// The source's streams know our time line: they are of the producer that was sent last.
  private(set) var knowsSource = false

  init() {}

  var current: ConsumerRun { runs[Int(index)] }

  /// Nil where the run of a packet is forgotten.
  func run(of entry: SequenceMap.Entry, sequence: Int64) -> ConsumerRun? {
    let run = runs[entry.run]
    return run.first <= sequence ? run : nil
  }

  mutating func begin(_ run: ConsumerRun) {
    if hasBegun { index = (index + 1) & 7 }
    runs[Int(index)] = run
    hasBegun = true
    knowsSource = true
  }

  mutating func forgetSource() { knowsSource = false }

  /// What puts a joining source's frame numbers behind the last ones; 0 for the first source.
  func frameNumberOffset(joining number: UInt16) -> UInt16 { highestFrameNumber.map { $0 &+ 1 &- number } ?? 0 }

  func pictureIDOffset(joining pictureID: UInt16) -> UInt16 {
    highestPictureID.map { ($0 &+ 1 &- pictureID) & 0x7FFF } ?? 0
  }

  func tl0Offset(joining index: UInt8) -> UInt8 { highestTL0.map { $0 &+ 1 &- index } ?? 0 }

  mutating func note(frameNumber: UInt16) {
    let ours = frameNumber &+ current.frameNumberOffset
    if highestFrameNumber.map({ Int16(bitPattern: ours &- $0) > 0 }) ?? true { highestFrameNumber = ours }
  }

  mutating func note(_ descriptor: VP9Descriptor) {
    if let pictureID = descriptor.pictureID {
      let ours = (pictureID &+ current.pictureIDOffset) & 0x7FFF
      if highestPictureID.map({ (ours &- $0) & 0x7FFF < 0x4000 }) ?? true { highestPictureID = ours }
    }
    if let index = descriptor.tl0PictureIndex {
      let ours = index &+ current.tl0Offset
      if highestTL0.map({ Int8(bitPattern: ours &- $0) > 0 }) ?? true { highestTL0 = ours }
    }
  }
}

/// What was sent to one subscriber.
package struct ConsumerCounters: Hashable, Sendable {
  /// Without retransmissions and padding.
  package var packets = 0
  /// Payload bytes.
  package var octets = 0
  package var retransmittedPackets = 0
  package var retransmittedOctets = 0
  package var paddingPackets = 0
  package var paddingOctets = 0
  /// Left out on purpose: layers.
  package var dropped = 0
  /// Sequence numbers that were asked for again.
  package var nacked = 0
  /// Of those, not answered: unknown, too old, or just sent.
  package var nacksIgnored = 0
  package var pictureLossIndications = 0
  /// Lost on their way to us, and taken from the redundancy of later packets.
  package var recovered = 0
  /// Streams that took over.
  package var switches = 0
  /// Packets too late for their place, or repeated.
  package var discarded = 0

  package init() {}
}
