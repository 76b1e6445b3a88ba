/// The events of one transport on their way to its user: kept until the end of the worker's turn, so that a handler may
/// call any method. Worker-confined.
final class TransportEvents {
  private let worker: MediaWorker
  var handler: ((WebRTCTransportEvent) -> Void)?
  private var pending: [WebRTCTransportEvent] = []
  private var isClosed = false

  init(worker: MediaWorker) { self.worker = worker }

  func emit(_ event: WebRTCTransportEvent) {
    guard !isClosed else { return }
    pending.append(event)
    guard pending.count == 1 else { return }
    worker.atEndOfTurn { [weak self] in
      guard let self else { return }
      let events = pending
      pending = []
      // `close()` in a handler clears it.
      for event in events { handler?(event) }
    }
  }

  /// Nothing is delivered from here on.
  func close() {
    isClosed = true
    handler = nil
    pending = []
  }
}
