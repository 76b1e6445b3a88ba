package import Core
import LiveKitProtocol
package import Logging
package import Rooms
import ServiceLifecycle
package import Store
import Synchronization

/// Takes events of rooms and delivers them: first to the disk, then, in order a room, to each URL until it says 2xx.
///
/// What has reached the disk survives a crash and is delivered at least once. Receivers tell repetitions by the id.
///
/// ```
/// RoomService ─▶ post ─▶ (memory, milliseconds) ─▶ Store ─▶ due? ─▶ POST ─▶ 2xx: delivered
///                                                    ▲               │  else: later, doubled
///                            parley webhooks replay ─┘               └  4xx, or a day: failed
/// ```
package final class WebhookOutbox: Service {
  /// Events that may wait for the disk. More are dropped, and the next one says how many.
  static let capacity = 20_000
  private static let batch = 500

  private struct Inbox {
    var events: [Livekit_WebhookEvent] = []
    var dropped: Int32 = 0
  }

  private let configuration: WebhookConfiguration
  private let store: Store
  private let sender: any WebhookSender
  private let logger: Logger
  private let inbox = Mutex(Inbox())
  /// Queues whose request has ended since the last look at the outbox.
  private let ended = Mutex<[Queue]>([])
  private let arrivals: AsyncStream<Void>
  private let arrival: AsyncStream<Void>.Continuation
  private let turns: AsyncStream<Void>
  private let turn: AsyncStream<Void>.Continuation
  let delivered: Counter
  let failed: Counter

  struct Queue: Hashable, Sendable {
    let url: String
    let room: String
  }

  package init(
    configuration: WebhookConfiguration, store: Store, sender: any WebhookSender, metrics: MetricsRegistry,
    logger: Logger
  ) {
    self.configuration = configuration
    self.store = store
    self.sender = sender
    self.logger = logger
    (arrivals, arrival) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    (turns, turn) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    delivered = metrics.counter("parley_webhooks_delivered_total", "Webhooks that a receiver took.")
    failed = metrics.counter("parley_webhooks_failed_total", "Webhooks refused by a receiver or given up.")
  }

  // MARK: In

  /// Queues an event. Called on the signalling loop; never waits.
  package func post(_ event: RoomEvent) {
    guard let message = Livekit_WebhookEvent(event, id: "EV_" + RandomToken.hex(bytes: 8), at: .now()) else { return }
    inbox.withLock { inbox in
      guard inbox.events.count < Self.capacity else {
        inbox.dropped &+= 1
        return
      }
      inbox.events.append(message)
      inbox.events[inbox.events.count - 1].numDropped = inbox.dropped
      inbox.dropped = 0
    }
    arrival.yield()
  }

  // MARK: Running

  package func run() async throws {
    do {
      let abandoned = try await store.abandonWebhooks(notTo: configuration.urls, at: .now())
      if abandoned > 0 {
        logger.notice("webhooks waited for URLs that are configured no more", metadata: ["webhooks": "\(abandoned)"])
      }
    } catch {
      logger.error("the outbox of webhooks cannot be read", metadata: ["error": "\(error)"])
    }
    let writing = Task { await self.write() }
    let delivering = Task { await self.deliver() }
    let ticking = Task { await self.tick() }
    try? await gracefulShutdown()
    ticking.cancel()
    delivering.cancel()
    turn.finish()
    // The last events of the rooms are written; they are delivered after the next start.
    arrival.yield()
    arrival.finish()
    await writing.value
    await delivering.value
    await sender.shutdown()
  }

  private func tick() async {
    var lastRemoval: Instant?
    while !Task.isCancelled {
      turn.yield()
      if lastRemoval.map({ Instant.now() - $0 > .seconds(3600) }) ?? true {
        lastRemoval = .now()
        let limit = WallTime(milliseconds: WallTime.now().milliseconds - configuration.keep.nanoseconds / 1_000_000)
        _ = try? await store.removeWebhooks(createdBefore: limit)
      }
      try? await Task.sleep(for: configuration.pollInterval)
    }
  }

  // MARK: To the disk

  private func write() async {
    for await _ in arrivals { await flush() }
    await flush()
  }

  private func flush() async {
    while true {
      let events = inbox.withLock { Array($0.events.prefix(Self.batch)) }
      if events.isEmpty { return }
      let records = events.compactMap { event in
        try? event.record(at: WallTime(milliseconds: event.createdAt * 1000))
      }
      do {
        try await store.appendWebhooks(records, to: configuration.urls)
        // Only this task takes from the front.
        inbox.withLock { $0.events.removeFirst(events.count) }
        turn.yield()
      } catch {
        logger.error("webhooks cannot be stored", metadata: ["error": "\(error)", "waiting": "\(events.count)"])
        // At the end nothing is left but to give up.
        guard (try? await Task.sleep(for: .seconds(1))) != nil, !isEnding else { return }
      }
    }
  }

  private var isEnding: Bool {
    if case .terminated = arrival.yield() { true } else { false }
  }

  // MARK: To the receivers

  private func deliver() async {
    // Queues with a request under way. One that ends is let go before the next look only: what an earlier look has found
    // may have been sent since.
    var busy: Set<Queue> = []
    await withDiscardingTaskGroup { group in
      for await _ in turns {
        busy.subtract(
          ended.withLock { ended in
            defer { ended = [] }
            return ended
          })
        let due: [WebhookDelivery]
        do {
          due = try await store.dueWebhooks(now: .now(), limit: busy.count + configuration.maximumConcurrency)
        } catch {
          logger.error("the outbox of webhooks cannot be read", metadata: ["error": "\(error)"])
          continue
        }
        for delivery in due where configuration.urls.contains(delivery.url) {
          let queue = Queue(url: delivery.url, room: delivery.record.room)
          guard busy.count < configuration.maximumConcurrency, busy.insert(queue).inserted else { continue }
          group.addTask {
            await self.attempt(delivery)
            self.ended.withLock { $0.append(queue) }
            self.turn.yield()
          }
        }
      }
      group.cancelAll()
    }
  }

  private func attempt(_ delivery: WebhookDelivery) async {
    let outcome = await sender.send(
      delivery.record.body, to: delivery.url,
      authorization: TokenSigner(key: configuration.key, secret: configuration.secret)
        .signWebhook(body: Array(delivery.record.body.utf8), now: .now()),
      timeout: configuration.timeout)
    // An attempt that the shutdown cut is no failure; it is made again after the next start.
    if Task.isCancelled, outcome.isTransient { return }
    let now = WallTime.now()
    var state = WebhookDelivery.State.delivered
    var next: WallTime?
    if !outcome.isSuccess {
      let isLast = delivery.attempts + 1 >= configuration.maximumAttempts
      state = outcome.isTransient && !isLast ? .pending : .failed
      var random = SystemRandomNumberGenerator()
      let wait = configuration.jittered(
        configuration.wait(afterAttempts: delivery.attempts + 1), using: &random)
      next = WallTime(milliseconds: now.milliseconds + wait.nanoseconds / 1_000_000)
    }
    switch state {
    case .delivered: delivered.increment()
    case .failed: failed.increment()
    case .pending: break
    }
    if !outcome.isSuccess {
      logger.warning(
        state == .failed ? "a webhook failed" : "a webhook will be tried again",
        metadata: [
          "event": "\(delivery.record.event)", "id": "\(delivery.record.id)", "url": "\(delivery.url)",
          "attempt": "\(delivery.attempts + 1)", "problem": "\(outcome.problem)",
        ])
    }
    do {
      try await store.recordWebhook(
        delivery, state: state, status: outcome.status, problem: outcome.problem, at: now, next: next)
    } catch {
      // It will be sent again: at least once.
      logger.error("the outbox of webhooks cannot be written", metadata: ["error": "\(error)"])
      try? await Task.sleep(for: .seconds(1))
    }
  }
}
