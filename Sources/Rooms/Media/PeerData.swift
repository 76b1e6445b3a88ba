import Transport

/// The data channels of one peer by their labels, and what waits for them. Worker-confined.
final class PeerData {
  /// A lossy message is not worth waiting behind so many bytes.
  static let lossyBacklog = 8 * 1024
  /// Reliable messages that may wait, in bytes; a peer that is further behind is cut off.
  static let reliableBacklog = 4 * 1024 * 1024
  /// The same before the channel opened; a peer may never open one.
  static let earlyBacklog = 256 * 1024

  var channels: DataChannels?
  private var streams: [DataChannelLabel: UInt16] = [:]
  private var labels: [UInt16: DataChannelLabel] = [:]
  /// Reliable messages from `next` on wait.
  private var waiting: [[UInt8]] = []
  private var next = 0
  private var waitingBytes = 0
  private var isStuck = false

  /// Nil for a channel that is none of LiveKit's.
  func opened(_ channel: DataChannel) -> DataChannelLabel? {
    guard let label = DataChannelLabel(rawValue: channel.label) else { return nil }
    labels[channel.streamID] = label
    if streams[label] == nil { streams[label] = channel.streamID }
    if label == .reliable { writable() }
    return label
  }

  func label(of stream: UInt16) -> DataChannelLabel? { labels[stream] }

  func closed(_ stream: UInt16) {
    guard let label = labels.removeValue(forKey: stream), streams[label] == stream else { return }
    streams[label] = labels.first { $0.value == label }?.key
  }

  /// False once, when the peer is too far behind.
  func send(_ bytes: [UInt8], on label: DataChannelLabel) -> Bool {
    guard label == .reliable else {
      if let channels, let stream = streams[label], channels.bufferedAmount(stream) <= PeerData.lossyBacklog {
        channels.send(stream, isBinary: true, bytes)
      }
      return true
    }
    if next == waiting.count, let channels, let stream = streams[.reliable],
      channels.send(stream, isBinary: true, bytes)
    {
      return true
    }
    if let channels, channels.remoteMaximumMessageSize > 0, bytes.count > channels.remoteMaximumMessageSize {
      return true
    }
    guard !isStuck else { return true }
    if streams[.reliable] == nil, waitingBytes + bytes.count > PeerData.earlyBacklog { return true }
    guard waitingBytes + bytes.count <= PeerData.reliableBacklog else {
      isStuck = true
      waiting = []
      next = 0
      waitingBytes = 0
      return false
    }
    waiting.append(bytes)
    waitingBytes += bytes.count
    return true
  }

  /// The channel opened, or has room again.
  func writable() {
    guard let channels, let stream = streams[.reliable] else { return }
    while next < waiting.count, channels.send(stream, isBinary: true, waiting[next]) {
      waitingBytes -= waiting[next].count
      waiting[next] = []
      next += 1
    }
    if next == waiting.count {
      waiting = []
      next = 0
    }
  }

  func close() {
    channels?.close()
    channels = nil
    waiting = []
    next = 0
  }
}
