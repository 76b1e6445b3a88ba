import Core
package import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import ServiceLifecycle
import SIPTransport
import Synchronization

/// The HTTP server: plain and TLS listeners that share one router and one table of WebSocket routes.
///
/// On graceful shutdown it stops accepting, lets running requests finish and tells the WebSockets (1001). In a
/// `ServiceGroup` put it early: services stop last first, and calls want to end before their WebSockets do.
package final class HTTPServer: Service {
  private let configuration: HTTPServerConfiguration
  private let logger: Logger
  /// One Hummingbird application a listener, around one responder.
  private let makeApplication:
    @Sendable (HTTPServerBuilder, ApplicationConfiguration, @escaping @Sendable (any Channel) async -> Void) ->
      any Service
  private let webSockets: [String: WebSocketRoute]
  private let progress: Mutex<Progress>

  private struct Progress {
    var bound: [Int: BoundHTTPListener] = [:]
    var failure: (any Error)?
    var waiting: [CheckedContinuation<[BoundHTTPListener], any Error>] = []
  }

  /// - Parameters:
  ///   - webSockets: path → what to do with an upgrade there, such as `["/sip": .sip(stack)]`.
  ///   - group: where the connections live; with a SIP route it must consist of the SIP stack's loop.
  package init<Builder: HTTPResponderBuilder>(
    configuration: HTTPServerConfiguration, router: Builder, webSockets: [String: WebSocketRoute] = [:],
    group: any EventLoopGroup, logger: Logger
  ) where Builder.Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
    self.configuration = configuration
    self.webSockets = webSockets
    self.logger = logger
    progress = Mutex(Progress())
    let responder = router.buildResponder()
    makeApplication = { server, configuration, onServerRunning in
      Application(
        responder: responder, server: server, configuration: configuration, onServerRunning: onServerRunning,
        eventLoopGroupProvider: .shared(group), logger: logger)
    }
  }

  package func run() async throws {
    let admissions = HTTPAdmissions(limits: configuration.limits, logger: logger)
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, listener) in configuration.listeners.enumerated() {
          let application = application(listener, index, admissions)
          group.addTask {
            do {
              try await application.run()
            } catch let error where !(error is CancellationError) {
              throw HTTPServerError(description: "HTTP \(listener.address): \(error)")
            }
          }
        }
        try await group.waitForAll()
      }
      settle(with: HTTPServerError(description: "the HTTP server has ended"))
    } catch {
      settle(with: error)
      throw error
    }
  }

  private func application(
    _ listener: HTTPServerConfiguration.Listener, _ index: Int, _ admissions: HTTPAdmissions
  ) -> any Service {
    let channel = HTTPChannel.Configuration(limits: configuration.limits, tls: listener.tls, webSockets: webSockets)
    return makeApplication(
      HTTPServerBuilder { HTTPChannel(responder: $0, configuration: channel, admissions: admissions) },
      ApplicationConfiguration(
        address: .hostname(listener.address.ip.description, port: Int(listener.address.port)),
        serverName: configuration.serverName, backlog: 1_024),
      { channel in
        let address = Core.SocketAddress(channel.localAddress) ?? listener.address
        self.isListening(index, BoundHTTPListener(address: address, isSecure: listener.tls != nil))
      })
  }

  // MARK: Bound addresses

  /// The listeners in the order of the configuration, once all of them listen.
  ///
  /// - Throws: what made `run` fail.
  package func bound() async throws -> [BoundHTTPListener] {
    try await withCheckedThrowingContinuation { continuation in
      progress.withLock { $0.waiting.append(continuation) }
      resumeIfReady()
    }
  }

  private func isListening(_ index: Int, _ listener: BoundHTTPListener) {
    progress.withLock { $0.bound[index] = listener }
    resumeIfReady()
  }

  private func settle(with error: any Error) {
    progress.withLock { $0.failure = error }
    resumeIfReady()
  }

  private func resumeIfReady() {
    let count = configuration.listeners.count
    let (waiting, result) = progress.withLock {
      progress -> ([CheckedContinuation<[BoundHTTPListener], any Error>], Result<[BoundHTTPListener], any Error>?) in
      let result: Result<[BoundHTTPListener], any Error>? =
        if let failure = progress.failure {
          .failure(failure)
        } else if progress.bound.count == count {
          .success((0..<count).compactMap { progress.bound[$0] })
        } else {
          nil
        }
      guard result != nil else { return ([], nil) }
      defer { progress.waiting = [] }
      return (progress.waiting, result)
    }
    guard let result else { return }
    for continuation in waiting { continuation.resume(with: result) }
  }
}
