import Core

extension AudioSession {
  // MARK: We offer

  /// Makes an offer: the first one, or a new one for hold, another codec, or new transport parameters.
  ///
  /// - Throws: `.wrongState`, or `.noCommonCodec` when `codecs` is empty.
  package mutating func makeOffer(direction: Direction = .sendrecv) throws(OfferAnswerError) -> SessionDescription {
    guard state == .stable else { throw .wrongState(state) }
    guard !codecs.isEmpty else { throw .noCommonCodec }
    saved = agreement
    let formats = offerFormats()
    if agreement.audioIndex == nil {
      agreement.audioIndex = 0
      agreement.sections = [
        Section(
          kind: "audio", protocol: transport.isWebRTC ? "UDP/TLS/RTP/SAVPF" : "RTP/AVP", formats: [],
          mid: transport.isWebRTC ? "0" : nil, isBundled: transport.isWebRTC)
      ]
    }
    agreement.localOffer = LocalOffer(
      formats: formats, direction: direction, isRenegotiation: agreement.negotiated != nil)
    agreement.lastAnswer = nil
    agreement.remoteOffer = nil
    state = .haveLocalOffer
    return publish(
      describe(formats: formats, direction: direction, setup: .actpass, rtcpMux: multiplexesRTCP))
  }

  /// Takes the answer to our offer.
  ///
  /// Also accepted once more after the exchange completed: a 200 repeats the session description of its 183, and some
  /// peers change it there.
  package mutating func receiveAnswer(_ answer: SessionDescription) throws(OfferAnswerError) {
    guard state != .haveRemoteOffer, let offer = agreement.localOffer, let index = agreement.audioIndex else {
      throw .wrongState(state)
    }
    if state == .stable, agreement.lastAnswer == answer { return }
    guard answer.media.indices.contains(index), answer.media[index].kind == "audio" else { throw .mismatchedAnswer }
    let section = answer.media[index]
    if section.port == 0, !isBundleOnly(section, of: answer) {
      guard offer.isRenegotiation else { throw .streamRefused }
      switchOff()
    } else {
      guard speaks(section.protocol) else { throw .unsupportedProtocol(section.protocol) }
      let (known, foreign) = section.audioFormats()
      let common = known.filter { entry in offer.formats.contains { $0.format == entry.format } }
      guard let (chosen, codec) = common.firstCodec else { throw .noCommonCodec }
      let remote = try readRemote(section, of: answer)
      if let setup = remote.transport?.setup { agreement.role = role(against: setup, weAnswer: false) }
      agreement.remote = remote
      agreement.foreign.formUnion(foreign)
      agreement.negotiated = join(
        local: offer.formats, remote: common, chosen: chosen, codec: codec, section: section,
        direction: offer.direction.intersected(with: remote.direction.reversed))
    }
    agreement.lastAnswer = answer
    complete()
  }

  // MARK: The far end offers

  /// Takes an offer, to be answered by `makeAnswer` or forgotten by `rollback`.
  package mutating func receiveOffer(_ offer: SessionDescription) throws(OfferAnswerError) {
    guard state == .stable else { throw .wrongState(state) }
    let (index, known, foreign) = try chooseSection(offer)
    let section = offer.media[index]
    let isOff = section.port == 0 && !isBundleOnly(section, of: offer)
    var formats: [NumberedFormat] = []
    var next = agreement
    if isOff {
      next.remote?.direction = .inactive
    } else {
      formats = known
      next.foreign.formUnion(foreign)
      let remote = try readRemote(section, of: offer)
      if let setup = remote.transport?.setup { next.role = role(against: setup, weAnswer: true) }
      next.remote = remote
    }
    let bundled = offer.groups("BUNDLE").first ?? []
    next.sections = offer.media.map { m in
      Section(
        kind: m.kind, protocol: m.protocol, formats: m.formats, mid: m.mid,
        isBundled: m.mid.map { bundled.contains($0) } ?? false)
    }
    next.audioIndex = index
    next.localOffer = nil
    next.lastAnswer = nil
    next.remoteOffer = RemoteOffer(section: section, formats: formats, isOff: isOff)
    saved = agreement
    agreement = next
    state = .haveRemoteOffer
  }

  /// Answers the offer.
  ///
  /// - Parameter direction: what we would like; the answer holds what the offer allows of it.
  /// - Throws: `.wrongState`, or `.noCommonCodec` when `codecs` was changed since the offer came.
  package mutating func makeAnswer(direction: Direction = .sendrecv) throws(OfferAnswerError) -> SessionDescription {
    guard state == .haveRemoteOffer, let offer = agreement.remoteOffer, let remote = agreement.remote else {
      throw .wrongState(state)
    }
    guard !offer.isOff else {
      switchOff()
      complete()
      return publish(describe(formats: [], direction: .inactive, setup: nil, rtcpMux: false))
    }
    guard let (chosen, codec) = chooseCodec(offer.formats) else { throw .noCommonCodec }
    let formats = answerFormats(offer.formats, chosen: chosen)
    let agreed = direction.intersected(with: remote.direction.reversed)
    adoptNumbers(answered: formats, offered: offer.formats)
    agreement.negotiated = join(
      local: formats, remote: formats, chosen: chosen, codec: codec, section: offer.section, direction: agreed)
    complete()
    return publish(
      describe(formats: formats, direction: agreed, setup: agreement.role, rtcpMux: remote.rtcpMux))
  }

