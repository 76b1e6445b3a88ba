package import Core

/// What a router needs to know that no participant tells it.
package struct RouterConfiguration: Sendable {
  /// Only the loudest are forwarded, of all audio with levels (RFC 6464); nil forwards everybody.
  package var loudest: Int?
  /// Of `RouterEvent.speakers`.
  package var speakerInterval: Duration
  /// −dBov: louder than that is speech.
  package var speakerThreshold: UInt8
  /// Between two key frame requests of one layer.
  package var keyFrameInterval: Duration
  /// Packets a second that one peer may send, all streams together; more are dropped.
  package var maximumPacketRate: Int
  /// Streams (SSRCs) that one peer may send.
  package var maximumStreams: Int
  /// A moment on both clocks: where the NTP times of sender reports count from.
  package var origin: Instant
  package var originWall: WallTime

  package init(
    loudest: Int? = nil, speakerInterval: Duration = .milliseconds(400), speakerThreshold: UInt8 = 35,
    keyFrameInterval: Duration = .milliseconds(500), maximumPacketRate: Int = 5_000, maximumStreams: Int = 64,
    origin: Instant = .zero, originWall: WallTime = WallTime(milliseconds: 1_700_000_000_000)
  ) {
    self.loudest = loudest
    self.speakerInterval = speakerInterval
    self.speakerThreshold = speakerThreshold
    self.keyFrameInterval = keyFrameInterval
    self.maximumPacketRate = maximumPacketRate
    self.maximumStreams = maximumStreams
    self.origin = origin
    self.originWall = originWall
  }
}

/// How loud somebody is.
package struct SpeakerLevel: Hashable, Sendable {
  package var producer: ProducerID
  /// 0…1, in eighths.
  package var level: Float
  package var isActive: Bool

  package init(producer: ProducerID, level: Float, isActive: Bool) {
    self.producer = producer
    self.level = level
    self.isActive = isActive
  }
}

/// What the control plane should know. Collected by the shell and handed over in batches.
package enum RouterEvent: Hashable, Sendable {
  /// The first packet with media came.
  case producerStarted(ProducerID)
  /// Nothing has come for a while although the track is not muted; and it came back.
  case producerStalled(ProducerID)
  case producerResumed(ProducerID)
  /// The publisher said BYE for the track's only stream.
  case producerEnded(ProducerID)
  /// Spatial layers whose packets come, as a bit mask.
  case layersSeen(ProducerID, spatialLayers: UInt8)
  /// Dynacast: the highest layer that somebody wants; nil when nobody watches. Up at once, down after 5 s.
  case wantedLayers(ProducerID, maximumSpatialLayer: Int?)
  /// Who speaks, loudest first: those whose level changed, and those who stopped (level 0, not active).
  case speakers([SpeakerLevel])
  case consumerState(ConsumerID, isPausedForBandwidth: Bool)
  case currentLayer(ConsumerID, spatial: Int, temporal: Int)
  /// 1 (lost) … 5 (excellent).
  case quality(PeerID, score: Float)
}
