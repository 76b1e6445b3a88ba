package import Core
package import SDP
package import SFU

/// One room on a media worker.
package struct MediaRoomID: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What the control plane orders of a media worker. Orders are carried out in the order given; orders for what no longer
/// exists do nothing.
package enum RoomMediaCommand: Sendable {
  case openRoom(MediaRoomID)
  /// Closes its peers too.
  case closeRoom(MediaRoomID)
  /// Answered by `peerOpened` or `peerFailed`.
  /// - Parameter towards: the peer's signalling address, which decides the candidates.
  case openPeer(PeerID, room: MediaRoomID, towards: IPAddress, isControlling: Bool)
  case setRemote(PeerID, RemoteTransport)
  case addCandidate(PeerID, String)
  /// Our own ICE restart; answered by `peerRestarted`.
  case restartICE(PeerID)
  case closePeer(PeerID)
  case configurePeer(PeerID, bandwidth: BandwidthMode)
  /// Starts SCTP; `channels` are opened by us. Size 0: the peer sets no limit.
  case openDataChannels(PeerID, channels: [DataChannelLabel], remoteMaximumMessageSize: Int)
  /// One message on the channel of that label, whoever opened it.
  case sendData([PeerID], DataChannelLabel, [UInt8])
  case addProducer(ProducerID, peer: PeerID, ProducerParameters)
  case updateProducer(ProducerID, room: MediaRoomID, ProducerParameters)
  case setProducerMuted(ProducerID, room: MediaRoomID, Bool)
  case removeProducer(ProducerID, room: MediaRoomID)
  /// Answered by `consumerRefused` where the codecs do not meet.
  case addConsumer(ConsumerID, of: ProducerID, peer: PeerID, ConsumerParameters)
  case updateConsumer(ConsumerID, room: MediaRoomID, ConsumerPreferences)
  /// A later negotiation changed what the subscriber takes; answered by `consumerRefused` where nothing is left.
  case renegotiateConsumer(
    ConsumerID, room: MediaRoomID, mid: String, codecs: [CodecParameters], extensions: HeaderExtensionMap)
  case removeConsumer(ConsumerID, room: MediaRoomID)
  case requestKeyFrame(ProducerID, room: MediaRoomID)
}

/// The labels that LiveKit's clients give to their data channels.
package enum DataChannelLabel: String, Sendable, Hashable, CaseIterable {
  case reliable = "_reliable"
  case lossy = "_lossy"
  case dataTrack = "_data_track"
}

/// A peer's transport as its description says.
package struct RemoteTransport: Sendable, Hashable {
  package var parameters: TransportParameters
  /// Our DTLS role.
  package var isDTLSServer: Bool

  package init(parameters: TransportParameters, isDTLSServer: Bool) {
    self.parameters = parameters
    self.isDTLSServer = isDTLSServer
  }
}

/// What a media worker reports.
package enum RoomMediaEvent: Sendable {
  /// Our ICE credentials, candidates and fingerprint.
  case peerOpened(PeerID, TransportParameters)
  case peerRestarted(PeerID, TransportParameters)
  /// ICE and DTLS are done.
  case peerConnected(PeerID)
  /// No pair works at the moment.
  case peerDisconnected(PeerID)
  /// A pair works again.
  case peerReconnected(PeerID)
  case peerFailed(PeerID, String)
  /// The peer ended its DTLS association: it is leaving, or begins anew.
  case peerClosed(PeerID)
  /// A channel is open in both directions.
  case dataChannelOpen(PeerID, DataChannelLabel)
  case data(PeerID, DataChannelLabel, [UInt8])
  /// Reliable data for this peer waits and does not leave: it cannot be kept without limit.
  case receiverStuck(PeerID)
  case consumerRefused(ConsumerID)
  case router(MediaRoomID, RouterEvent)
}

/// A media worker as the control plane sees it.
package protocol RoomMediaPort: Sendable {
  /// Takes a batch without waiting. Batches are carried out in the order of the calls.
  func perform(_ commands: [RoomMediaCommand])
}
