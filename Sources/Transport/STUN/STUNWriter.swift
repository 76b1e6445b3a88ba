package import Core

/// Writes one STUN message into memory of the caller. What does not fit is left out, and `finish` then gives nil.
package struct STUNWriter {
  private let buffer: UnsafeMutableRawBufferPointer
  private var length = STUNMessage.headerLength
  private var overflows = false

  /// Enough for every message that is written here.
  package static let capacity = 256

  /// - Parameter transactionID: 12 bytes.
  package init(
    _ messageClass: STUNMessage.Class, method: UInt16 = STUNMessage.bindingMethod,
    transactionID: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
  ) {
    self.buffer = buffer
    guard buffer.count >= STUNMessage.headerLength, transactionID.count == 12 else {
      overflows = true
      return
    }
    let bits = method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2
    buffer.storeBytes(of: (messageClass.rawValue | bits).bigEndian, as: UInt16.self)
    buffer.storeBytes(of: STUNMessage.magicCookie.bigEndian, toByteOffset: 4, as: UInt32.self)
    UnsafeMutableRawBufferPointer(rebasing: buffer[8..<20]).copyMemory(from: transactionID)
  }

  /// An attribute with a value of `count` bytes, which `fill` writes into zeroed memory.
  package mutating func attribute(_ kind: UInt16, _ count: Int, _ fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let padded = (count + 3) & ~3
    guard !overflows, length + 4 + padded <= buffer.count else {
      overflows = true
      return
    }
    buffer.storeBytes(of: kind.bigEndian, toByteOffset: length, as: UInt16.self)
    buffer.storeBytes(
      of: UInt16(truncatingIfNeeded: count).bigEndian, toByteOffset: length + 2, as: UInt16.self)
    let value = UnsafeMutableRawBufferPointer(rebasing: buffer[(length + 4)..<(length + 4 + padded)])
    value.initializeMemory(as: UInt8.self, repeating: 0)
    fill(UnsafeMutableRawBufferPointer(rebasing: value[0..<count]))
    length += 4 + padded
  }

  package mutating func attribute(_ kind: UInt16, _ text: String) {
    var text = text
    text.withUTF8 { bytes in attribute(kind, bytes.count) { $0.copyBytes(from: bytes) } }
  }

  package mutating func attribute(_ kind: UInt16, _ number: UInt32) {
    attribute(kind, 4) { $0.storeBytes(of: number.bigEndian, as: UInt32.self) }
  }

  package mutating func attribute(_ kind: UInt16, _ number: UInt64) {
    attribute(kind, 8) { $0.storeBytes(of: number.bigEndian, as: UInt64.self) }
  }

  /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2): the port xored with the cookie's upper half, the address with the cookie, for
  /// IPv6 also with the transaction ID.
  package mutating func xorMappedAddress(_ address: SocketAddress) {
    let key = UnsafeRawBufferPointer(rebasing: buffer[4..<20])
    attribute(STUNMessage.Attribute.xorMappedAddress, address.ip.isIPv6 ? 20 : 8) { value in
      value[1] = address.ip.isIPv6 ? 2 : 1
      let port = address.port ^ UInt16(truncatingIfNeeded: STUNMessage.magicCookie >> 16)
      value.storeBytes(of: port.bigEndian, toByteOffset: 2, as: UInt16.self)
      if let v4 = address.ip.v4 {
        value.storeBytes(of: (v4 ^ STUNMessage.magicCookie).bigEndian, toByteOffset: 4, as: UInt32.self)
      } else {
        for (index, octet) in address.ip.bytes.enumerated() { value[4 + index] = octet ^ key[index] }
      }
    }
  }

  /// ERROR-CODE (RFC 8489 §14.8).
  package mutating func errorCode(_ code: Int, _ reason: StaticString) {
    attribute(STUNMessage.Attribute.errorCode, 4 + reason.utf8CodeUnitCount) { value in
      value[2] = UInt8(truncatingIfNeeded: code / 100)
      value[3] = UInt8(truncatingIfNeeded: code % 100)
      reason.withUTF8Buffer { bytes in
        UnsafeMutableRawBufferPointer(rebasing: value[4...]).copyBytes(from: bytes)
      }
    }
  }

  package mutating func unknownAttributes(_ kinds: [UInt16]) {
    attribute(STUNMessage.Attribute.unknownAttributes, 2 * kinds.count) { value in
      for (index, kind) in kinds.enumerated() {
        value.storeBytes(of: kind.bigEndian, toByteOffset: 2 * index, as: UInt16.self)
      }
    }
  }

  /// Nothing but `fingerprint` may follow.
  package mutating func messageIntegrity(_ integrity: STUNIntegrity, password: [UInt8]) {
    guard !overflows,
      var digest = integrity.digest(of: UnsafeRawBufferPointer(buffer), upTo: length, password: password)
    else {
      overflows = true
      return
    }
    attribute(STUNMessage.Attribute.messageIntegrity, STUNIntegrity.length) { value in
      withUnsafeBytes(of: &digest) { value.copyMemory(from: $0) }
    }
  }

  /// The last attribute.
  package mutating func fingerprint() {
    setLength(length + 8)
    let value = STUNFingerprint.value(of: UnsafeRawBufferPointer(buffer), upTo: length)
    attribute(STUNMessage.Attribute.fingerprint, value)
  }

  /// The message's length; nil when it did not fit.
  package mutating func finish() -> Int? {
    setLength(length)
    return overflows ? nil : length
  }

  private func setLength(_ end: Int) {
    guard !overflows else { return }
    buffer.storeBytes(
      of: UInt16(truncatingIfNeeded: end - STUNMessage.headerLength).bigEndian, toByteOffset: 2, as: UInt16.self)
  }
}

extension STUNMessage {
  /// The address in XOR-MAPPED-ADDRESS; nil without one.
  package func mappedAddress(in bytes: UnsafeRawBufferPointer) -> SocketAddress? {
    guard let range = xorMappedAddress, range.upperBound <= bytes.count else { return nil }
    let value = UnsafeRawBufferPointer(rebasing: bytes[range])
    let port = RTPFields.uint16(value, at: 2) ^ UInt16(truncatingIfNeeded: STUNMessage.magicCookie >> 16)
    switch (value[1], value.count) {
    case (1, 8):
      return SocketAddress(ip: IPAddress(v4: RTPFields.uint32(value, at: 4) ^ STUNMessage.magicCookie), port: port)
    case (2, 20):
      let octets = (0..<16).map { value[4 + $0] ^ bytes[4 + $0] }
      return IPAddress(bytes: octets).map { SocketAddress(ip: $0, port: port) }
    default: return nil
    }
  }
}
