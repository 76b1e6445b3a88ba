import Core
import Crypto
import HTTPTypes
import LiveKitProtocol
import Synchronization

/// Answers by request id, so that a client's retry is done once: the second request with an id waits for the answer of
/// the first, or gets it again.
final class TwirpReplies: Sendable {
  /// Bytes of a request; the HTTP server's own bound may be lower.
  static let maximumBodySize = 10 << 20
  // Cannot fail: the text is a token.
  static let requestID = HTTPField.Name("X-Livekit-Request-Id")!
  /// How long an answer is kept. Retries come within seconds.
  static let lifetime = Duration.seconds(60)
  static let capacity = 1000

  /// Two requests are one when everything about them is the same.
  struct Key: Hashable, Sendable {
    let id: String
    let method: String
    let issuer: String
    let body: [UInt8]

    init(id: String, method: String, call: TwirpCall) {
      self.id = String(id.prefix(128))
      self.method = method
      issuer = call.claims.issuer
      var hash = SHA256()
      hash.update(data: call.body)
      // What the token grants belongs to the question.
      hash.update(data: Array("\(call.claims.identity)\u{0}\(call.claims.video)\(call.claims.sip)\(call.isJSON)".utf8))
      body = Array(hash.finalize())
    }
  }

  typealias Outcome = Result<[UInt8], TwirpError>

  private struct Entry {
    let task: Task<Outcome, Never>
    let since: Instant
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    /// Oldest first.
    var order: [Key] = []
  }

  private let state = Mutex(State())

  /// Answers that are kept.
  var count: Int { state.withLock { $0.entries.count } }

  func once(_ key: Key, _ body: @escaping @Sendable () async -> Outcome) async -> Outcome {
    let now = Instant.now()
    let task = state.withLock { state -> Task<Outcome, Never> in
      var expired = 0
      while expired < state.order.count {
        let oldest = state.order[expired]
        let isOld = state.entries[oldest].map { now - $0.since > Self.lifetime } ?? true
        guard isOld || state.order.count - expired >= Self.capacity else { break }
        state.entries[oldest] = nil
        expired += 1
      }
      state.order.removeFirst(expired)
      if let entry = state.entries[key] { return entry.task }
      let task = Task { await body() }
      state.entries[key] = Entry(task: task, since: now)
      state.order.append(key)
      return task
    }
    let outcome = await task.value
    // What failed for now may be tried again at once.
    if case .failure(let error) = outcome, error.code == .unavailable || error.code == .internal {
      state.withLock { $0.entries[key] = nil }
    }
    return outcome
  }
}
