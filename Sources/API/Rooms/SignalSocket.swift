import Core
import LiveKitProtocol
import Logging
import NIOCore
import Rooms
import SIPTransport
import SwiftProtobuf

/// One signalling connection: WebSocket frames below, messages of one room session above.
///
/// It is made when the join is decided, keeps what the room says until the upgrade is written, and tells the room once
/// when it is gone, however it goes.
final class SignalSocket: ChannelInboundHandler, SignalSink, @unchecked Sendable {
  // @unchecked: everything happens on the channel's event loop, which is that of the rooms; `send` and `close` check it.
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private enum State {
    case waitingForUpgrade
    case open
    /// Our close frame is out, or everything is written and the socket closes: nothing is read any more.
    case closing
    case closed
  }

  private let channel: any Channel
  private let services: RoomsServices
  private var state = State.waitingForUpgrade
  private var messages: WebSocketMessages
  /// Set once the room has taken the join.
  var session: SessionID?
  /// The kind of the last message received is the kind of ours.
  var speaksJSON = false
  /// Frames, and the end, from before the upgrade.
  private var waiting: [ByteBuffer] = []
  private var closeAfterUpgrade: SignalClose?
  /// Bytes handed to the channel and not yet taken by the kernel.
  private var backlog = 0
  private var lastProgress = Instant.now()
  private var allowance: Double
  private var allowanceAt = Instant.now()
  private var isPaused = false
  private var timer: Scheduled<Void>?
  private var undecodable = 0

  init(channel: any Channel, services: RoomsServices) {
    self.channel = channel
    self.services = services
    messages = WebSocketMessages(maximumMessageSize: services.limits.maximumMessageSize)
    allowance = Double(services.limits.messageBurst)
  }

  private var limits: SignalLimits { services.limits }
  private var logger: Logger { services.logger }
  private var loop: NIOIsolatedEventLoop { channel.eventLoop.assumeIsolated() }

  // MARK: From the room

  func send(_ response: Livekit_SignalResponse) {
    channel.eventLoop.preconditionInEventLoop()
    guard state == .waitingForUpgrade || state == .open, closeAfterUpgrade == nil else { return }
    do {
      if speaksJSON {
        let text: [UInt8] = try response.jsonUTF8Bytes()
        emit(WebSocketFrameWriter.frame(.text, text, allocator: channel.allocator))
      } else {
        emit(WebSocketFrameWriter.frame(.binary, try response.serializedBytes(), allocator: channel.allocator))
      }
    } catch {
      // Only a message with `Any`, or one above 2 GiB, cannot be written; ours are neither.
      logger.error("a signal message cannot be written", metadata: ["error": "\(error)"])
    }
  }

  func close(_ code: SignalClose) {
    channel.eventLoop.preconditionInEventLoop()
    switch state {
    case .waitingForUpgrade: closeAfterUpgrade = closeAfterUpgrade ?? code
    case .open: end(code)
    case .closing, .closed: break
    }
  }

  // MARK: Lifecycle

  /// The 101 is written and the HTTP handlers are gone.
  func upgraded() {
    guard state == .waitingForUpgrade else { return }
    state = .open
    for frame in waiting { emit(frame) }
    waiting = []
    if let code = closeAfterUpgrade { return end(code) }
    scheduleTick()
    drain()
  }

  func channelInactive(context: ChannelHandlerContext) {
    left()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { left() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    logger.debug("signalling connection failed", metadata: ["error": "\(error)"])
    context.close(promise: nil)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    // The other side will send no more; a WebSocket needs both directions.
    if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    context.fireUserInboundEventTriggered(event)
  }

  /// Tells the room once that this connection is no more.
  func left() {
    state = .closed
    timer?.cancel()
    timer = nil
    waiting = []
    guard let session else { return }
    self.session = nil
    // Not at once: the room itself may be what closed the socket, in the midst of its work.
    let rooms = services.rooms
    channel.eventLoop.execute { rooms.assumeIsolated { $0.disconnected(session) } }
  }

  // MARK: In

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard state == .open || state == .waitingForUpgrade || state == .closing else { return }
    messages.append(unwrapInboundIn(data))
    if state != .waitingForUpgrade { drain() }
  }

  /// Takes the messages that have arrived, as fast as one client may send them.
  private func drain() {
    while !isPaused, state == .open || state == .closing {
      if state == .open, !mayTakeOne { return pause() }
      guard let event = messages.next() else { return }
      allowance -= 1
      switch event {
      case .message(let bytes, let isText): if state == .open { receive(bytes, isText: isText) }
      case .ping(let payload):
        if state == .open { emit(WebSocketFrameWriter.frame(.pong, payload, allocator: channel.allocator)) }
      case .pong: break
      case .close(let code, let reason, _): return peerClosed(code, reason)
      }
    }
  }

