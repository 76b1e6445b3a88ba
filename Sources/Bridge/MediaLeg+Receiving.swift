import Audio
package import Core
import RTP

// From the far end.
extension MediaLeg {
  /// Takes one decrypted RTP packet.
  package func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) {
    guard !isClosed else { return }
    guard negotiated != nil, let header = try? RTPHeader(parsing: packet) else {
      packetsRejected += 1
      return
    }
    let kind = kinds[Int(header.payloadType.rawValue)]
    guard kind != .unknown else {
      packetsRejected += 1
      return
    }
    var isAudio = false
    if case .audio = kind { isAudio = true }
    let verdict = reporter.received(header, now: now, measuresJitter: isAudio)
    heard(now)
    switch verdict {
    case .suspicious: return
    case .restarted:
      if hasReceived {
        receiver?.restart()
        telephoneEvents = TelephoneEventReceiver(clockRate: telephoneEvents.clockRate)
      }
    case .accepted: break
    }
    if !hasReceived {
      hasReceived = true
      onEvent?(.firstPacket)
    }
    tap?.tap(rtp: packet, arrival: now)
    let payload = UnsafeRawBufferPointer(rebasing: packet[header.payload])
    switch kind {
    case .unknown: break
    case .event(let clockRate): receive(event: payload, clockRate: clockRate, header, now)
    case .audio(let codec):
      guard negotiated?.receives == true, !payload.isEmpty else {
        receiver?.skip(sequence: header.sequence, timestamp: header.timestamp, now: now)
        return
      }
      if codec != receivingCodec { guard follow(codec, now) else { return } }
      if let passer = sourceKind == .echo ? self : listener, passer.relayedCodec == codec {
        passer.relay(header, payload, as: passer.negotiated?.payloadType, now)
      } else {
        receiver?.insert(payload, codec: codec, sequence: header.sequence, timestamp: header.timestamp, now: now)
      }
    case .comfortNoise:
      guard negotiated?.receives == true else { return }
      if let passer = sourceKind == .echo ? self : listener, passer.relayedCodec != nil {
        passer.relay(header, payload, as: passer.negotiated?.comfortNoise, now)
      } else {
        receiver?.insertComfortNoise(payload, sequence: header.sequence, timestamp: header.timestamp, now: now)
      }
    }
  }

  /// Takes one decrypted compound RTCP packet.
  package func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {
    guard !isClosed else { return }
    guard let packets = try? RTCPCompound.parse(packet) else {
      packetsRejected += 1
      return
    }
    heard(now)
    if let tap, packets.contains(where: { if case .senderReport = $0 { true } else { false } }) {
      tap.tap(rtcp: packet, arrival: now)
    }
    let outcome = reporter.receive(packets, now: now)
    if let report = reporter.remoteReport { encoder?.setPacketLoss(Double(report.fractionLost) / 256) }
    if outcome.goodbye { onEvent?(.goodbye) }
  }

  /// The far end switched to another codec of the answer, as it may at any time (RFC 3264 §6.1). Codec states are made
  /// here, so a peer that switches with every packet is not followed.
  private func follow(_ codec: AudioCodec, _ now: Instant) -> Bool {
    if let changed = codecChangedAt, now - changed < .milliseconds(200) { return false }
    codecChangedAt = now
    receivingCodec = codec
    reporter.setClockRate(receiving: codec.clockRate)
    do {
      if sourceKind == .echo || sourceKind == .conference { try plan(now) }
      try listener?.plan(now)
      if detector != nil, !hasPuller { try prepareReceiver(sampleRate: detectionRate) }
    } catch {
      // Out of memory for a codec: this packet is lost, the next switch tries again.
      packetsRejected += 1
      return false
    }
    return true
  }

  private func heard(_ now: Instant) {
    lastHeard = now
    if hasTimedOut {
      hasTimedOut = false
      onEvent?(.mediaResumed)
    }
  }

  /// Tells the silence of a far end that may send. RTCP counts as life: a muted or quiet peer sends it.
  func checkTimeout(_ now: Instant) {
    guard let mediaTimeout, !hasTimedOut, let negotiated, negotiated.receives, now - lastHeard >= mediaTimeout else {
      return
    }
    hasTimedOut = true
    onEvent?(.mediaTimeout)
  }

  /// Fills a frame with what the far end says; silence where there is nothing. False before anything came.
  @discardableResult
  func pull(_ frame: Samples, now: Instant) -> Bool {
    guard let receiver, receiver.sampleRate * frame.count > 0 else {
      frame.update(repeating: 0)
      return false
    }
    let isHeard = receiver.pull(frame, now: now)
    detector?.detect(in: frame) { event in
      switch event {
      case .began(let code): digitBegan(code, via: .tones, now)
      case .ended(let code, let milliseconds):
        digitEnded(code, via: .tones, duration: .milliseconds(milliseconds), now)
      }
    }
    return isHeard
  }
}
