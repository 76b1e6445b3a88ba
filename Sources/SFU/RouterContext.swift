import Core

/// What a router shares with its peers: settings, clock, buffers. Confined to the worker's thread.
final class RouterContext {
  let configuration: RouterConfiguration
  let clock: NTPClock
  /// Where retransmissions are unwrapped.
  let scratch: UnsafeMutableRawBufferPointer
  /// Where consumers build what they send.
  let sendBuffer: UnsafeMutableRawBufferPointer
  /// RTCP is written here: the array's memory is kept.
  var rtcp: [UInt8] = []
  var random: SeededRandom
  var loudest: LoudestSelector?
  var onEvent: ((RouterEvent) -> Void)?
  /// The latest moment that a packet or a tick brought.
  private(set) var now: Instant

  /// Longer packets are refused: nothing larger passes a path of the Internet in one piece.
  static let maximumPacket = 2_048

  init(configuration: RouterConfiguration, seed: UInt64) {
    self.configuration = configuration
    clock = NTPClock(origin: configuration.origin, wall: configuration.originWall)
    scratch = .allocate(byteCount: Self.maximumPacket, alignment: 8)
    sendBuffer = .allocate(byteCount: Self.maximumPacket + 256, alignment: 8)
    random = SeededRandom(seed: seed)
    loudest = configuration.loudest.map { LoudestSelector(count: $0) }
    now = configuration.origin
    rtcp.reserveCapacity(1_500)
  }

  deinit {
    scratch.deallocate()
    sendBuffer.deallocate()
  }

  func advance(to instant: Instant) { if instant > now { now = instant } }

  func emit(_ event: RouterEvent) { onEvent?(event) }
}
