import Core
import LiveKitProtocol
import SDP
import SFU

/// One track on its way to one subscriber.
final class Subscription {
  /// Until `Subscribing` lets the subscription go.
  let subscriber: Participant
  let track: PublishedTrack
  let consumer: ConsumerID
  private(set) var ssrc: SSRC
  private(set) var retransmissionSSRC: SSRC?
  private(set) var cname: String
  /// What offer and answer settled; nil before.
  private(set) var parameters: ConsumerParameters?
  /// The worker forwards it.
  private(set) var isForwarding = false
  /// As the subscriber was told last.
  var isPausedForBandwidth = false
  /// The subscriber has none of the track's codecs.
  var isRefused = false

  init(subscriber: Participant, track: PublishedTrack) {
    self.subscriber = subscriber
    self.track = track
    let context = subscriber.context
    consumer = ConsumerID(rawValue: context.nextID())
    ssrc = context.makeSSRC()
    retransmissionSSRC = track.kind == .video ? context.makeSSRC() : nil
    cname = track.publisher.sid
  }

  var isBound: Bool { parameters != nil }

  /// For the subscriber's offers, or for our answers.
  var sender: SenderDescription {
    SenderDescription(
      kind: track.kind == .audio ? .audio : .video, streamID: track.streamID(for: subscriber), trackID: track.sid,
      ssrc: ssrc, retransmissionSSRC: retransmissionSSRC, cname: cname, codecs: codecs,
      isStereo: track.info.stereo)
  }

  /// Those of the publisher: nothing is transcoded.
  private var codecs: [SenderCodec] {
    guard let negotiated = track.parameters?.codecs, !negotiated.isEmpty else { return [] }
    var codecs: [SenderCodec] = []
    // Of several profiles the first: clients send that one.
    for codec in negotiated where !codecs.contains(where: { $0.encodingName == codec.codec.rawValue }) {
      codecs.append(SenderCodec(codec.codec.rawValue, formatParameters: codec.formatParameters))
    }
    return codecs
  }

  /// Takes over the sources of a section that was described before the track was there. Before `bind`.
  func adopt(ssrc: SSRC, retransmissionSSRC: SSRC?, cname: String) {
    self.ssrc = ssrc
    self.retransmissionSSRC = retransmissionSSRC
    self.cname = cname
  }

  /// Offer and answer settled the track's section, for the first time or anew.
  func bind(_ section: SettledSection, preferences: ConsumerPreferences) {
    guard let peer = subscriber.receiving else { return }
    let codecs = TrackDescription.codecs(section)
    let new = ConsumerParameters(
      mid: section.mid, ssrc: ssrc,
      retransmissionSSRC: codecs.contains { $0.retransmission != nil } ? retransmissionSSRC : nil, codecs: codecs,
      extensions: TrackDescription.extensions(section), cname: cname, preferences: preferences)
    let old = parameters
    parameters = new
    subscriber.context.consumers[consumer] = RoomContext.WeakSubscription(subscription: self)
    guard isForwarding else {
      if peer.wasConnected { start() }
      return
    }
    // The stream goes on in one space of numbers: one that began anew under the same SSRC would fail authentication.
    guard let old, old.mid != new.mid || old.codecs != new.codecs || old.extensions != new.extensions else { return }
    subscriber.order(
      .renegotiateConsumer(
        consumer, room: subscriber.room.mediaID, mid: new.mid, codecs: new.codecs, extensions: new.extensions))
  }

  /// The subscriber's connection works: what was sent before would count as lost.
  func start() {
    guard let parameters, !isForwarding, let peer = subscriber.receiving else { return }
    isForwarding = true
    subscriber.order(.addConsumer(consumer, of: track.producer, peer: peer.id, parameters))
  }

  /// Stops forwarding; the section is the negotiation's business.
  func unbind() {
    guard parameters != nil else { return }
    parameters = nil
    subscriber.context.consumers[consumer] = nil
    guard isForwarding else { return }
    isForwarding = false
    subscriber.order(.removeConsumer(consumer, room: subscriber.room.mediaID))
  }

  func apply(_ preferences: ConsumerPreferences) {
    guard let parameters, parameters.preferences != preferences else { return }
    self.parameters?.preferences = preferences
    guard isForwarding else { return }
    subscriber.order(.updateConsumer(consumer, room: subscriber.room.mediaID, preferences))
  }
}
