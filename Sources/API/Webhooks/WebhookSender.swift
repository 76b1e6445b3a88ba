import AsyncHTTPClient
import Core
import NIOCore
import NIOHTTP1

/// How an attempt to deliver a webhook ended.
package struct WebhookOutcome: Sendable, Equatable {
  /// Of the answer; nil where there was none.
  package var status: Int?
  /// In words; empty after a success.
  package var problem: String

  package init(status: Int?, problem: String) {
    self.status = status
    self.problem = problem
  }

  package var isSuccess: Bool { status.map { (200...299).contains($0) } ?? false }

  /// Whether another attempt may help: no answer, a fault of the receiver, or its wish to be asked later. Any other
  /// answer is a decision.
  package var isTransient: Bool {
    guard let status else { return true }
    return status >= 500 || [408, 425, 429].contains(status)
  }
}

/// Posts one webhook. Tests give their own.
package protocol WebhookSender: Sendable {
  /// - Parameter authorization: the value of the Authorization field; LiveKit's receivers expect no scheme before it.
  func send(_ body: String, to url: String, authorization: String, timeout: Duration) async -> WebhookOutcome
  func shutdown() async
}

/// Posts webhooks over HTTP and HTTPS, on its own event loops: TLS and slow receivers do not meet the signalling loop.
package final class HTTPWebhookSender: WebhookSender {
  private let client: HTTPClient

  package init() {
    var configuration = HTTPClient.Configuration()
    // A redirect would carry the signed body to a place that nobody configured.
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(5)
    // The outbox tries again, later and with a record of it.
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  package func send(_ body: String, to url: String, authorization: String, timeout: Duration) async -> WebhookOutcome {
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "Content-Type", value: "application/webhook+json")
    request.headers.add(name: "Authorization", value: authorization)
    request.headers.add(name: "User-Agent", value: "Parley")
    request.body = .bytes(ByteBuffer(string: body))
    do {
      let response = try await client.execute(request, timeout: .nanoseconds(timeout.nanoseconds))
      // A short answer is read, so that the connection can be used again; a long one is not worth it.
      _ = try? await response.body.collect(upTo: 65_536)
      let status = Int(response.status.code)
      let isSuccess = (200...299).contains(status)
      return WebhookOutcome(status: status, problem: isSuccess ? "" : "the receiver answered \(status)")
    } catch {
      return WebhookOutcome(status: nil, problem: String("\(error)".prefix(200)))
    }
  }

  package func shutdown() async { try? await client.shutdown() }
}
