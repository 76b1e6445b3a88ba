package import Audio
package import Bridge
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
  /// A part of a room whose home is another worker, which sends its tracks through the pipe. `index` tells the worker in
  /// `wantedAtReplica`. Peers and consumers of it are the same as elsewhere.
  case openReplica(MediaRoomID, RoomPipe, index: Int)
  /// At home: from now on, and until it ends, the track goes through the pipe, too.
  case addPipe(RoomPipe, of: ProducerID, room: MediaRoomID)
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
  /// Shows a tap the packets of a track, on the room's worker; nil ends it. See `Router.setTap`.
  case setTap(ProducerID, room: MediaRoomID, (any PacketTap & Sendable)?)

  // Phones. A room mixes for as long as it has any.

  /// A phone joins: what comes through the port becomes the track `producer` (Opus, with audio levels), what goes through
  /// it is everybody else's sound.
  case openPhone(PeerID, room: MediaRoomID, producer: ProducerID, port: ConferencePort)
  /// Removes the phone's track, too.
  case closePhone(PeerID)
  /// Neither its track nor its part of the mix is heard.
  case setPhoneMuted(PeerID, Bool)
  /// Phones hear a clip over the talk, which becomes quieter; nil: all phones of the room. Each clip is played to its end;
  /// clips for the same phone follow each other. Told as `announcementEnded`.
  case announce(AnnouncementID, room: MediaRoomID, AudioClip, to: [PeerID]?)
  /// Ends an announcement early, or takes it out of the queue.
  case endAnnouncement(AnnouncementID, room: MediaRoomID)
  /// A track that says announcements to all: a local peer without a port. `closePhone` removes it.
  case openAnnouncer(PeerID, room: MediaRoomID, producer: ProducerID)
  /// All phones hear the clip, and the browsers as the announcer's track, where there is one.
  case announceToAll(AnnouncementID, room: MediaRoomID, AudioClip)
  /// Whether the phones hear a track. They do unless told otherwise: for tracks that not everybody may subscribe to.
  case setProducerMixed(ProducerID, room: MediaRoomID, Bool)
}

/// A clip that is played in a room. The control plane makes them up.
package struct AnnouncementID: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
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
  /// The phone cannot be in the room: an encoder could not be made.
  case phoneFailed(PeerID, String)
  /// All who were to hear it did, or are gone.
  case announcementEnded(AnnouncementID)
  case router(MediaRoomID, RouterEvent)
  /// The highest layer that anybody on a replica's worker wants of a video track; nil: nobody wants any.
  case wantedAtReplica(ProducerID, maximumSpatialLayer: Int?, replica: Int)
  /// The share of a core that the worker took in the last second; told while it has rooms with anybody in them.
  case load(worker: Int, share: Double)
}

/// A media worker as the control plane sees it.
package protocol RoomMediaPort: Sendable {
  /// Takes a batch without waiting. Batches are carried out in the order of the calls.
  func perform(_ commands: [RoomMediaCommand])
}
