import Core
import Logging
import NIOCore
import NIOSSL
import SIP

/// One TCP, TLS or WebSocket connection: the last handler of its channel.
///
/// Bytes go through `Framing` and come out as messages within the read. Deadlines are looked at by the core's sweep,
/// so an idle connection owns no timer.
final class SIPConnection: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum Phase {
    case open
    /// A WebSocket close frame was sent; the peer's is awaited until the deadline.
    case closing(until: Instant)
    case closed
  }

  let flow: Flow
  let isInbound: Bool
  private let core: TransportCore
  private var framing: Framing
  private var context: ChannelHandlerContext?
  private var phase = Phase.open

  private var lastReceived: Instant
  /// Whether a whole message or keep-alive ever came.
  private var isProven = false
  private var partialSince: Instant?
  private var pingSent: Instant?
  /// Reading is paused because the source sends too fast.
  private var pausedUntil: Instant?
  private var unwritableSince: Instant?

  init(flow: Flow, isInbound: Bool, framing: Framing, core: TransportCore) {
    self.flow = flow
    self.isInbound = isInbound
    self.framing = framing
    self.core = core
    lastReceived = .now()
  }

  private var limits: SIPTransportLimits { core.limits }

  // MARK: Channel

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: 16_384, high: 65_536))
    core.opened(self)
  }

  func handlerRemoved(context: ChannelHandlerContext) { finish() }

  func channelInactive(context: ChannelHandlerContext) {
    finish()
    context.fireChannelInactive()
  }

  private func finish() {
    guard context != nil else { return }
    context = nil
    phase = .closed
    core.closed(self)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let buffer = unwrapInboundIn(data)
    let now = Instant.now()
    lastReceived = now
    pingSent = nil
    core.count(bytesIn: buffer.readableBytes, on: flow.transport)
    framing.append(buffer)
    var completed = false
    while self.context != nil, let event = framing.next() {
      completed = true
      handle(event, now)
    }
    if completed { isProven = true }
    partialSince = framing.isPartial ? (completed ? now : partialSince ?? now) : nil
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    unwritableSince = context.channel.isWritable ? nil : .now()
    context.fireChannelWritabilityChanged()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is ChannelShouldQuiesceEvent { goAway() }
    // The peer has closed its half. SIP has no use for half a connection.
    if case ChannelEvent.inputClosed = event { abort() }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    switch error {
    case NIOSSLError.uncleanShutdown: break
    case is NIOSSLError, is BoringSSLError:
      if !isProven { core.refuse(.tls, from: flow.remote.ip, on: flow.transport, detail: "\(error)") }
    default: core.logger.debug("connection error", metadata: ["flow": "\(flow)", "error": "\(error)"])
    }
    abort()
  }

  // MARK: In

  private func handle(_ event: Framing.Event, _ now: Instant) {
    switch phase {
    case .open: break
    case .closing:
      if case .close = event { abort() }
      return
    case .closed: return
    }
    takeAllowance(now)
    switch event {
    case .message(let message): core.received(message, on: flow)
    case .keepAlivePing: write([0x0D, 0x0A], opcode: .text)
    case .sign: break
    case .webSocketPing(let payload): write(payload, opcode: .pong)
    case .malformed(let error):
      if let answer = core.answer(malformed: error, on: flow) { send(answer) }
    case .lost(let error):
      if let answer = core.answer(malformed: error, on: flow) { send(answer) }
      closeAfterWrites()
    case .close(let code, let reason, let refusal):
      if let refusal { core.refuse(refusal, from: flow.remote.ip, on: flow.transport, detail: reason) }
      sendClose(code, reason)
      if refusal == nil { closeAfterWrites() } else { phase = .closing(until: now + limits.closeTimeout) }
    }
  }

  /// A stream above its source's rate is read no further until the allowance is back; what was read is served.
  private func takeAllowance(_ now: Instant) {
    guard let wait = core.limiter.takeMessage(from: flow.remote.ip, now: now, debt: 256) else { return }
    if pausedUntil == nil {
      core.refuse(.messageRate, from: flow.remote.ip, on: flow.transport)
      try? context?.channel.syncOptions?.setOption(.autoRead, value: false)
    }
    pausedUntil = now + wait
  }

  // MARK: Out

  /// Sends one SIP message.
  func send(_ bytes: [UInt8]) {
    // RFC 7118 §5: a message travels in a text frame when it is UTF-8.
    write(bytes, opcode: framing.isWebSocket && !bytes.isUTF8 ? .binary : .text)
    core.count(sent: bytes.count, on: flow.transport)
  }

  private func write(_ bytes: [UInt8], opcode: WebSocketOpcode) {
    guard case .open = phase, let context else { return }
    let channel = context.channel
    let buffer =
      framing.isWebSocket
      ? WebSocketFrameWriter.frame(opcode, bytes, allocator: channel.allocator)
      : channel.allocator.buffer(bytes: bytes)
    context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
    guard !channel.isWritable, let unsent = try? channel.syncOptions?.getOption(.bufferedWritableBytes),
      unsent > limits.maximumUnsentBytes
    else { return }
    core.refuse(.slowReader, from: flow.remote.ip, on: flow.transport)
    abort()
  }

  private func sendClose(_ code: UInt16, _ reason: String) {
    guard let context else { return }
    context.writeAndFlush(
      wrapOutboundOut(WebSocketFrameWriter.close(code, reason: reason, allocator: context.channel.allocator)),
      promise: nil)
  }

  // MARK: Time

  /// Looks at the deadlines; called by the core every sweep.
  func check(_ now: Instant) {
    if let until = pausedUntil {
      guard now >= until else { return }
      pausedUntil = nil
      try? context?.channel.syncOptions?.setOption(.autoRead, value: true)
    }
    if case .closing(let until) = phase {
      if now >= until { abort() }
      return
    }
    if let since = unwritableSince, since.duration(to: now) >= limits.unwritableTimeout {
      end(.slowReader)
    } else if let since = partialSince, since.duration(to: now) >= limits.partialMessageTimeout {
      end(.partialTimeout)
    } else if framing.isWebSocket {
      checkWebSocket(now)
    } else if lastReceived.duration(to: now)
      >= (isProven || !isInbound ? limits.streamIdleTimeout : limits.firstMessageTimeout)
    {
      end(isProven ? .idle : .silent)
    }
  }

  private func checkWebSocket(_ now: Instant) {
    if let sent = pingSent {
      if sent.duration(to: now) >= limits.pongTimeout { end(.pongTimeout) }
    } else if lastReceived.duration(to: now) >= limits.webSocketPingInterval {
      pingSent = now
      write([], opcode: .ping)
    }
  }

  private func end(_ reason: RefusalReason) {
    core.refuse(reason, from: flow.remote.ip, on: flow.transport)
    guard framing.isWebSocket, reason == .partialTimeout else { return abort() }
    sendClose(WebSocketCloseCode.policyViolation.rawValue, reason.text)
    phase = .closing(until: .now() + limits.closeTimeout)
  }

  // MARK: Closing

  /// The server goes away: 1001 to a WebSocket, an orderly end of the stream to others.
  func goAway() {
    guard case .open = phase else { return }
    guard framing.isWebSocket else { return closeAfterWrites() }
    sendClose(WebSocketCloseCode.goingAway.rawValue, "server is shutting down")
    phase = .closing(until: .now() + limits.closeTimeout)
  }

  /// Ends the connection once what was written is out; at the latest after the close timeout.
  private func closeAfterWrites() {
    phase = .closing(until: .now() + limits.closeTimeout)
    guard let context else { return }
    let promise = context.eventLoop.makePromise(of: Void.self)
    let box = NIOLoopBound(self, eventLoop: context.eventLoop)
    promise.futureResult.whenComplete { _ in box.value.abort() }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: promise)
  }

  func abort() {
    guard let context else { return }
    phase = .closed
    context.close(promise: nil)
  }
}
