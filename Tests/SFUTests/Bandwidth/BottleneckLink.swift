import Core

/// A seeded link with a rate and a tail-drop queue, under a virtual clock: the part of a path that is full.
struct BottleneckLink {
  struct Delivery {
    var arrival: Instant
    var bytes: Int
    var packet: SimulatedPacket
  }

  /// Bits a second.
  var rate: Int
  /// Longest time that a packet may wait.
  var queueLimit: Duration
  var propagation: Duration
  var jitter: Duration
  /// Probability, 0…1.
  var loss: Double
  /// The receiver is held up for up to so long, about three times a second: a busy machine, a radio that sleeps.
  var stall = Duration.zero
  /// Below RTP on the wire: UDP and IPv4 headers and the SRTP tag.
  static let overhead = 38

  private(set) var queueDrops = 0
  private var random: SeededRandom
  private var busyUntil = Instant.zero
  private var lastArrival = Instant.zero
  private var stallBegin = Instant.zero
  private var stallEnd = Instant.zero
  private var inFlight: [Delivery] = []
  private var head = 0

  init(
    rate: Int, queueLimit: Duration = .milliseconds(500), propagation: Duration = .milliseconds(20),
    jitter: Duration = .zero, loss: Double = 0, seed: UInt64 = 1
  ) {
    self.rate = rate
    self.queueLimit = queueLimit
    self.propagation = propagation
    self.jitter = jitter
    self.loss = loss
    random = SeededRandom(seed: seed)
  }

  /// What a packet that comes now waits.
  func queueDelay(now: Instant) -> Duration { max(busyUntil - now, .zero) }

  mutating func send(_ packet: SimulatedPacket, bytes: Int, now: Instant) {
    if loss > 0, Double.random(in: 0..<1, using: &random) < loss { return }
    guard queueDelay(now: now) <= queueLimit else {
      queueDrops += 1
      return
    }
    let wire = Int64(bytes + Self.overhead) * 8
    busyUntil = max(busyUntil, now) + .nanoseconds(wire * 1_000_000_000 / Int64(rate))
    let extra = jitter == .zero ? 0 : Int64.random(in: 0...jitter.nanoseconds, using: &random)
    // Jitter without reordering, as a radio's scheduler makes it.
    lastArrival = max(lastArrival, busyUntil + propagation + .nanoseconds(extra))
    if stall > .zero {
      if lastArrival >= stallEnd {
        stallBegin = stallEnd + .milliseconds(Int64.random(in: 50...550, using: &random))
        stallEnd = stallBegin + .nanoseconds(Int64.random(in: 0...stall.nanoseconds, using: &random))
      }
      if lastArrival >= stallBegin { lastArrival = max(lastArrival, stallEnd) }
    }
    inFlight.append(Delivery(arrival: lastArrival, bytes: bytes, packet: packet))
  }

  mutating func receive(now: Instant) -> [Delivery] {
    var due: [Delivery] = []
    while head < inFlight.count, inFlight[head].arrival <= now {
      due.append(inFlight[head])
      head += 1
    }
    if head > 1000 {
      inFlight.removeFirst(head)
      head = 0
    }
    return due
  }
}

/// What the simulation knows of a packet on the link.
struct SimulatedPacket {
  var transportSequence: UInt16?
  var consumer: UInt8
  var kind: UInt8
  var sentAt: Instant
}
