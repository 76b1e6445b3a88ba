internal import Core

/// A channel that is open (RFC 8832).
package struct DataChannel: Sendable, Hashable {
  /// The SCTP stream in both directions; names the channel as long as it is open.
  package var streamID: UInt16
  /// Not unique.
  package var label: String
  package var subprotocol: String
  package var isOrdered: Bool
  /// Nil: messages are not given up for retransmissions.
  package var maxRetransmits: UInt32?
  /// In milliseconds; nil: messages are not given up for their age.
  package var maxLifetime: UInt32?
  /// We opened it.
  package var isLocal: Bool
}

/// Messages of one peer's channels since they were made.
package struct DataChannelStatistics: Sendable, Hashable {
  package var messagesSent: UInt64 = 0
  package var bytesSent: UInt64 = 0
  /// Larger than the peer takes, on no open channel, or without room in the send buffer.
  package var messagesNotSent: UInt64 = 0
  package var messagesReceived: UInt64 = 0
  package var bytesReceived: UInt64 = 0
  /// On no open channel, too large, or of an unknown kind.
  package var messagesRejected: UInt64 = 0

  package init() {}
}

/// The data channels of one peer: SCTP over its transport's DTLS (RFC 8831), opened in band. Worker-confined.
///
/// The transport starts it when DTLS is verified. Channels of both sides are announced by `onOpen`. Handlers may call
/// any method, `close` and `send` included.
package final class DataChannels {
  /// Channels open or closing at a time, of both sides together.
  package static let maximumChannels = Int(SCTPAssociation.streams)
  /// What is said as `a=max-message-size` if nothing else is wanted, and the peer's limit where its SDP names none
  /// (RFC 8841 §6.1).
  package static let defaultMessageSize = 65_536
  /// Bytes that all channels together may have waiting; `send` refuses beyond.
  package static let sendBufferSize = SCTPAssociation.sendBuffer

  /// A channel is there; messages may be sent.
  package var onOpen: ((DataChannel) -> Void)?
  /// One message of an open channel; the bytes live as long as the call.
  package var onMessage: ((_ streamID: UInt16, _ isBinary: Bool, UnsafeRawBufferPointer) -> Void)?
  /// The peer closed the channel, or broke its rules.
  package var onClose: ((_ streamID: UInt16) -> Void)?
  /// After `send` was refused for want of room: half of the send buffer is free.
  package var onWritable: (() -> Void)?
  /// The association is over, by the peer or by its silence, for the reason given; all channels are gone. A new one
  /// needs a new DTLS association.
  package var onEnd: ((String) -> Void)?

  /// Largest message that we take, as `a=max-message-size` says.
  package let maximumMessageSize: Int
  /// The peer's `a=max-message-size`; 0: no limit.
  package var remoteMaximumMessageSize = DataChannels.defaultMessageSize
  package private(set) var statistics = DataChannelStatistics()

  private let association: SCTPAssociation
  private var state = State.waiting(held: [])
  private var channels: [UInt16: Channel] = [:]
  private var closing: [UInt16: Closing] = [:]
  /// Channels of ours that wait for the association.
  private var requested: [DCEPMessage.Open] = []
  /// DCEP messages for which the send buffer had no room.
  private var unsent: [(stream: UInt16, message: DCEPMessage)] = []
  private var limit = 0
  private var firstStream: UInt16 = 0

  private enum State {
    /// For DTLS. The peer's first packets may come in one datagram with the end of the handshake.
    case waiting(held: [[UInt8]])
    case connecting
    case open
    case ended
  }

  private struct Channel {
    var description: DataChannel
    /// The peer knows the channel; until then every message must follow OPEN in order (RFC 8832 §6).
    var isAcknowledged: Bool
    var policy: SCTPAssociation.Policy
  }

  /// A stream is free again when both directions are reset (RFC 8831 §6.7).
  private struct Closing {
    var incomingIsReset: Bool
    var outgoingIsReset: Bool
  }

  private enum PPID {
    static let dcep: UInt32 = 50
    static let text: UInt32 = 51
    static let binary: UInt32 = 53
    static let emptyText: UInt32 = 56
    static let emptyBinary: UInt32 = 57
  }

  private static let maximumHeld = 8
  private static let maximumRequested = 64

  /// - Parameter transmit: Sends one SCTP packet as DTLS application data.
  package init(
    worker: MediaWorker, maximumMessageSize: Int, transmit: @escaping (UnsafeRawBufferPointer) -> Void
  ) {
    self.maximumMessageSize = maximumMessageSize
    association = SCTPAssociation(worker: worker, maximumMessageSize: maximumMessageSize, transmit: transmit)
    association.onEvent = { [unowned self] in self.take($0) }
  }

  deinit { association.close() }

  // MARK: The transport's side

  // Also the way in for whoever has another path than DTLS, such as the fuzzer.

  /// DTLS is verified; `role` is ours, which decides the numbers of our channels (RFC 8832 §6).
  package func start(role: DTLSRole) {
    guard case .waiting(let held) = state else { return }
    firstStream = role == .client ? 0 : 1
    state = .connecting
    do throws(TransportError) {
      try association.start()
    } catch {
      return end(error.description)
    }
    for packet in held { packet.withUnsafeBytes { association.receive($0) } }
  }

  /// One record of application data.
  package func receive(_ packet: UnsafeRawBufferPointer) {
    switch state {
    case .waiting(var held):
      guard held.count < DataChannels.maximumHeld else { return }
      held.append([UInt8](packet))
      state = .waiting(held: held)
    case .connecting, .open: association.receive(packet)
    case .ended: break
    }
  }

  /// The transport below is gone.
  func transportEnded(_ reason: String) { end(reason) }

  // MARK: The user's side

  /// Whether messages can pass; channels may be asked for before.
  package var isOpen: Bool { if case .open = state { true } else { false } }

  /// The channels that are open, by stream.
  package var open: [DataChannel] { channels.values.map(\.description).sorted { $0.streamID < $1.streamID } }

  /// Opens a channel, now or when the association is there; `onOpen` tells its stream.
  /// - Parameters:
  ///   - label: With `subprotocol` at most 1,024 bytes.
  ///   - maxRetransmits: Nil: reliable.
  /// - Returns: False when there are too many channels, or none any more.
  @discardableResult
  package func open(
    label: String, subprotocol: String = "", ordered: Bool = true, maxRetransmits: UInt16? = nil
  ) -> Bool {
    guard label.utf8.count + subprotocol.utf8.count <= DCEPMessage.maximumText else { return false }
    let request = DCEPMessage.Open(
      label: label, subprotocol: subprotocol, isOrdered: ordered,
      reliability: maxRetransmits.map { .retransmissions(UInt32($0)) } ?? .reliable)
    switch state {
    case .ended: return false
    case .waiting, .connecting:
      guard requested.count < DataChannels.maximumRequested else { return false }
      requested.append(request)
      return true
    case .open: return open(request)
    }
  }

  /// Sends one message; false where it was refused: see `DataChannelStatistics.messagesNotSent`.
  @discardableResult
  package func send(_ streamID: UInt16, isBinary: Bool, _ message: UnsafeRawBufferPointer) -> Bool {
    guard case .open = state, let channel = channels[streamID],
      remoteMaximumMessageSize == 0 || message.count <= remoteMaximumMessageSize
    else {
      statistics.messagesNotSent &+= 1
      return false
    }
    var policy = channel.policy
    if !channel.isAcknowledged { policy.isOrdered = true }
    // SCTP has no empty messages: one zero byte stands for them (RFC 8831 §6.6).
    let sent =
      if message.isEmpty {
        withUnsafeBytes(of: UInt8(0)) {
          association.send($0, stream: streamID, ppid: isBinary ? PPID.emptyBinary : PPID.emptyText, policy: policy)
        }
      } else {
        association.send(message, stream: streamID, ppid: isBinary ? PPID.binary : PPID.text, policy: policy)
      }
    if sent {
      statistics.messagesSent &+= 1
      statistics.bytesSent &+= UInt64(message.count)
    } else {
      statistics.messagesNotSent &+= 1
    }
    return sent
  }

  @discardableResult
  package func send(_ streamID: UInt16, isBinary: Bool, _ message: [UInt8]) -> Bool {
    message.withUnsafeBytes { send(streamID, isBinary: isBinary, $0) }
  }

  /// Bytes of the channel that the peer has not acknowledged, sent or not. While several channels send at once it is an
  /// estimate: the oldest messages count as acknowledged first.
  package func bufferedAmount(_ streamID: UInt16) -> Int { association.buffered(on: streamID) }

  /// Closes a channel after what it still has to send; nothing of it is delivered any more, `onClose` is not called.
  package func close(_ streamID: UInt16) {
    guard channels.removeValue(forKey: streamID) != nil else { return }
    closing[streamID] = Closing(incomingIsReset: false, outgoingIsReset: false)
    association.reset(streamID)
  }

  /// Aborts the association; no handler is called any more. Calling it again changes nothing.
  package func close() {
    onOpen = nil
    onMessage = nil
    onClose = nil
    onWritable = nil
    onEnd = nil
    end("closed")
  }

  // MARK: Events

  private func take(_ event: SCTPAssociation.Event) {
    switch event {
    case .up(let outgoing, let incoming):
      guard case .connecting = state else { return }
      state = .open
      limit = min(outgoing, incoming, DataChannels.maximumChannels)
      let waiting = requested
      requested = []
      for request in waiting { open(request) }
    case .message(let stream, let ppid, let bytes): bytes.withUnsafeBytes { receive($0, stream: stream, ppid: ppid) }
    case .oversized(let stream):
      statistics.messagesRejected &+= 1
      refuse(stream)
    case .incomingReset(let streams): for stream in streams { incomingReset(stream) }
    case .outgoingReset(let streams):
      for stream in streams {
        closing[stream]?.outgoingIsReset = true
        forgetIfClosed(stream)
      }
    case .writable:
      sendUnsent()
      if unsent.isEmpty { onWritable?() }
    case .ended(let reason): end(reason)
    }
  }

  private func end(_ reason: String) {
    if case .ended = state { return }
    state = .ended
    channels = [:]
    closing = [:]
    requested = []
    unsent = []
    association.close()
    onEnd?(reason)
  }

  private func receive(_ message: UnsafeRawBufferPointer, stream: UInt16, ppid: UInt32) {
    guard ppid != PPID.dcep else { return receive(dcep: message, stream: stream) }
    guard channels[stream] != nil else {
      statistics.messagesRejected &+= 1
      return
    }
    let (isBinary, isEmpty): (Bool, Bool)
    switch ppid {
    case PPID.text: (isBinary, isEmpty) = (false, false)
    case PPID.binary: (isBinary, isEmpty) = (true, false)
    case PPID.emptyText: (isBinary, isEmpty) = (false, true)
    case PPID.emptyBinary: (isBinary, isEmpty) = (true, true)
    default:
      statistics.messagesRejected &+= 1
      return
    }
    statistics.messagesReceived &+= 1
    statistics.bytesReceived &+= isEmpty ? 0 : UInt64(message.count)
    onMessage?(stream, isBinary, isEmpty ? UnsafeRawBufferPointer(start: nil, count: 0) : message)
  }

  // MARK: DCEP

  private func receive(dcep bytes: UnsafeRawBufferPointer, stream: UInt16) {
    let message: DCEPMessage
    do throws(DCEPMessage.ParseError) {
      message = try DCEPMessage(parsing: bytes)
    } catch {
      statistics.messagesRejected &+= 1
      // An unknown type is of an extension; a broken OPEN leaves a stream that the peer believes to be a channel.
      if case .unknownMessageType = error {} else if channels[stream] == nil { refuse(stream) }
      return
    }
    switch message {
    case .acknowledge: channels[stream]?.isAcknowledged = true
    case .open(let request):
      guard isFree(stream), Int(stream) < limit else {
        statistics.messagesRejected &+= 1
        return refuse(stream)
      }
      let channel = add(request, stream: stream, isLocal: false)
      send(.acknowledge, on: stream)
      onOpen?(channel)
    }
  }

  /// On the lowest free stream of ours.
  @discardableResult
  private func open(_ request: DCEPMessage.Open) -> Bool {
    let free = stride(from: Int(firstStream), to: limit, by: 2).first { isFree(UInt16($0)) }
    guard let free else { return false }
    let stream = UInt16(free)
    let channel = add(request, stream: stream, isLocal: true)
    send(.open(request), on: stream)
    onOpen?(channel)
    return true
  }

  private func add(_ request: DCEPMessage.Open, stream: UInt16, isLocal: Bool) -> DataChannel {
    var description = DataChannel(
      streamID: stream, label: request.label, subprotocol: request.subprotocol, isOrdered: request.isOrdered,
      maxRetransmits: nil, maxLifetime: nil, isLocal: isLocal)
    switch request.reliability {
    case .reliable: break
    case .retransmissions(let count): description.maxRetransmits = count
    case .lifetime(let milliseconds): description.maxLifetime = milliseconds
    }
    channels[stream] = Channel(
      description: description, isAcknowledged: !isLocal,
      policy: SCTPAssociation.Policy(isOrdered: request.isOrdered, reliability: request.reliability))
    return description
  }

  private func send(_ message: DCEPMessage, on stream: UInt16) {
    let sent = message.bytes.withUnsafeBytes {
      association.send($0, stream: stream, ppid: PPID.dcep, policy: SCTPAssociation.Policy())
    }
    if !sent { unsent.append((stream, message)) }
  }

  private func sendUnsent() {
    let waiting = unsent
    unsent = []
    for (stream, message) in waiting where channels[stream] != nil { send(message, on: stream) }
  }

  // MARK: Closing

  private func incomingReset(_ stream: UInt16) {
    if channels.removeValue(forKey: stream) != nil {
      closing[stream] = Closing(incomingIsReset: true, outgoingIsReset: false)
      association.reset(stream)
      onClose?(stream)
    } else {
      closing[stream]?.incomingIsReset = true
      forgetIfClosed(stream)
    }
  }

  /// The peer broke a rule on this stream: the channel, if it is one, ends.
  private func refuse(_ stream: UInt16) {
    let wasOpen = channels.removeValue(forKey: stream) != nil
    if closing[stream] == nil {
      closing[stream] = Closing(incomingIsReset: false, outgoingIsReset: false)
      association.reset(stream)
    }
    if wasOpen { onClose?(stream) }
  }

  /// Whether the stream may carry a new channel.
  func isFree(_ stream: UInt16) -> Bool { channels[stream] == nil && closing[stream] == nil }

  private func forgetIfClosed(_ stream: UInt16) {
    guard let state = closing[stream], state.incomingIsReset, state.outgoingIsReset else { return }
    closing[stream] = nil
  }
}
