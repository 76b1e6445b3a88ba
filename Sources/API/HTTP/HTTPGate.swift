import Core
import HTTPTypes
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import SIPTransport

/// What a connection became: known when its first request's head has been read.
enum HTTPOutcome: Sendable {
  case http(NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>)
  /// A WebSocket route owns the channel.
  case upgraded
}

/// Stands behind the HTTP decoder of each connection: turns the first request into a WebSocket or lets plain HTTP
/// through, and keeps slow or oversized requests away from the router.
///
/// NIO's own upgrade handler is not used: a refused upgrade, and any `Upgrade` that nobody takes, hang in it.
///
/// ```
/// bytes ─▶ ByteArrival ─▶ HTTPRequestDecoder ─▶ HTTPGate ─▶ (HTTP: codec ─▶ state ─▶ NIOAsyncChannel)
///                                                       └─▶ (WebSocket: all of these leave; the route's handlers)
/// ```
final class HTTPGate: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private enum State {
    case firstHead
    /// An upgrade request was begun; its end is awaited.
    case upgradeRequest(HTTPRequestHead)
    /// The route is being asked.
    case deciding
    case http
    case upgraded
    /// We answered and close; nothing is read or written any more.
    case refused
  }

  private enum Timer { case head, body }

  private let configuration: HTTPChannel.Configuration
  private let outcome: EventLoopPromise<HTTPOutcome>
  private let release: @Sendable () -> Void
  private let logger: Logger
  private var state = State.firstHead
  private var timer: Scheduled<Void>?
  private var isReadingRequest = false
  private var responseStarted = false
  private var bodySize = 0
  /// Set until `outcome` is completed and the connection's permit is given back.
  private var isUndecided = true
  private var holdsPermit = true
  private var context: ChannelHandlerContext?

  /// - Parameter release: gives the connection's permit back; called once.
  init(
    configuration: HTTPChannel.Configuration, outcome: EventLoopPromise<HTTPOutcome>,
    release: @escaping @Sendable () -> Void, logger: Logger
  ) {
    self.configuration = configuration
    self.outcome = outcome
    self.release = release
    self.logger = logger
  }

  private var limits: HTTPServerConfiguration.Limits { configuration.limits }

  // MARK: Lifecycle

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    arm(.head)
  }

  func handlerRemoved(context: ChannelHandlerContext) { finish() }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
    context.fireChannelInactive()
  }

  private func finish() {
    disarm()
    context = nil
    if isUndecided {
      isUndecided = false
      outcome.fail(ChannelError.eof)
    }
    givePermitBack()
  }

  private func givePermitBack() {
    if holdsPermit {
      holdsPermit = false
      release()
    }
  }

  // MARK: Deadlines

  /// Bytes came from the socket: if they belong to a new request, its head must follow in time.
  func bytesArrived() {
    if case .http = state, !isReadingRequest, timer == nil { arm(.head) }
  }

  private func arm(_ kind: Timer) {
    disarm()
    guard let context else { return }
    let limit = kind == .head ? limits.headTimeout : limits.bodyTimeout
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(limit.nanoseconds)) { [weak self] in
      self?.expired()
    }
  }

  private func disarm() {
    timer?.cancel()
    timer = nil
  }

  private func expired() {
    timer = nil
    guard let context else { return }
    logger.debug(
      "HTTP request not completed in time", metadata: ["remote": "\(String(describing: context.remoteAddress))"])
    if !isReadingRequest && bodySize == 0, case .firstHead = state {
      // Nothing, or part of a head: an answer would be no use to an idle connection that a browser opened ahead.
      context.close(promise: nil)
    } else {
      refuse(.init(.requestTimeout, "The request took too long."))
    }
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch state {
    case .upgraded:
      // Bytes that came behind the upgrade request.
      context.fireChannelRead(data)
    case .refused, .deciding: break
    case .firstHead, .http, .upgradeRequest: read(unwrapInboundIn(data), context)
    }
  }

  private func read(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
    switch part {
    case .head(var head):
      head.uri = WebSocketHandshake.collapsingLeadingSlashes(head.uri)
      isReadingRequest = true
      bodySize = 0
      arm(.body)
      if case .firstHead = state {
        if WebSocketHandshake.isUpgrade(head) {
          state = .upgradeRequest(head)
          return
        }
        guard becomeHTTP(context) else { return }
      }
      if let length = head.headers.first(name: "Content-Length"), Int(length) ?? .max > limits.maximumBodySize {
        return refuse(tooLarge)
      }
      context.fireChannelRead(wrapInboundOut(.head(Self.withoutUpgrade(head))))
    case .body(let bytes):
      if case .upgradeRequest = state { return refuse(.init(.badRequest, "An upgrade request has no body.")) }
      bodySize += bytes.readableBytes
      guard bodySize <= limits.maximumBodySize else { return refuse(tooLarge) }
      context.fireChannelRead(wrapInboundOut(part))
    case .end:
      isReadingRequest = false
      disarm()
      if case .upgradeRequest(let head) = state {
        upgrade(head, context)
      } else {
        context.fireChannelRead(wrapInboundOut(part))
      }
    }
  }

  private var tooLarge: WebSocketRoute.Refusal {
    .init(.payloadTooLarge, "A request body has at most \(limits.maximumBodySize) bytes here.")
  }

  /// The decoder reads nothing behind a request that asked for an upgrade, so such a connection ends with its answer.
  private static func withoutUpgrade(_ head: HTTPRequestHead) -> HTTPRequestHead {
    guard head.headers.contains(name: "Upgrade") || head.method == .CONNECT else { return head }
    var head = head
    head.headers.remove(name: "Upgrade")
    head.headers.remove(name: "HTTP2-Settings")
    head.headers.replaceOrAdd(name: "Connection", value: "close")
    return head
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is ChannelShouldQuiesceEvent {
      switch state {
      case .firstHead, .upgradeRequest, .deciding: context.close(promise: nil)
      case .http, .upgraded, .refused: break
      }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch state {
    case .firstHead, .upgradeRequest:
      guard error is HTTPParserError else { return context.close(promise: nil) }
      refuse(.init(.badRequest, "This is not HTTP: \(error)."))
    case .http: context.fireErrorCaught(error)
    case .upgraded: context.fireErrorCaught(error)
    case .deciding, .refused: context.close(promise: nil)
    }
  }

  // MARK: Out

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch state {
    case .upgraded: context.write(data, promise: promise)
    case .refused:
      promise?.fail(ChannelError.ioOnClosedChannel)
    default:
      switch unwrapOutboundIn(data) {
      case .head: responseStarted = true
      case .end: responseStarted = false
      case .body: break
      }
      context.write(data, promise: promise)
    }
  }

  /// Answers in plain text and closes the connection.
  private func refuse(_ refusal: WebSocketRoute.Refusal, headers additional: [(String, String)] = []) {
    disarm()
    guard let context else { return }
    state = .refused
    guard !responseStarted else { return context.close(promise: nil) }
    let body = ByteBuffer(string: refusal.message + "\n")
    var headers = HTTPHeaders([
      ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "\(body.readableBytes)"),
      ("Connection", "close"),
    ])
    headers.add(contentsOf: additional)
    if refusal.status == .upgradeRequired {
      headers.add(name: "Sec-WebSocket-Version", value: "13")
      headers.add(name: "Upgrade", value: "websocket")
    }
    context.write(
      wrapOutboundOut(.head(.init(version: .http1_1, status: refusal.status, headers: headers))), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    let written = context.eventLoop.makePromise(of: Void.self)
    let channel = context.channel
    written.futureResult.whenComplete { _ in channel.close(promise: nil) }
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: written)
  }

  // MARK: What it becomes

  private func becomeHTTP(_ context: ChannelHandlerContext) -> Bool {
    do {
      let pipeline = context.pipeline.syncOperations
      try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: configuration.tls != nil))
      try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: limits.idleTimeout, logger: logger))
      let channel = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
        wrappingChannelSynchronously: context.channel, configuration: .init(isOutboundHalfClosureEnabled: true))
      state = .http
      isUndecided = false
      outcome.succeed(.http(channel))
      return true
    } catch {
      context.close(promise: nil)
      return false
    }
  }

  private func upgrade(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    let route: WebSocketRoute
    let headers: HTTPHeaders
    let ofRefusal = configuration.webSockets[WebSocketHandshake.path(head)]?.refusalHeaders ?? []
    do throws(WebSocketRoute.Refusal) {
      (route, headers) = try WebSocketHandshake.accept(head, routes: configuration.webSockets)
    } catch {
      return refuse(error, headers: ofRefusal)
    }
    state = .deciding
    arm(.head)
    let request = WebSocketRoute.Request(head: head, channel: context.channel, isSecure: configuration.tls != nil)
    route.authorize(request).hop(to: context.eventLoop).assumeIsolated().whenComplete { result in
      guard self.context != nil, case .deciding = self.state else { return }
      switch result {
      case .success: self.switchProtocols(route, request, headers)
      case .failure(let refusal as WebSocketRoute.Refusal): self.refuse(refusal, headers: ofRefusal)
      case .failure(let error):
        self.logger.warning("WebSocket upgrade failed", metadata: ["error": "\(error)"])
        self.refuse(.init(.internalServerError, "The upgrade failed."), headers: ofRefusal)
      }
    }
  }

  private func switchProtocols(_ route: WebSocketRoute, _ request: WebSocketRoute.Request, _ headers: HTTPHeaders) {
    guard let context else { return }
    disarm()
    context.write(
      wrapOutboundOut(.head(.init(version: .http1_1, status: .switchingProtocols, headers: headers))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    state = .upgraded
    isUndecided = false
    outcome.succeed(.upgraded)
    let channel = context.channel
    route.adopt(request).hop(to: context.eventLoop).assumeIsolated().whenComplete { result in
      if case .failure = result { return channel.close(promise: nil) }
      self.leave()
    }
  }

  /// Takes the HTTP handlers out of the channel; the decoder hands over the bytes that it has not read.
  private func leave() {
    guard let context else { return }
    let pipeline = context.pipeline.syncOperations
    givePermitBack()
    if let encoder = try? pipeline.context(handlerType: HTTPResponseEncoder.self) {
      pipeline.removeHandler(context: encoder, promise: nil)
    }
    if let arrival = try? pipeline.context(handlerType: ByteArrival.self) {
      pipeline.removeHandler(context: arrival, promise: nil)
    }
    guard let decoder = try? pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self) else {
      return pipeline.removeHandler(context: context, promise: nil)
    }
    let gone = context.eventLoop.makePromise(of: Void.self)
    gone.futureResult.assumeIsolated().whenComplete { _ in
      guard let own = self.context else { return }
      own.pipeline.syncOperations.removeHandler(context: own, promise: nil)
    }
    pipeline.removeHandler(context: decoder, promise: gone)
  }
}

/// Tells the gate that bytes came, before they are a request.
final class ByteArrival: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer

  private let gate: HTTPGate

  init(gate: HTTPGate) {
    self.gate = gate
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    gate.bytesArrived()
    context.fireChannelRead(data)
  }
}
