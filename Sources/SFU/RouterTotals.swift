import Core

/// What went through a router since it was made, also over peers and tracks that are gone. Summed up when it is asked
/// for: the packet path counts nothing for it.
package struct RouterTotals: Sendable, Hashable {
  /// Of publishers, retransmissions included.
  package var packetsReceived: UInt64 = 0
  package var octetsReceived: UInt64 = 0
  package var packetsMalformed: UInt64 = 0
  /// Of no track that is known, or of no codec that was agreed.
  package var packetsUnknown: UInt64 = 0
  /// Over what a peer may send.
  package var packetsFlooded: UInt64 = 0
  /// Of people who were not among the loudest.
  package var packetsUnheard: UInt64 = 0
  /// Sequence numbers that we asked publishers for, those that came then, and those that never came.
  package var nacksSent: UInt64 = 0
  package var packetsRecovered: UInt64 = 0
  package var packetsAbandoned: UInt64 = 0
  package var keyFrames: UInt64 = 0
  package var keyFrameRequestsSent: UInt64 = 0
  /// To subscribers, without retransmissions and padding; octets of payload.
  package var audio = Forwarded()
  package var video = Forwarded()
  package var retransmissions: UInt64 = 0
  package var paddingPackets: UInt64 = 0
  /// Left out because the subscriber gets fewer layers.
  package var packetsThinned: UInt64 = 0
  /// Found no room in a subscriber's queue.
  package var packetsDropped: UInt64 = 0
  /// Sequence numbers that subscribers asked for, and how many of them were not sent again.
  package var nacksReceived: UInt64 = 0
  package var nacksIgnored: UInt64 = 0
  package var pictureLossIndications: UInt64 = 0
  package var layerSwitches: UInt64 = 0

  package struct Forwarded: Sendable, Hashable {
    package var packets: UInt64 = 0
    package var octets: UInt64 = 0

    package init() {}

    mutating func add(_ counters: ConsumerCounters) {
      packets &+= UInt64(counters.packets)
      octets &+= UInt64(counters.octets)
    }
  }

  package init() {}

  package static func += (sum: inout RouterTotals, more: RouterTotals) {
    for field in RouterTotals.fields { sum[keyPath: field] &+= more[keyPath: field] }
  }

  // Key paths of stored integers: they hold nothing that two threads could share.
  nonisolated(unsafe) private static let fields: [WritableKeyPath<RouterTotals, UInt64>] = [
    \.packetsReceived, \.octetsReceived, \.packetsMalformed, \.packetsUnknown, \.packetsFlooded, \.packetsUnheard,
    \.nacksSent, \.packetsRecovered, \.packetsAbandoned, \.keyFrames, \.keyFrameRequestsSent, \.audio.packets,
    \.audio.octets, \.video.packets, \.video.octets, \.retransmissions, \.paddingPackets, \.packetsThinned,
    \.packetsDropped, \.nacksReceived, \.nacksIgnored, \.pictureLossIndications, \.layerSwitches,
  ]

  mutating func add(_ peer: Peer) {
    packetsReceived &+= UInt64(peer.counters.packets)
    octetsReceived &+= UInt64(peer.counters.octets)
    packetsMalformed &+= UInt64(peer.counters.malformed)
    packetsUnknown &+= UInt64(peer.counters.unknown &+ peer.counters.foreignPayload)
    packetsFlooded &+= UInt64(peer.counters.flooded)
    packetsDropped &+= UInt64(max(0, peer.sender.statistics.dropped))
  }

  mutating func add(_ producer: Producer) {
    packetsUnheard &+= UInt64(producer.packetsUnheard)
    for stream in producer.streams {
      nacksSent &+= UInt64(stream.nacks.requested)
      packetsRecovered &+= UInt64(stream.nacks.recovered)
      packetsAbandoned &+= UInt64(stream.nacks.abandoned)
      packetsMalformed &+= UInt64(stream.counters.malformed)
      keyFrames &+= UInt64(stream.keyFramesReceived)
      keyFrameRequestsSent &+= UInt64(stream.keyFrames.sent)
    }
  }

  mutating func add(_ consumer: Consumer) {
    let counters = consumer.counters
    if consumer.kind == .audio { audio.add(counters) } else { video.add(counters) }
    retransmissions &+= UInt64(counters.retransmittedPackets)
    paddingPackets &+= UInt64(counters.paddingPackets)
    packetsThinned &+= UInt64(counters.dropped)
    nacksReceived &+= UInt64(counters.nacked)
    nacksIgnored &+= UInt64(counters.nacksIgnored)
    pictureLossIndications &+= UInt64(counters.pictureLossIndications)
    layerSwitches &+= UInt64(counters.switches)
  }
}

/// What a router carries at this moment.
package struct RouterLoad: Sendable, Hashable {
  package var peers = 0
  package var audioTracks = 0
  package var videoTracks = 0
  package var audioSubscriptions = 0
  package var videoSubscriptions = 0
  /// Video that its subscriber wants and the bandwidth does not carry.
  package var pausedForBandwidth = 0
  /// Video subscriptions by the spatial layer that goes through, from the lowest; the last one: none.
  package var layers = [0, 0, 0, 0]
  /// Bits a second, of every path that is estimated.
  package var estimates: [Int] = []

  package init() {}

  package static func += (sum: inout RouterLoad, more: RouterLoad) {
    sum.peers += more.peers
    sum.audioTracks += more.audioTracks
    sum.videoTracks += more.videoTracks
    sum.audioSubscriptions += more.audioSubscriptions
    sum.videoSubscriptions += more.videoSubscriptions
    sum.pausedForBandwidth += more.pausedForBandwidth
    for layer in sum.layers.indices { sum.layers[layer] += more.layers[layer] }
    sum.estimates += more.estimates
  }
}

extension Router {
  /// Not for the packet path.
  package func totals() -> RouterTotals {
    var totals = past
    for peer in peerList {
      totals.add(peer)
      for consumer in peer.consumers { totals.add(consumer) }
    }
    for producer in producerList { totals.add(producer) }
    return totals
  }

  /// Not for the packet path.
  package func load() -> RouterLoad {
    var load = RouterLoad()
    load.peers = peerList.count
    for producer in producerList {
      if producer.parameters.kind == .audio { load.audioTracks += 1 } else { load.videoTracks += 1 }
    }
    for peer in peerList {
      if let estimate = peer.sender.targetBitrate { load.estimates.append(estimate) }
      for consumer in peer.consumers {
        guard consumer.kind == .video else {
          load.audioSubscriptions += 1
          continue
        }
        load.videoSubscriptions += 1
        if consumer.isPausedForBandwidth { load.pausedForBandwidth += 1 }
        let none = load.layers.count - 1
        let layer = consumer.isPaused ? nil : consumer.layers?.spatial
        load.layers[layer.map { min(max($0, 0), none - 1) } ?? none] += 1
      }
    }
    return load
  }
}
