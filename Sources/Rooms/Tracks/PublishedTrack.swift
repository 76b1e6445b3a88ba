import LiveKitProtocol
import SDP
import SFU

/// One track of one publisher, from its announcement by the client to its end.
final class PublishedTrack {
  enum Stage: Comparable {
    /// The client said that it will come.
    case pending
    /// It has a media section.
    case negotiated
    /// Media came, or would come if it were not muted; others know it.
    case live
    case ended
  }

  /// Until `Publishing.end`.
  let publisher: Participant
  let sid: String
  let producer: ProducerID
  /// What the client calls it in its SDP: its own, and those of its codecs.
  let cids: Set<String>
  var info: Livekit_TrackInfo
  var stage = Stage.pending
  /// `a=mid` on the publisher's connection.
  var mid: String?
  /// Which quality each spatial layer stands for; one entry for a track that is no simulcast.
  var qualities: [Livekit_VideoQuality] = [.high]
  /// What the worker was told last.
  var parameters: ProducerParameters?
  /// Who receives it or is about to.
  var subscriptions: [ObjectIdentifier: Subscription] = [:]
  var subscribedQuality = SubscribedQuality()
  var demand = LayerDemand()
  /// The publisher knows that somebody receives it.
  var isReportedSubscribed = false

  init(publisher: Participant, producer: ProducerID, info: Livekit_TrackInfo, cids: Set<String>) {
    self.publisher = publisher
    self.producer = producer
    self.info = info
    self.cids = cids
    sid = info.sid
  }

  var kind: MediaKind { info.type == .audio ? .audio : .video }
  var isScreenShare: Bool { info.source == .screenShare || info.source == .screenShareAudio }
  var isLive: Bool { stage == .live }

  /// First and second word of `a=msid` towards a subscriber. Clients take the participant from the part before `|`, and
  /// the track from the second word; equal streams are kept in lip sync.
  func streamID(for subscriber: Participant) -> String {
    let stream = info.stream.isEmpty ? defaultStream : info.stream
    let syncs = subscriber.protocolVersion > 9 && !subscriber.isFirefox
    return publisher.sid + "|" + (syncs ? stream : sid)
  }

  private var defaultStream: String {
    switch info.source {
    case .screenShare, .screenShareAudio: "screen"
    case .camera, .microphone: "camera"
    case .unknown, .UNRECOGNIZED: sid
    }
  }

  /// Sets what offer and answer settled. The codec is the first of the answer; clients send that one.
  func describe(_ section: SettledSection) {
    mid = section.mid
    info.mid = section.mid
    guard let codec = section.codecs.first(where: { $0.encodingName.lowercased() != "red" }) else { return }
    info.mimeType = TrackDescription.mimeType(of: codec.encodingName, kind)
    if info.codecs.isEmpty { info.codecs = [Livekit_SimulcastCodecInfo()] }
    info.codecs[0].mimeType = info.mimeType
    info.codecs[0].mid = section.mid
    if info.codecs[0].layers.isEmpty { info.codecs[0].layers = info.layers }
    if kind == .video {
      info.simulcast = section.encodings.count > 1
      if info.codecs[0].videoLayerMode == .unused { info.codecs[0].videoLayerMode = .oneSpatialLayerPerStream }
    }
  }
}

extension Participant {
  var isFirefox: Bool { client.browser.lowercased().contains("firefox") }
}
