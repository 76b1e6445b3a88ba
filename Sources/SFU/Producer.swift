import Core
import RTP

/// One published track: its streams (one, or one a simulcast layer) and who takes their packets.
final class Producer {
  let id: ProducerID
  /// Who publishes it.
  let peer: PeerID
  var parameters: ProducerParameters
  /// In order of appearance; found by `RoutedPacket.streamIndex`. Streams are never removed.
  private(set) var streams: [ProducerStream] = []
  /// The consumers.
  private(set) var sinks: [any PacketSink] = []
  /// Asks the publisher for a key frame; set by the router, which throttles and coalesces.
  var onKeyFrameWanted: ((ProducerStream, Instant) -> Void)?

  init(id: ProducerID, peer: PeerID, parameters: ProducerParameters) {
    self.id = id
    self.peer = peer
    self.parameters = parameters
  }

  var isMuted: Bool { parameters.muted }
  /// More than one encoding was negotiated.
  var isSimulcast: Bool { parameters.encodings.count > 1 }

  /// The stream of a simulcast layer; the only stream where there is no simulcast.
  func stream(spatialLayer: Int) -> ProducerStream? {
    isSimulcast ? streams.first { $0.spatialLayer == spatialLayer } : streams.first
  }

  /// Asks for a key frame of a layer, throttled (500 ms a layer) and coalesced over all consumers.
  func requestKeyFrame(spatialLayer: Int, now: Instant) {
    guard parameters.kind == .video, let stream = stream(spatialLayer: spatialLayer) else { return }
    onKeyFrameWanted?(stream, now)
  }

  func add(_ sink: any PacketSink) { sinks.append(sink) }

  func remove(_ sink: any PacketSink) { sinks.removeAll { $0 === sink } }
}
