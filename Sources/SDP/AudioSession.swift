package import Core

/// The offer/answer machine (RFC 3264, RFC 8829) of one leg with one audio stream. A value without I/O.
///
/// Drive it with the four steps; a step that throws leaves it as it was. `remote` follows the far end's latest
/// description at once (an unanswered offer included), `negotiated` changes when an exchange completes.
///
/// Further media sections of an offer, a second audio section among them, are answered with port 0 and keep their place
/// in every later description (RFC 3264 §8).
package struct AudioSession: Sendable {
  package enum State: Hashable, Sendable { case stable, haveLocalOffer, haveRemoteOffer }

  package internal(set) var state: State = .stable
  /// Codecs that this leg may use, best first. May be changed between steps: a later offer lists the new order, an
  /// answer not yet made chooses by it.
  package var codecs: [AudioCodec] { didSet { preferenceChanged = preferenceChanged || codecs != oldValue } }
  package let ssrc: SSRC
  package let cname: String
  package let sessionID: UInt64
  /// Whether RFC 4733 events are offered and accepted.
  package let dtmf: Bool
  /// Whether RFC 3389 comfort noise is offered and accepted beside G.711.
  package var comfortNoise = false
  /// What we ask of the far end's Opus encoder, as `a=fmtp` writes it.
  package var opusFormatParameters = "minptime=10;useinbandfec=1"
  package internal(set) var transport: LegTransport
  /// The description that was made last, for sending it again (a 200 after a 183).
  package internal(set) var localDescription: SessionDescription?

  var preferenceChanged = false
  var agreement = Agreement()
  /// What `rollback` returns to.
  var saved: Agreement?
  var version: UInt64 = 0

  /// What the two sides have agreed on so far.
  struct Agreement: Sendable {
    var negotiated: NegotiatedAudio?
    var remote: RemoteMedia?
    /// Our DTLS role.
    var role: DTLSSetup?
    /// Every media section of the session, in order.
    var sections: [Section] = []
    /// The place of our audio section; nil before the first exchange.
    var audioIndex: Int?
    /// The numbers that we give to formats, kept for the whole session (RFC 3264 §8.3.2).
    var table: [AudioFormat: PayloadType] = [:]
    /// Numbers that the far end uses for formats unknown to us.
    var foreign: Set<PayloadType> = []
    /// Our side of an exchange that we started, kept after its answer: 200 may say more than 183 did.
    var localOffer: LocalOffer?
    /// The far end's side of an exchange that it started, until we answer.
    var remoteOffer: RemoteOffer?
    var lastAnswer: SessionDescription?
  }

  struct Section: Hashable, Sendable {
    var kind: String
    var `protocol`: String
    var formats: [String]
    var mid: String?
    var isBundled: Bool
  }

  struct LocalOffer: Sendable {
    var formats: [NumberedFormat]
    var direction: Direction
    /// An exchange had completed before: a refused stream is a hold then, not a failure.
    var isRenegotiation: Bool
  }

  struct RemoteOffer: Sendable {
    var section: MediaDescription
    var formats: [NumberedFormat]
    /// The far end switched the stream off.
    var isOff: Bool
  }

  package init(
    codecs: [AudioCodec], transport: LegTransport, ssrc: SSRC, cname: String, sessionID: UInt64, dtmf: Bool = true
  ) {
    self.codecs = codecs
    self.transport = transport
    self.ssrc = ssrc
    self.cname = cname
    self.sessionID = sessionID
    self.dtmf = dtmf
  }

  /// What the last completed exchange settled; nil before the first.
  package var negotiated: NegotiatedAudio? { agreement.negotiated }
  /// The far end's side by its latest description, offers not yet answered included.
  package var remote: RemoteMedia? { agreement.remote }
  /// Our DTLS role, `active` (client) or `passive`; nil until it is known and for plain RTP. Stable once set, unless
  /// the far end insists on the other one.
  package var dtlsRole: DTLSSetup? { agreement.role }

  /// The far end takes no audio: `sendonly`, `inactive`, the unspecified address or port 0.
  package var isHeldByRemote: Bool { agreement.remote.map { !$0.direction.receives } ?? false }

  /// The codecs of the unanswered offer that we know, in the offerer's order; empty in other states.
  package var offeredCodecs: [AudioCodec] {
    var found: [AudioCodec] = []
    for case .codec(let codec) in (agreement.remoteOffer?.formats ?? []).map(\.format) where !found.contains(codec) {
      found.append(codec)
    }
    return found
  }

  /// Forgets an offer that came to nothing (refused with 488, 491 or a final failure), ours or the far end's.
  package mutating func rollback() {
    guard state != .stable, let saved else { return }
    agreement = saved
    self.saved = nil
    state = .stable
  }

  /// New ICE credentials or addresses for the descriptions made from now on. Before answering an offer with
  /// `remote.iceRestarted` new credentials are due (RFC 8839 §4.4.1).
  package mutating func updateTransport(_ transport: LegTransport) { self.transport = transport }

  // MARK: Shared between the steps

  /// Numbers the description: `o=`'s version rises with every change of what was made last (RFC 3264 §8).
  mutating func publish(_ description: SessionDescription) -> SessionDescription {
    var result = description
    result.origin.sessionVersion = String(version)
    if result != localDescription {
      version &+= 1
      result.origin.sessionVersion = String(version)
    }
    localDescription = result
    return result
  }

  /// Joins both sides' formats into what flows. `chosen` is the codec that we send.
  func join(
    local: [NumberedFormat], remote: [NumberedFormat], chosen: NumberedFormat, codec: AudioCodec,
    section: MediaDescription, direction: Direction
  ) -> NegotiatedAudio {
    var result = NegotiatedAudio(
      codec: codec, payloadType: chosen.payloadType, receivePayloadTypes: [:], packetTime: section.sendingPacketTime,
      sends: direction.sends, receives: direction.receives)
    if codec == .opus { result.opus = section.opusParameters(chosen.payloadType) }
    // Ours first; then the far end's own numbers, which some peers use in both directions.
    for entry in local + remote where local.contains(where: { $0.format == entry.format }) {
      let pt = entry.payloadType
      if result.receivePayloadTypes[pt] != nil || result.receiveTelephoneEvents[pt] != nil { continue }
      switch entry.format {
      case .codec(let codec): result.receivePayloadTypes[pt] = codec
      case .telephoneEvent(let rate):
        result.receiveTelephoneEvents[pt] = TelephoneEventFormat(payloadType: pt, clockRate: rate)
      case .comfortNoise: break
      }
    }
    let events = remote.compactMap { entry -> TelephoneEventFormat? in
      guard case .telephoneEvent(let rate) = entry.format, local.contains(where: { $0.format == entry.format }) else {
        return nil
      }
      return TelephoneEventFormat(payloadType: entry.payloadType, clockRate: rate)
    }
    // Firefox offers Opus with events at 8,000 Hz only; it takes them.
    result.telephoneEvent = events.first { $0.clockRate == codec.clockRate } ?? events.first
    if codec == .pcmu || codec == .pcma, local.contains(where: { $0.format == .comfortNoise }) {
      result.comfortNoise = remote.first { $0.format == .comfortNoise }?.payloadType
    }
    return result
  }
}
