package import Core

/// The way of one track's packets to another router of the same room. As a tap it sees every packet, also those without
/// media, whose numbers must leave no gap.
package protocol ProducerPipe: PacketTap {
  /// What offer and answer settled, or whether the track is muted, is different now.
  func changed(_ parameters: ProducerParameters)
  /// The track has ended.
  func ended()
}

extension Router {
  /// Whose a track is and what another router has to know of it; nil for an unknown one. Sources that were learnt here
  /// are named: publishers do not repeat which layer they are.
  package func description(of id: ProducerID) -> (peer: PeerID, parameters: ProducerParameters)? {
    producers[id].map { ($0.peer, described($0)) }
  }

  private func described(_ producer: Producer) -> ProducerParameters {
    var parameters = producer.parameters
    for index in parameters.encodings.indices where parameters.encodings[index].ssrc == nil {
      parameters.encodings[index].ssrc = producer.stream(spatialLayer: parameters.encodings[index].spatialLayer)?.ssrc
    }
    return parameters
  }

  /// Adds a way for the track's packets, until the track ends.
  package func addPipe(_ pipe: any ProducerPipe, of id: ProducerID) { producers[id]?.pipes.append(pipe) }

  /// Another router asks for a key frame of one of the peer's streams.
  package func requestKeyFrame(peer: PeerID, ssrc: SSRC) {
    guard let route = peers[peer]?.incoming[ssrc], !route.isRetransmission else { return }
    route.producer.requestKeyFrame(spatialLayer: route.stream.spatialLayer, now: context.now)
  }

  func tellPipes(_ producer: Producer) {
    for pipe in producer.pipes { pipe.changed(described(producer)) }
  }
}
