import Core
import LiveKitProtocol

/// How much one client may say: a bucket that a busy client never empties and a flood does.
struct SignalBudget {
  /// Of messages without descriptions, at once and a second.
  static let capacity = 4000.0
  static let refill = 200.0

  private var level = SignalBudget.capacity
  private var last: Instant

  init(now: Instant) { last = now }

  /// False when the client has said too much.
  mutating func spend(_ request: Livekit_SignalRequest, now: Instant) -> Bool {
    level = min(SignalBudget.capacity, level + max(0, (now - last).inSeconds) * SignalBudget.refill)
    last = now
    level -= SignalBudget.cost(of: request)
    return level >= 0
  }

  /// Reading a description and answering it takes a millisecond and more, other messages microseconds.
  private static func cost(of request: Livekit_SignalRequest) -> Double {
    switch request.message {
    case .offer(let description), .answer(let description): 10 + Double(description.sdp.utf8.count) / 2000
    case .updateMetadata: 20
    case .subscription(let update): 1 + Double(update.trackSids.count) / 10
    default: 1
    }
  }
}
