import Audio
package import Core
import RTP

// To the far end.
extension MediaLeg {
  /// Does what is due: frames, digits, RTCP, timeouts. Call it every 20 ms for each leg; some milliseconds early or late
  /// do not matter.
  package func tick(now: Instant) {
    guard !isClosed, let negotiated else { return }
    if let ended = telephoneEvents.advance(to: now) {
      digitEnded(ended.event, via: .events, duration: ended.duration, now)
    }
    checkTimeout(now)
    detectUnheard(now)
    if now >= reporter.nextDeadline {
      let report = reporter.makeReport(now: now, wall: wall(now))
      if let transport { report.withUnsafeBytes { transport.send(rtcp: $0) } }
    }
    speakToConference(now)
    guard negotiated.sends else { return }
    var due = nextFrameAt ?? now
    // A worker that stood still for long does not make up for it: the far end has concealed it.
    if now - due > .milliseconds(100) || due - now > .milliseconds(100) { due = now }
    while due <= now + .milliseconds(5) {
      makeFrame(due)
      due = due + packetTime
    }
    nextFrameAt = due
    if generator?.hasEnded == true { endClip(now) }
  }

  /// Passes a packet on under our own SSRC, sequence number and timestamp.
  func relay(_ header: RTPHeader, _ payload: UnsafeRawBufferPointer, as type: PayloadType?, _ now: Instant) {
    guard let type, let transport, negotiated?.sends == true, !digits.isBusy else { return }
    guard payload.count <= packet.count - RTPHeader.fixedLength, let stamp = output.relayed(header, now: now) else {
      return
    }
    send(payload, stamp, type, transport, now)
  }

  /// One frame of the source, or what takes its place. Sent at `now`, which may be some milliseconds off.
  private func makeFrame(_ now: Instant) {
    let frame = frame.samples
    var hasAudio = false
    switch sourceKind {
    case .silence: break
    case .generated:
      if generator != nil, encoder != nil {
        generator?.generate(into: frame)
        hasAudio = true
      }
    case .conference:
      if encoder != nil, let conference {
        conference.hear(frame)
        hasAudio = true
      }
    case .leg, .echo:
      if relayedCodec == nil, encoder != nil, let leg = sourceKind == .echo ? self : sourceLeg {
        leg.pull(frame, now: now)
        hasAudio = true
      }
    }
    switch digits.step(packetTime, frame: frame, output: &output, now: now) {
    case .audio:
      if hasAudio { sendFrame(.source(generation), now) }
    case .pause: output.skip(duration: frameUnits)
    case .tone: sendFrame(.tone, now)
    case .event(let payload, let stamp):
      seam.forget()
      lastFrame = .none
      guard let type = negotiated?.telephoneEvent?.payloadType, let transport else { break }
      let room = UnsafeMutableRawBufferPointer(rebasing: packet[RTPHeader.fixedLength...])
      let length = payload.write(into: room)
      send(UnsafeRawBufferPointer(rebasing: room[..<length]), stamp, type, transport, now)
    }
  }

  /// Encodes and sends what `frame` holds. Where it does not follow from the frame before, the two are joined.
  private func sendFrame(_ kind: FrameKind, _ now: Instant) {
    let samples = frame.samples
    if kind != lastFrame { seam.join(into: samples) }
    lastFrame = kind
    seam.remember(samples)
    guard let encoder, let negotiated else { return }
    let room = UnsafeMutableRawBufferPointer(rebasing: packet[RTPHeader.fixedLength...])
    let length = encoder.encode(samples, into: UnsafeMutableRawBufferPointer(rebasing: room[..<1_276]))
    // With DTX, frames of one or two octets need not be sent (RFC 7587 §3.1.3).
    if length == 0 || encoder.codec == .opus && length <= 2 && negotiated.opus.useDTX {
      output.skip(duration: frameUnits)
      return
    }
    guard let transport else {
      output.skip(duration: frameUnits)
      return
    }
    let stamp = output.next(duration: frameUnits, now: now)
    send(UnsafeRawBufferPointer(rebasing: room[..<length]), stamp, negotiated.payloadType, transport, now)
  }

  /// One last frame that takes what sounds to silence, before nothing or another's packets follow.
  func fadeOut(_ now: Instant) {
    guard lastFrame != .none, negotiated?.sends == true, encoder?.codec == negotiated?.codec else { return }
    frame.samples.update(repeating: 0)
    generation &+= 1
    sendFrame(.source(generation), now)
    lastFrame = .none
    seam.forget()
  }

  /// `payload` may lie where it is to be sent from.
  private func send(
    _ payload: UnsafeRawBufferPointer, _ stamp: OutputSequence.Stamp, _ type: PayloadType,
    _ transport: any PacketTransport, _ now: Instant
  ) {
    RTPHeader(
      payloadType: type, sequence: stamp.sequence, timestamp: stamp.timestamp, ssrc: stamp.ssrc, marker: stamp.marker
    ).write(into: packet)
    let room = UnsafeMutableRawBufferPointer(rebasing: packet[RTPHeader.fixedLength...])
    if let source = payload.baseAddress, source != UnsafeRawPointer(room.baseAddress) {
      room.copyMemory(from: payload)
    }
    reporter.sent(timestamp: stamp.timestamp, payloadOctets: payload.count, now: now)
    transport.send(rtp: UnsafeRawBufferPointer(rebasing: packet[..<(RTPHeader.fixedLength + payload.count)]))
  }

  /// A frame in units of the timestamp.
  private var frameUnits: UInt32 {
    UInt32(clamping: packetTime.nanoseconds / 1_000 * Int64(output.clockRate) / 1_000_000)
  }
}
