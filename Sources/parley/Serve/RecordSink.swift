import Core
import Gateway
import Logging
import Store

/// Writes call records to the store and tries again while the disk refuses, so that a full disk delays records but
/// loses none that the process lives to see.
struct RecordSink: CallRecordSink {
  let store: Store
  let logger: Logger
  let failures: Counter

  /// The first attempt is awaited; a failing one goes on in the background, since a caller waits for its BYE's answer.
  func save(_ record: CallRecord) async {
    do {
      try await store.save(record)
    } catch {
      failures.increment()
      logger.error(
        "a call record was not written; trying again", metadata: ["call": "\(record.id)", "error": "\(error)"])
      Task { await retry(record) }
    }
  }

  private func retry(_ record: CallRecord) async {
    var delay = Duration.seconds(1)
    while !Task.isCancelled {
      try? await Task.sleep(for: delay)
      delay = min(delay * 2, .seconds(60))
      // A newer state of the same call may have been written since; never let the older one overwrite it.
      if let stored = try? await store.call(id: record.id), stored.endedAt != nil, record.endedAt == nil { return }
      do {
        try await store.save(record)
        logger.notice("a delayed call record was written", metadata: ["call": "\(record.id)"])
        return
      } catch {
        failures.increment()
      }
    }
  }
}
