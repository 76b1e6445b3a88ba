package import Core
import RTP

/// What a router knows of its traffic. Counters rise for the life of what they count.
package struct RouterStatistics: Sendable {
  package struct Peer: Sendable {
    package var id: PeerID
    package var packetsReceived: Int
    package var octetsReceived: Int
    package var packetsMalformed: Int
    /// Of no track that is known.
    package var packetsUnknown: Int
    /// Over what the peer may send.
    package var packetsFlooded: Int
    package var packetsSent: UInt64
    package var octetsSent: UInt64
    package var retransmissionsSent: UInt64
    package var packetsDropped: Int
    package var roundTrip: Duration?
    /// Bits a second that the path carries; nil where that is not estimated.
    package var targetBitrate: Int?
  }

  package struct Stream: Sendable {
    package var ssrc: SSRC
    package var rid: String?
    package var spatialLayer: Int
    package var isActive: Bool
    package var packetsReceived: Int
    package var octetsReceived: Int
    package var packetsLost: Int
    /// 0…1, over the last report's interval.
    package var fractionLost: Double
    /// Milliseconds.
    package var jitter: Double
    /// Bits a second.
    package var bitrate: Double
    package var nacked: Int
    package var recovered: Int
    package var abandoned: Int
    package var duplicates: Int
    package var malformed: Int
    package var keyFrames: Int
    package var keyFrameRequests: Int
  }

  package struct Producer: Sendable {
    package var id: ProducerID
    package var peer: PeerID
    package var streams: [Stream]
    /// Not forwarded because others were louder.
    package var packetsUnheard: Int
  }

  package struct Consumer: Sendable {
    package var id: ConsumerID
    package var peer: PeerID
    package var producer: ProducerID
    package var statistics: ConsumerStatistics
  }

  package var peers: [Peer] = []
  package var producers: [Producer] = []
  package var consumers: [Consumer] = []
  /// Bytes of packet histories.
  package var historyMemory = 0

  package init() {}
}

extension Router {
  /// A snapshot. Not for the packet path.
  package func statistics() -> RouterStatistics {
    var result = RouterStatistics()
    for peer in peerList {
      let sender = peer.sender
      result.peers.append(
        .init(
          id: peer.id, packetsReceived: peer.counters.packets, octetsReceived: peer.counters.octets,
          packetsMalformed: peer.counters.malformed,
          packetsUnknown: peer.counters.unknown + peer.counters.foreignPayload,
          packetsFlooded: peer.counters.flooded, packetsSent: sender.statistics.packets,
          octetsSent: sender.statistics.bytes, retransmissionsSent: sender.statistics.retransmissions,
          packetsDropped: sender.statistics.dropped, roundTrip: sender.roundTrip,
          targetBitrate: sender.targetBitrate))
      for consumer in peer.consumers {
        result.consumers.append(
          .init(id: consumer.id, peer: peer.id, producer: consumer.producer.id, statistics: consumer.statistics))
      }
    }
    for producer in producerList {
      let streams = producer.streams.map { stream in
        result.historyMemory += stream.history.memory
        return RouterStatistics.Stream(
          ssrc: stream.ssrc, rid: stream.rid, spatialLayer: stream.spatialLayer, isActive: stream.isActive,
          packetsReceived: stream.statistics.packetsReceived, octetsReceived: stream.statistics.octetsReceived,
          packetsLost: stream.statistics.packetsLost, fractionLost: stream.fractionLost,
          jitter: stream.statistics.jitterMilliseconds, bitrate: stream.rate.total, nacked: stream.nacks.requested,
          recovered: stream.nacks.recovered, abandoned: stream.nacks.abandoned,
          duplicates: stream.counters.duplicates, malformed: stream.counters.malformed,
          keyFrames: stream.keyFramesReceived, keyFrameRequests: stream.keyFrames.sent)
      }
      result.producers.append(
        .init(id: producer.id, peer: producer.peer, streams: streams, packetsUnheard: producer.packetsUnheard))
    }
    return result
  }
}
