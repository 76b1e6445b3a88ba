import Core

/// The rate that a cluster of probe packets came through at.
struct ProbeEstimator: Sendable {
  /// Of a cluster's bytes and packets so many must be reported.
  private static let needed = 0.8
  /// Below this share of the rate of sending the path was full.
  private static let unsaturated = 0.9
  /// Then a little less than what came through is what it carries.
  private static let utilisation = 0.95
  /// Receivers that gather packets, or are held up, make a rate that no path has.
  private static let largestRatio = 1.5
  /// Nor does a path hurry: what takes less of the time of sending to arrive was held up at its beginning.
  private static let shortest = 0.85
  private static let longest = Duration.seconds(1)

  private var cluster: UInt8 = 0
  private var minimumBytes = 0
  private var minimumPackets = 0
  private var bytes = 0
  private var packets = 0
  private var firstSent: Instant?
  private var lastSent: Instant?
  /// Of what left at the first instant, and of the first to arrive.
  private var bytesFirstSent = 0
  private var firstArrival: Instant?
  private var lastArrival: Instant?
  private var bytesFirstArrival = 0

  init() {}

  mutating func begin(cluster: UInt8, bytes: Int, packets: Int) {
    self = ProbeEstimator()
    self.cluster = cluster
    minimumBytes = Int(Double(bytes) * Self.needed)
    minimumPackets = max(2, Int(Double(packets) * Self.needed))
  }

  /// Packets in the order of sending. Returns bits a second once enough of the cluster has come through; later packets
  /// better the figure.
  mutating func add(_ packet: AcknowledgedPacket) -> Int? {
    guard cluster != 0, packet.cluster == cluster else { return nil }
    bytes += packet.bytes
    packets += 1
    if firstSent == nil || packet.sentAt < firstSent! {
      firstSent = packet.sentAt
      bytesFirstSent = 0
    }
    if packet.sentAt == firstSent { bytesFirstSent += packet.bytes }
    lastSent = lastSent.map { max($0, packet.sentAt) } ?? packet.sentAt
    if firstArrival == nil || packet.arrival < firstArrival! {
      firstArrival = packet.arrival
      bytesFirstArrival = packet.bytes
    }
    lastArrival = lastArrival.map { max($0, packet.arrival) } ?? packet.arrival
    guard bytes >= minimumBytes, packets >= minimumPackets else { return nil }
    guard let firstSent, let lastSent, let firstArrival, let lastArrival else { return nil }
    let sentFor = lastSent - firstSent
    let arrivedFor = lastArrival - firstArrival
    guard sentFor > .zero, sentFor <= Self.longest, arrivedFor > .zero, arrivedFor <= Self.longest,
      arrivedFor.inSeconds >= sentFor.inSeconds * Self.shortest
    else { return nil }
    // What leaves makes up for the time since the instant before, so the first instant's is not counted; nor is the first
    // to arrive.
    let sentRate = Double(bytes - bytesFirstSent) * 8 / sentFor.inSeconds
    let arrivedRate = Double(bytes - bytesFirstArrival) * 8 / arrivedFor.inSeconds
    guard arrivedRate <= sentRate * Self.largestRatio else { return nil }
    var result = min(sentRate, arrivedRate)
    if arrivedRate < sentRate * Self.unsaturated { result = arrivedRate * Self.utilisation }
    return Int(result)
  }
}
