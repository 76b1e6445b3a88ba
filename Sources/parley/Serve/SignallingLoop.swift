import Core
import Gateway
import NIOCore
import Synchronization

/// Ties the gateway to its event loop: one timer at a time, and events of the media workers in order.
final class SignallingLoop: Sendable {
  let loop: any EventLoop
  private let gateway = Mutex<Gateway?>(nil)
  private let wake: NIOLoopBoundBox<Wake>

  private struct Wake {
    var deadline: Instant?
    var scheduled: Scheduled<Void>?
  }

  init(loop: any EventLoop) {
    self.loop = loop
    wake = .makeBoxSendingValue(Wake(), eventLoop: loop)
  }

  /// The gateway is made after the things that call it.
  func attach(_ gateway: Gateway) { self.gateway.withLock { $0 = gateway } }

  /// Runs on the gateway at once; only from the loop.
  func enter(_ body: (isolated Gateway) -> Void) {
    guard let gateway = gateway.withLock({ $0 }) else { return }
    gateway.assumeIsolated(body)
  }

  /// Runs on the gateway soon, in order; from any thread.
  func submit(_ body: @escaping @Sendable (isolated Gateway) -> Void) {
    loop.execute { self.enter(body) }
  }

  /// Calls `Gateway.advance` at `deadline` or earlier. Only from the loop.
  func requestWake(at deadline: Instant) {
    if let current = wake.value.deadline, current <= deadline { return }
    wake.value.scheduled?.cancel()
    wake.value.deadline = deadline
    let delay = max(.zero, deadline - Instant.now())
    wake.value.scheduled = loop.scheduleTask(in: .nanoseconds(delay.nanoseconds)) {
      self.wake.value = Wake()
      self.enter { $0.advance() }
    }
  }
}