  private func receive(_ bytes: [UInt8], isText: Bool) {
    speaksJSON = isText
    guard let session else { return }
    do {
      let request: Livekit_SignalRequest
      if isText {
        var options = JSONDecodingOptions()
        options.ignoreUnknownFields = true
        request = try Livekit_SignalRequest(jsonUTF8Bytes: bytes, options: options)
      } else {
        request = try Livekit_SignalRequest(serializedBytes: bytes)
      }
      services.rooms.assumeIsolated { $0.receive(request, from: session) }
    } catch {
      // Ignored: a newer client may say what we cannot read. Told once a connection.
      undecodable += 1
      if undecodable == 1 {
        logger.info(
          "a signal message cannot be read", metadata: ["bytes": "\(bytes.count)", "json": "\(isText)"])
      }
    }
  }

  private var mayTakeOne: Bool {
    let now = Instant.now()
    let rate = Double(limits.messagesPerSecond)
    allowance = min(Double(limits.messageBurst), allowance + (now - allowanceAt).inSeconds * rate)
    allowanceAt = now
    return allowance >= 1
  }

  /// Stops reading, so that the client's own socket fills, until it may go on.
  private func pause() {
    isPaused = true
    setAutoRead(false)
    let delay = TimeAmount.nanoseconds(Int64(10e9) / Int64(max(1, limits.messagesPerSecond)))
    loop.scheduleTask(in: max(.milliseconds(20), min(delay, .seconds(1)))) { [weak self] in
      guard let self, self.state != .closed else { return }
      self.isPaused = false
      self.setAutoRead(true)
      self.drain()
    }
  }

  private func setAutoRead(_ value: Bool) {
    // Fails on a closed channel only.
    try? channel.syncOptions?.setOption(.autoRead, value: value)
  }

  // MARK: Out

  private func emit(_ frame: ByteBuffer) {
    guard state != .waitingForUpgrade else { return waiting.append(frame) }
    let size = frame.readableBytes
    if backlog == 0 { lastProgress = .now() }
    // One message may be larger than the bound: what a room has to say at the join depends on the room.
    guard backlog <= limits.maximumBacklog else { return cut("it takes its messages too slowly") }
    backlog += size
    channel.writeAndFlush(frame).assumeIsolated().whenComplete { [weak self] _ in
      guard let self else { return }
      self.backlog -= size
      self.lastProgress = .now()
    }
  }

  private func scheduleTick() {
    timer = loop.scheduleTask(in: .nanoseconds(limits.pingInterval.nanoseconds)) { [weak self] in self?.tick() }
  }

  private func tick() {
    guard state == .open else { return }
    scheduleTick()
    if backlog > 0, Instant.now() - lastProgress > limits.sendTimeout { return cut("it takes no messages") }
    emit(WebSocketFrameWriter.frame(.ping, [], allocator: channel.allocator))
  }

  private func cut(_ reason: String) {
    logger.notice(
      "signalling connection cut", metadata: ["reason": "\(reason)", "backlog": "\(backlog)"])
    state = .closing
    channel.close(promise: nil)
  }

  // MARK: The end

  /// Sends what is left and closes.
  private func end(_ code: SignalClose) {
    let last: ByteBuffer
    switch code {
    case .normal: last = WebSocketFrameWriter.close(1000, reason: "", allocator: channel.allocator)
    case .goingAway: last = WebSocketFrameWriter.close(1001, reason: "", allocator: channel.allocator)
    case .cut: last = channel.allocator.buffer(capacity: 0)
    }
    finish(last, awaitsAnswer: code != .cut)
  }

  private func finish(_ last: ByteBuffer, awaitsAnswer: Bool) {
    state = .closing
    let channel = channel
    let isWritten = channel.writeAndFlush(last)
    if !awaitsAnswer { isWritten.whenComplete { _ in channel.close(promise: nil) } }
    // The client answers with its own close frame; one that does not, or does not read, is not waited for.
    loop.scheduleTask(in: .nanoseconds(limits.closeTimeout.nanoseconds)) { channel.close(promise: nil) }
  }

  private func peerClosed(_ code: UInt16, _ reason: String) {
    guard state == .open else { return channel.close(promise: nil) }
    finish(WebSocketFrameWriter.close(code, reason: reason, allocator: channel.allocator), awaitsAnswer: false)
  }
}