  // MARK: Inside

  /// Our later offers use the far end's numbers, those of formats that we did not take included: a number keeps its
  /// meaning for the whole session (RFC 3264 §8.3.2).
  private mutating func adoptNumbers(answered: [NumberedFormat], offered: [NumberedFormat]) {
    let now = Set(offered.map(\.payloadType))
    agreement.table = agreement.table.filter { !now.contains($0.value) }
    for entry in answered { agreement.table[entry.format] = entry.payloadType }
    for entry in offered where agreement.table[entry.format] == nil {
      agreement.table[entry.format] = entry.payloadType
    }
  }

  private mutating func complete() {
    agreement.remoteOffer = nil
    saved = nil
    preferenceChanged = false
    state = .stable
  }

  private mutating func switchOff() {
    agreement.negotiated?.sends = false
    agreement.negotiated?.receives = false
    agreement.remote?.direction = .inactive
  }

  /// The audio section that the stream uses: the one of before while it is on, else the first that we can use.
  private func chooseSection(
    _ offer: SessionDescription
  ) throws(OfferAnswerError) -> (index: Int, known: [NumberedFormat], foreign: Set<PayloadType>) {
    let audio = offer.media.indices.filter { offer.media[$0].kind == "audio" }
    let active = audio.filter { offer.media[$0].port != 0 || isBundleOnly(offer.media[$0], of: offer) }
    if active.isEmpty {
      // A stream that ran and is now switched off: an old way to hold.
      if let index = agreement.audioIndex, agreement.negotiated != nil, audio.contains(index) { return (index, [], []) }
      throw .noAudioStream
    }
    let spoken = active.filter { speaks(offer.media[$0].protocol) }
    guard !spoken.isEmpty else { throw .unsupportedProtocol(offer.media[active[0]].protocol) }
    // Its own place first.
    for index in spoken.filter({ $0 == agreement.audioIndex }) + spoken.filter({ $0 != agreement.audioIndex }) {
      let (known, foreign) = offer.media[index].audioFormats()
      if chooseCodec(known) != nil { return (index, known, foreign) }
    }
    throw .noCommonCodec
  }

  /// Our first codec that the far end listed, with the number that it gave it.
  private func chooseCodec(_ formats: [NumberedFormat]) -> (NumberedFormat, AudioCodec)? {
    // Unless asked to change, a running stream keeps its codec: no click, no new transcoder.
    let order = preferenceChanged ? codecs : currentFirst()
    for codec in order {
      if let entry = formats.first(where: { $0.format == .codec(codec) }) { return (entry, codec) }
    }
    return nil
  }

  private func currentFirst() -> [AudioCodec] {
    guard let current = agreement.negotiated?.codec, codecs.contains(current) else { return codecs }
    return [current] + codecs.filter { $0 != current }
  }

  private mutating func offerFormats() -> [NumberedFormat] {
    let order = preferenceChanged ? codecs : currentFirst()
    var wanted: [AudioFormat] = []
    for codec in order where !wanted.contains(.codec(codec)) { wanted.append(.codec(codec)) }
    if comfortNoise, order.contains(.pcmu) || order.contains(.pcma) { wanted.append(.comfortNoise) }
    if dtmf {
      // Events share their audio's clock (RFC 4733 §2.1); 8,000 Hz always, for peers that know no other.
      wanted.append(.telephoneEvent(8_000))
      if order.contains(.opus) { wanted.append(.telephoneEvent(48_000)) }
    }
    return wanted.map { NumberedFormat(format: $0, payloadType: number(for: $0)) }
  }

  /// The number of a format: that of before, its usual one, or the first free dynamic one.
  private mutating func number(for format: AudioFormat) -> PayloadType {
    if let known = agreement.table[format] { return known }
    let taken = Set(agreement.table.values).union(agreement.foreign)
    var number = format.preferredPayloadType
    if taken.contains(number) {
      // RFC 3551 §6: 96…127 are dynamic; the unassigned 35…63 serve when those run out (RFC 5761 §4).
      let free = (Array(96...127) + Array(35...63)).map { PayloadType(UInt8($0)) }
      number = free.first { !taken.contains($0) } ?? number
    }
    agreement.table[format] = number
    return number
  }

  /// The answer's list: the chosen codec, the others in the offer's order, events (matching clock first), noise.
  private func answerFormats(_ offered: [NumberedFormat], chosen: NumberedFormat) -> [NumberedFormat] {
    var result = [chosen]
    func add(_ entry: NumberedFormat) {
      if !result.contains(where: { $0.format == entry.format }) { result.append(entry) }
    }
    for entry in offered {
      if case .codec(let codec) = entry.format, codecs.contains(codec) { add(entry) }
    }
    if comfortNoise, chosen.format == .codec(.pcmu) || chosen.format == .codec(.pcma) {
      for entry in offered where entry.format == .comfortNoise { add(entry) }
    }
    if dtmf, case .codec(let codec) = chosen.format {
      for entry in offered where entry.format == .telephoneEvent(codec.clockRate) { add(entry) }
      for entry in offered {
        if case .telephoneEvent = entry.format { add(entry) }
      }
    }
    return result
  }
}

extension [NumberedFormat] {
  /// The first entry that is a codec.
  var firstCodec: (NumberedFormat, AudioCodec)? {
    for entry in self {
      if case .codec(let codec) = entry.format { return (entry, codec) }
    }
    return nil
  }
}
