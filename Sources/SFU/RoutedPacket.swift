import Core
import RTP

/// What a payload's descriptor said; where the codec has none, nothing.
enum PayloadDescriptor: Hashable, Sendable {
  case none
  case vp8(VP8Descriptor)
  case vp9(VP9Descriptor)
  case h264(H264Descriptor)
  /// Any video codec whose packets carry the AV1 dependency descriptor and no descriptor that is read otherwise.
  case dependency(DependencyDescriptor)
}

/// Where the known elements of a packet's header extension lie (RFC 8285). Plain words: copying it touches no memory.
struct ExtensionElements: Hashable, Sendable {
  /// Offset in the packet in the upper 16 bits, length in the lower 8; 0 is absent.
  private var places: InlineArray<10, UInt32> = .init(repeating: 0)

  static func == (a: ExtensionElements, b: ExtensionElements) -> Bool {
    for index in 0..<10 where a.places[index] != b.places[index] { return false }
    return true
  }

  func hash(into hasher: inout Hasher) {
    for index in 0..<10 { hasher.combine(places[index]) }
  }

  init() {}

  /// Nil where the packet carries no such element.
  subscript(_ kind: HeaderExtension) -> Range<Int>? {
    get {
      let place = places[kind.rawValue]
      guard place != 0 else { return nil }
      let start = Int(place >> 16)
      return start..<(start + Int(place & 0xFF))
    }
    set {
      guard let newValue else {
        places[kind.rawValue] = 0
        return
      }
      places[kind.rawValue] =
        UInt32(truncatingIfNeeded: newValue.lowerBound) << 16 | UInt32(truncatingIfNeeded: newValue.count) & 0xFF
    }
  }
}

/// One RTP packet of a producer on its way to the consumers: parsed once, whatever their number. A plain value.
///
/// `bytes` points into the stream's `PacketHistory` and is valid for the current turn only; the packet is found again by
/// `streamIndex` and `extendedSequence` (`PacketHistory.packet(_:)`).
struct RoutedPacket: Sendable {
  /// The whole decrypted RTP packet; retransmissions are already unwrapped.
  nonisolated(unsafe) var bytes: UnsafeRawBufferPointer
  var header: RTPHeader
  /// Where the elements of the header extension lie in `bytes`.
  var elements: ExtensionElements
  var descriptor: PayloadDescriptor
  /// Of the first copy that came.
  var arrival: Instant
  /// Per stream; positive.
  var extendedSequence: Int64
  /// Index into `Producer.streams`.
  var streamIndex: Int
  var codec: MediaCodec
  /// Of the picture: the encoding's layer with simulcast, the packet's with SVC. 0 is the smallest.
  var spatialLayer: Int
  var temporalLayer: Int
  /// First and last packet of a frame (with SVC: of a layer's frame).
  var startsFrame: Bool
  var endsFrame: Bool
  /// The packet belongs to a key frame: a decoder may start at the one that also `startsFrame`.
  var isKeyFrame: Bool
  /// A decoder may switch up to this packet's temporal layer here.
  var isSwitchPoint: Bool
  /// Came late: asked for by NACK or reordered.
  var isLate: Bool
  /// RFC 6464; nil without the element.
  var audioLevel: AudioLevel?

  /// The payload without padding.
  var payload: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[header.payload]) }
}

/// What a producer hands its packets to.
protocol PacketSink: AnyObject {
  /// Called for each packet that came for the first time, in order of arrival.
  func forward(_ packet: borrowing RoutedPacket, from stream: ProducerStream, now: Instant)
  /// A packet came that is not to be forwarded (padding, malformed, muted): its number shall leave no gap in what is sent.
  func skip(_ extendedSequence: Int64, from stream: ProducerStream, now: Instant)
  /// Packets are withheld from here on (others are louder): what comes next goes on without a gap.
  func interrupt()
  /// The producer has got another stream (a layer's first packet came), or its codec changed.
  func streamsChanged(now: Instant)
}

/// Turns the monotonic clock into NTP time: one time line for all that a router sends.
struct NTPClock: Hashable, Sendable {
  private let origin: Instant
  private let ntp: UInt64

  init(origin: Instant, wall: WallTime) {
    self.origin = origin
    ntp = NTPTime(wall).rawValue
  }

  func ntp(at now: Instant) -> NTPTime {
    let elapsed = (now - origin).nanoseconds
    let (seconds, rest) = elapsed.quotientAndRemainder(dividingBy: 1_000_000_000)
    // The fraction's sign follows the remainder's: both are added as they are.
    let fraction = (rest << 32) / 1_000_000_000
    return NTPTime(rawValue: ntp &+ UInt64(bitPattern: seconds << 32) &+ UInt64(bitPattern: fraction))
  }
}
