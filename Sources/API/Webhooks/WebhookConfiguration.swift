package import Core

/// Where webhooks go and how they are signed.
package struct WebhookConfiguration: Sendable {
  /// Each gets every event.
  package var urls: [String]
  /// The API key that signs: receivers know its secret.
  package var key: String
  package var secret: Secret
  /// How long an attempt may take.
  package var timeout: Duration = .seconds(10)
  /// Waits between attempts: doubled from the first to the last.
  package var firstRetry: Duration = .seconds(1)
  package var lastRetry: Duration = .seconds(300)
  /// After this time an event is given up; it can still be replayed.
  package var giveUp: Duration = .seconds(86_400)
  /// How long events are kept for replay.
  package var keep: Duration = .seconds(7 * 86_400)
  /// Requests at the same time.
  package var maximumConcurrency = 16
  /// How often the outbox is looked at for what others put there (`parley webhooks replay`) and for retries.
  package var pollInterval: Duration = .seconds(1)

  package init(urls: [String], key: String, secret: Secret) {
    self.urls = urls
    self.key = key
    self.secret = secret
  }

  /// The wait after so many failed attempts, 1 for the first. Without chance: see `jittered`.
  func wait(afterAttempts attempts: Int) -> Duration {
    let doublings = min(max(attempts - 1, 0), 30)
    return min(lastRetry, firstRetry * (1 << doublings))
  }

  /// Attempts that fit into `giveUp`. Counted rather than timed, so that a replayed event, which is old, has as many.
  var maximumAttempts: Int {
    var attempts = 1
    var time = Duration.zero
    while time < giveUp, attempts < 10_000 {
      time += max(wait(afterAttempts: attempts), .milliseconds(1))
      attempts += 1
    }
    return attempts
  }

  /// Up to a fifth longer, so that servers that failed together do not come back together.
  func jittered(_ wait: Duration, using random: inout some RandomNumberGenerator) -> Duration {
    wait + wait / 1000 * Int.random(in: 0...200, using: &random)
  }
}
