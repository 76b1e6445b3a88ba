package import Core

/// One packet of an RTCP compound (RFC 3550 §6, RFC 4585).
package enum RTCPPacket: Hashable, Sendable {
  case senderReport(SenderReport)
  case receiverReport(sender: SSRC, blocks: [ReportBlock])
  case sourceDescription([SourceDescription])
  case goodbye(sources: [SSRC], reason: String?)
  /// RFC 3550 §6.7. `subtype` 0…31, `name` four ASCII letters, `data` whole words.
  case application(subtype: UInt8, sender: SSRC, name: String, data: [UInt8])
  /// Lost sequence numbers, in the order of the packet (RFC 4585 §6.2.1).
  case nack(sender: SSRC, media: SSRC, lost: [UInt16])
  /// RFC 4585 §6.3.1.
  case pictureLossIndication(sender: SSRC, media: SSRC)
  /// RFC 5104 §4.3.1.
  case fullIntraRequest(sender: SSRC, requests: [FullIntraRequest])
  /// `goog-remb`: bits a second for the named sources together.
  case receiverEstimatedMaximumBitrate(sender: SSRC, bitrate: UInt64, sources: [SSRC])
  case transportFeedback(TransportFeedback)
  /// RFC 3611, contents passed over.
  case extendedReport(sender: SSRC)
  /// A well-formed packet of a type or format that we do not read.
  case other(type: UInt8, format: UInt8)
}

/// SR (RFC 3550 §6.4.1).
package struct SenderReport: Hashable, Sendable {
  package var sender: SSRC
  package var ntp: NTPTime
  /// The media clock at `ntp`.
  package var rtpTimestamp: UInt32
  package var packetCount: UInt32
  package var octetCount: UInt32
  package var blocks: [ReportBlock]

  package init(
    sender: SSRC, ntp: NTPTime, rtpTimestamp: UInt32, packetCount: UInt32, octetCount: UInt32, blocks: [ReportBlock]
  ) {
    self.sender = sender
    self.ntp = ntp
    self.rtpTimestamp = rtpTimestamp
    self.packetCount = packetCount
    self.octetCount = octetCount
    self.blocks = blocks
  }
}

/// A report block of SR and RR (RFC 3550 §6.4.1).
package struct ReportBlock: Hashable, Sendable {
  /// The source that is reported on.
  package var source: SSRC
  /// Of 256, since the report before.
  package var fractionLost: UInt8
  /// 24 bits, signed.
  package var cumulativeLost: Int32
  package var extendedHighestSequence: UInt32
  /// In timestamp units.
  package var jitter: UInt32
  /// The middle 32 bits of the last SR's NTP time; 0 before the first.
  package var lastSenderReport: UInt32
  /// Since that SR arrived, in 1/65,536 s.
  package var delaySinceLastSenderReport: UInt32

  package init(
    source: SSRC, fractionLost: UInt8, cumulativeLost: Int32, extendedHighestSequence: UInt32, jitter: UInt32,
    lastSenderReport: UInt32, delaySinceLastSenderReport: UInt32
  ) {
    self.source = source
    self.fractionLost = fractionLost
    self.cumulativeLost = cumulativeLost
    self.extendedHighestSequence = extendedHighestSequence
    self.jitter = jitter
    self.lastSenderReport = lastSenderReport
    self.delaySinceLastSenderReport = delaySinceLastSenderReport
  }
}

/// A chunk of SDES (RFC 3550 §6.5).
package struct SourceDescription: Hashable, Sendable {
  package var source: SSRC
  /// Item type (1 is CNAME) and text.
  package var items: [Item]

  package struct Item: Hashable, Sendable {
    package var type: UInt8
    package var text: String

    package init(type: UInt8, text: String) {
      self.type = type
      self.text = text
    }
  }

  package init(source: SSRC, items: [Item]) {
    self.source = source
    self.items = items
  }

  package init(source: SSRC, cname: String) { self.init(source: source, items: [Item(type: 1, text: cname)]) }

  package var cname: String? { items.first { $0.type == 1 }?.text }
}

/// An entry of FIR (RFC 5104 §4.3.1.1).
package struct FullIntraRequest: Hashable, Sendable {
  package var media: SSRC
  package var sequence: UInt8

  package init(media: SSRC, sequence: UInt8) {
    self.media = media
    self.sequence = sequence
  }
}

/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
package struct TransportFeedback: Hashable, Sendable {
  package var sender: SSRC
  package var media: SSRC
  package var baseSequence: UInt16
  /// In 64 ms; signed 24 bits.
  package var referenceTime: Int32
  package var feedbackCount: UInt8
  /// One entry a sequence number from `baseSequence` on: the arrival's distance from the one before (from the reference
  /// time for the first) in 250 µs; nil for a packet that did not arrive.
  package var arrivals: [Int16?]

  package init(
    sender: SSRC, media: SSRC, baseSequence: UInt16, referenceTime: Int32, feedbackCount: UInt8, arrivals: [Int16?]
  ) {
    self.sender = sender
    self.media = media
    self.baseSequence = baseSequence
    self.referenceTime = referenceTime
    self.feedbackCount = feedbackCount
    self.arrivals = arrivals
  }
}

/// A 64-bit NTP timestamp (RFC 3550 §4): seconds since 1900 and their fraction.
package struct NTPTime: RawRepresentable, Hashable, Sendable {
  package var rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }

  package init(_ wall: WallTime) {
    // 1900 to 1970: 70 years with 17 leap days.
    let seconds = wall.milliseconds / 1000 &+ 2_208_988_800
    let fraction = (UInt64(wall.milliseconds % 1000 & 0x3FF) << 32) / 1000
    rawValue = UInt64(truncatingIfNeeded: seconds) << 32 | fraction & 0xFFFF_FFFF
  }

  /// The middle 32 bits, as LSR carries them: 1/65,536 s.
  package var middle: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }
}
