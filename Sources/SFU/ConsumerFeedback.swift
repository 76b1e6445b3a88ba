import Core
import RTP

extension Consumer {
  /// A packet is sent again at most so often.
  static let maximumRetransmissions: UInt8 = 8
  /// Between two answers for one packet while no round trip is known.
  static let defaultRoundTrip = Duration.milliseconds(60)

  /// The subscriber misses packets (RFC 4585 §6.2.1). Each is sent again on the retransmission stream (RFC 4588), or as it
  /// was without one; not while the answer before may still be under way.
  func receive(nack lost: [UInt16], now: Instant) {
    let pause = max(reports.roundTrip ?? Self.defaultRoundTrip, .milliseconds(10))
    let guardTime = UInt16(clamping: Int64(pause.inMilliseconds * 0.9))
    for sequence in lost {
      forwarder.counters.nacked &+= 1
      guard answer(sequence, guardTime, now) else {
        forwarder.counters.nacksIgnored &+= 1
        continue
      }
    }
  }

  private func answer(_ sequence: UInt16, _ guardTime: UInt16, _ now: Instant) -> Bool {
    guard let extended = forwarder.sent.extend(sequence), forwarder.sent.covers(extended) else { return false }
    guard let entry = forwarder.sent[extended] else {
      // Nothing was sent there. A packet of the source before the current one will not come any more: close the hole.
      guard forwarder.mustJoin || extended < forwarder.runs.current.first else { return false }
      fill(extended, now: now)
      return true
    }
    guard entry.retransmissions < Self.maximumRetransmissions,
      entry.retransmissions == 0 || SequenceMap.milliseconds(now) &- entry.retransmittedAt >= guardTime
    else { return false }
    if entry.isFiller {
      forwarder.sent.retransmitted(extended, now: now)
      fill(extended, now: now)
      return true
    }
    guard entry.streamIndex < producer.streams.count,
      let length = producer.streams[entry.streamIndex].history.packet(entry.extendedSequence)?.bytes.count
    else { return false }
    forwarder.sent.retransmitted(extended, now: now)
    if sender.admits(.retransmission, bytes: length, now: now) {
      guard let built = write(sequence, isRetransmission: true, into: sender.buffer, now: now) else { return false }
      sender.transmit(built, kind: .retransmission, now: now)
    } else {
      sender.enqueue(senderSlot, sequence: sequence, bytes: length, kind: .retransmission, now: now)
    }
    return true
  }

  /// Sends padding alone under a number that nothing else will fill, so that the subscriber does not wait for it.
  func fill(_ sequence: Int64, now: Instant) {
    forwarder.sent.fill(sequence)
    guard forwarder.sent.covers(sequence),
      let built = writeFiller(UInt16(truncatingIfNeeded: sequence), into: sender.buffer)
    else { return }
    forwarder.counters.paddingPackets &+= 1
    forwarder.counters.paddingOctets &+= built.length
    sender.transmit(built, kind: .audio, now: now)
  }
}
