package import Core

/// The retransmission payload format (RFC 4588 §4): the original sequence number, then the original payload.
package enum RTX {
  /// Bytes in front of the original payload.
  package static let headerLength = 2

  /// The original packet, written into `buffer`: header extension and payload as they came, padding cut off.
  ///
  /// - Returns: The length; 0 for a packet that carries nothing (padding probes) or does not fit.
  package static func unwrap(
    _ packet: UnsafeRawBufferPointer, header: RTPHeader, ssrc: SSRC, payloadType: PayloadType,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let payload = header.payload
    guard payload.count > headerLength, payload.upperBound <= packet.count else { return 0 }
    let length = payload.upperBound - headerLength
    guard buffer.count >= length else { return 0 }
    UnsafeMutableRawBufferPointer(rebasing: buffer[..<payload.lowerBound])
      .copyMemory(from: UnsafeRawBufferPointer(rebasing: packet[..<payload.lowerBound]))
    let original = UnsafeRawBufferPointer(rebasing: packet[(payload.lowerBound + headerLength)..<payload.upperBound])
    UnsafeMutableRawBufferPointer(rebasing: buffer[payload.lowerBound..<length]).copyMemory(from: original)
    buffer[0] = packet[0] & ~0x20
    buffer[1] = payloadType.rawValue | (header.marker ? 0x80 : 0)
    buffer[2] = packet[payload.lowerBound]
    buffer[3] = packet[payload.lowerBound + 1]
    buffer.put(u32: ssrc.rawValue, at: 8)
    return length
  }
}
