import Core
import Rooms
import SFU

/// What the rooms' routers have forwarded and carry, for `/metrics`. Asked of each worker now and then: a scrape waits
/// for nobody, and packets are not counted twice.
struct RoomReadings: Sendable {
  var totals = RouterTotals()
  var load = RouterLoad()

  static func take(_ media: [RoomMedia]) async -> RoomReadings {
    var readings = RoomReadings()
    for worker in media {
      let (totals, load) = await worker.figures()
      readings.totals += totals
      readings.load += load
    }
    readings.load.estimates.sort()
    return readings
  }

  /// Of the estimates; 0 without any.
  func estimate(quantile: Double) -> Int {
    let estimates = load.estimates
    guard let last = estimates.indices.last else { return 0 }
    return estimates[min(last, max(0, Int((Double(last) * quantile).rounded())))]
  }

  /// Registers everything once.
  static func register(in registry: MetricsRegistry, _ current: @escaping @Sendable () -> RoomReadings) {
    func counter(
      _ name: String, _ help: String, _ labels: [(String, String)] = [],
      _ value: @escaping @Sendable (RouterTotals) -> UInt64
    ) {
      registry.reading("parley_room_\(name)_total", help, kind: .counter, labels: labels) {
        Double(value(current().totals))
      }
    }
    func gauge(
      _ name: String, _ help: String, _ labels: [(String, String)] = [],
      _ value: @escaping @Sendable (RoomReadings) -> Int
    ) {
      registry.reading("parley_room_\(name)", help, labels: labels) { Double(value(current())) }
    }

    gauge("peers", "Peer connections of rooms.") { $0.load.peers }
    let tracks = "Published tracks."
    gauge("tracks", tracks, [("kind", "audio")]) { $0.load.audioTracks }
    gauge("tracks", tracks, [("kind", "video")]) { $0.load.videoTracks }
    let subscriptions = "Tracks on their way to a subscriber."
    gauge("subscriptions", subscriptions, [("kind", "audio")]) { $0.load.audioSubscriptions }
    gauge("subscriptions", subscriptions, [("kind", "video")]) { $0.load.videoSubscriptions }
    gauge("subscriptions_paused", "Video that its subscriber wants and its path does not carry.") {
      $0.load.pausedForBandwidth
    }
    let layers = "Video subscriptions by the spatial layer that goes through."
    for (index, name) in ["0", "1", "2", "none"].enumerated() {
      gauge("layers", layers, [("spatial", name)]) { $0.load.layers[index] }
    }
    gauge("estimates", "Paths to subscribers whose bandwidth is estimated.") { $0.load.estimates.count }
    for (quantile, name) in [(0.1, "0.1"), (0.5, "0.5"), (0.9, "0.9")] {
      gauge("estimate_bits_per_second", "Bandwidth estimates at this moment.", [("quantile", name)]) {
        $0.estimate(quantile: quantile)
      }
    }

    counter("packets_received", "RTP packets of publishers.") { $0.packetsReceived }
    counter("octets_received", "Bytes of RTP of publishers.") { $0.octetsReceived }
    let refused = "RTP packets of publishers that were dropped."
    counter("packets_refused", refused, [("reason", "malformed")]) { $0.packetsMalformed }
    counter("packets_refused", refused, [("reason", "unknown")]) { $0.packetsUnknown }
    counter("packets_refused", refused, [("reason", "flood")]) { $0.packetsFlooded }
    counter("packets_unheard", "Audio packets of people who were not among the loudest.") { $0.packetsUnheard }
    let forwarded = "RTP packets to subscribers, without retransmissions."
    counter("packets_forwarded", forwarded, [("kind", "audio")]) { $0.audio.packets }
    counter("packets_forwarded", forwarded, [("kind", "video")]) { $0.video.packets }
    let octets = "Bytes of payload to subscribers, without retransmissions."
    counter("octets_forwarded", octets, [("kind", "audio")]) { $0.audio.octets }
    counter("octets_forwarded", octets, [("kind", "video")]) { $0.video.octets }
    counter("retransmissions", "Packets sent again to subscribers.") { $0.retransmissions }
    counter("padding_packets", "Packets that only measure the path to a subscriber.") { $0.paddingPackets }
    counter("packets_thinned", "Packets left out of layers that a subscriber does not get.") { $0.packetsThinned }
    counter("packets_dropped", "Packets that found no room in a subscriber's queue.") { $0.packetsDropped }
    let nacks = "Packets asked for again, by subscribers of us and by us of publishers."
    counter("nacks", nacks, [("from", "subscriber")]) { $0.nacksReceived }
    counter("nacks", nacks, [("from", "server")]) { $0.nacksSent }
    counter("nacks_ignored", "Packets that a subscriber asked for and did not get again.") { $0.nacksIgnored }
    counter("packets_recovered", "Lost packets of publishers that came when asked for.") { $0.packetsRecovered }
    counter("packets_abandoned", "Lost packets of publishers that never came.") { $0.packetsAbandoned }
    let pictures = "Requests for key frames, of subscribers and of us to publishers."
    counter("key_frame_requests", pictures, [("from", "subscriber")]) { $0.pictureLossIndications }
    counter("key_frame_requests", pictures, [("from", "server")]) { $0.keyFrameRequestsSent }
    counter("key_frames", "Key frames of publishers.") { $0.keyFrames }
    counter("layer_switches", "Streams that took over from another for a subscriber.") { $0.layerSwitches }
  }
}
