import Core
import NIOCore
import Synchronization

/// Ties an actor that lives on an event loop to it: one timer at a time, and events of the media workers in order.
final class ServiceLoop<Service: Actor>: Sendable {
  let loop: any EventLoop
  private let service = Mutex<Service?>(nil)
  private let wake: NIOLoopBoundBox<Wake>
  private let advance: @Sendable (isolated Service) -> Void

  private struct Wake {
    var deadline: Instant?
    var scheduled: Scheduled<Void>?
  }

  /// - Parameter advance: fires what is due; called when a wake that was asked for has come.
  init(loop: any EventLoop, advance: @escaping @Sendable (isolated Service) -> Void) {
    self.loop = loop
    self.advance = advance
    wake = .makeBoxSendingValue(Wake(), eventLoop: loop)
  }

  /// The actor is made after the things that call it.
  func attach(_ service: Service) { self.service.withLock { $0 = service } }

  /// Runs on the actor at once; only from the loop.
  func enter(_ body: (isolated Service) -> Void) {
    guard let service = service.withLock({ $0 }) else { return }
    service.assumeIsolated(body)
  }

  /// Runs on the actor soon, in order; from any thread.
  func submit(_ body: @escaping @Sendable (isolated Service) -> Void) {
    loop.execute { self.enter(body) }
  }

  /// Calls `advance` at `deadline` or earlier. Only from the loop.
  func requestWake(at deadline: Instant) {
    if let current = wake.value.deadline, current <= deadline { return }
    wake.value.scheduled?.cancel()
    wake.value.deadline = deadline
    let delay = max(.zero, deadline - Instant.now())
    wake.value.scheduled = loop.scheduleTask(in: .nanoseconds(delay.nanoseconds)) {
      self.wake.value = Wake()
      self.enter(self.advance)
    }
  }
}
