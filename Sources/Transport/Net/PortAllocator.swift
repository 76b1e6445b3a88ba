package import Core
import Synchronization

/// Hands out even/odd UDP port pairs for RTP and RTCP (RFC 3550 §11) out of `media.ports`.
///
/// The search starts at a random pair and goes on from there, so a freed pair is the last one to be used again; besides
/// it stays unused for `reuseDelay`, because late packets of the old call would otherwise reach the new one.
package final class PortAllocator: Sendable {
  package let range: ClosedRange<UInt16>
  package let reuseDelay: Duration
  private let firstEven: Int
  private let pairs: Int
  private let state: Mutex<State>

  private struct State {
    var inUse: [Bool]
    /// When each free pair may be used again.
    var usableFrom: [Instant]
    var next: Int
    var count = 0
  }

  /// - Parameter start: The pair at which the search begins, for tests; random by default.
  package init(range: ClosedRange<UInt16>, reuseDelay: Duration = .seconds(5), start: Int? = nil) {
    self.range = range
    self.reuseDelay = reuseDelay
    let even = Int(range.lowerBound) + Int(range.lowerBound) % 2
    let pairs = max(0, (Int(range.upperBound) - even + 1) / 2)
    let first = pairs == 0 ? 0 : abs((start ?? Int.random(in: 0..<pairs)) % pairs)
    firstEven = even
    self.pairs = pairs
    state = Mutex(
      State(
        inUse: [Bool](repeating: false, count: pairs),
        usableFrom: [Instant](repeating: Instant(nanoseconds: .min), count: pairs), next: first))
  }

  /// Pairs handed out and not yet released.
  package var inUse: Int { state.withLock { $0.count } }

  /// The even port of a free pair; the odd one is one higher.
  package func allocatePair(now: Instant = .now()) throws(TransportError) -> UInt16 {
    let found: Int? = state.withLock { state in
      for step in 0..<pairs {
        let index = (state.next + step) % pairs
        if !state.inUse[index], state.usableFrom[index] <= now {
          state.inUse[index] = true
          state.count += 1
          state.next = (index + 1) % pairs
          return index
        }
      }
      return nil
    }
    guard let found else {
      let used = inUse
      throw .portsExhausted(
        ports: range,
        detail: "\(used) of \(pairs) port pairs are in use, the others were used in the last \(reuseDelay); "
          + "widen media.ports")
    }
    return UInt16(firstEven + 2 * found)
  }

  /// Gives a pair back. Ports that are not handed out are ignored.
  package func releasePair(_ even: UInt16, now: Instant = .now()) {
    let index = (Int(even) - firstEven) / 2
    guard Int(even) >= firstEven, index < pairs else { return }
    state.withLock { state in
      guard state.inUse[index] else { return }
      state.inUse[index] = false
      state.count -= 1
      state.usableFrom[index] = now + reuseDelay
    }
  }
}
