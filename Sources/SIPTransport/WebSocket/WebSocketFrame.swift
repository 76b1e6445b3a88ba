package import NIOCore

/// Opcodes of RFC 6455 §5.2.
package enum WebSocketOpcode: UInt8, Sendable {
  case continuation = 0x0
  case text = 0x1
  case binary = 0x2
  case close = 0x8
  case ping = 0x9
  case pong = 0xA

  var isControl: Bool { rawValue & 0x8 != 0 }
}

/// Status codes of a close frame that we send (RFC 6455 §7.4.1).
package enum WebSocketCloseCode: UInt16, Sendable {
  case normal = 1000
  case goingAway = 1001
  case protocolError = 1002
  case invalidData = 1007
  case policyViolation = 1008
  case tooBig = 1009

  /// Whether a peer may send this number (RFC 6455 §7.4): the reserved 1004–1006 and 1015 never travel.
  static func isValidOnTheWire(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}

/// Writes server frames: final, unmasked.
package enum WebSocketFrameWriter {
  /// Bytes of the longest server header.
  package static let maximumHeaderSize = 10

  package static func writeHeader(_ opcode: WebSocketOpcode, payloadLength: Int, into buffer: inout ByteBuffer) {
    buffer.writeInteger(0x80 | opcode.rawValue)
    switch payloadLength {
    case ..<126:
      buffer.writeInteger(UInt8(truncatingIfNeeded: payloadLength))
    case ..<65_536:
      buffer.writeInteger(UInt8(126))
      buffer.writeInteger(UInt16(truncatingIfNeeded: payloadLength))
    default:
      buffer.writeInteger(UInt8(127))
      buffer.writeInteger(UInt64(payloadLength))
    }
  }

  package static func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8], allocator: ByteBufferAllocator) -> ByteBuffer
  {
    var buffer = allocator.buffer(capacity: maximumHeaderSize + payload.count)
    writeHeader(opcode, payloadLength: payload.count, into: &buffer)
    buffer.writeBytes(payload)
    return buffer
  }

  /// A close frame; `reason` is cut to what a control frame holds.
  package static func close(_ code: UInt16, reason: String, allocator: ByteBufferAllocator) -> ByteBuffer {
    var text = reason
    while text.utf8.count > 123 { text.removeLast() }
    return frame(.close, [UInt8(code >> 8), UInt8(code & 0xFF)] + Array(text.utf8), allocator: allocator)
  }
}

/// Splits a client's bytes into frames and unmasks them (RFC 6455 §5.2).
///
/// ```
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-------+-+-------------+-------------------------------+
/// |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
/// |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
/// |N|V|V|V|       |S|             |   (if payload len==126/127)   |
/// | |1|2|3|       |K|             |                               |
/// +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
/// |          masking key          |          payload …            |
/// ```
///
/// A value; feed with `append`, drain with `next()` until nil. After a thrown error it must not be used again.
struct WebSocketFrameParser {
  struct Frame: Equatable {
    let isFinal: Bool
    let opcode: WebSocketOpcode
    let payload: [UInt8]
  }

  struct Violation: Error, Equatable {
    let code: WebSocketCloseCode
    let reason: String
  }

  private let maximumPayload: Int
  /// What has arrived and is not yet a frame; nil when there is nothing, so that an idle connection holds no buffer.
  private var buffered: ByteBuffer?

  init(maximumPayload: Int) {
    self.maximumPayload = maximumPayload
  }

  /// Whether a frame has begun and not ended.
  var isPartial: Bool { buffered != nil }

  mutating func append(_ bytes: ByteBuffer) {
    guard bytes.readableBytes > 0 else { return }
    if buffered == nil {
      buffered = bytes
    } else {
      buffered!.writeImmutableBuffer(bytes)
    }
  }

  /// The next whole frame, or nil when more bytes are needed.
  mutating func next() throws(Violation) -> Frame? {
    guard var buffer = buffered else { return nil }
    guard let header = try Self.header(of: buffer) else {
      keep(&buffer)
      return nil
    }
    // A length that is too large is refused before its payload arrives.
    guard header.payloadLength <= UInt64(header.opcode.isControl ? 125 : maximumPayload) else {
      throw header.opcode.isControl
        ? Violation(code: .protocolError, reason: "control frame longer than 125 bytes")
        : Violation(code: .tooBig, reason: "message larger than \(maximumPayload) bytes")
    }
    let length = Int(header.payloadLength)
    guard buffer.readableBytes >= header.size + length else {
      keep(&buffer)
      return nil
    }
    buffer.moveReaderIndex(forwardBy: header.size)
    let payload = Self.unmask(buffer.readableBytesView.prefix(length), key: header.maskingKey)
    buffer.moveReaderIndex(forwardBy: length)
    buffered = nil
    if buffer.readableBytes > 0 { buffered = buffer }
    return Frame(isFinal: header.isFinal, opcode: header.opcode, payload: payload)
  }

  /// Keeps an incomplete frame in storage of its own: the channel's receive buffer stays free for the next read.
  private mutating func keep(_ buffer: inout ByteBuffer) {
    buffered = nil
    buffer.discardReadBytes()
    buffered = buffer
  }

  private struct Header {
    let isFinal: Bool
    let opcode: WebSocketOpcode
    let payloadLength: UInt64
    /// In network order.
    let maskingKey: UInt32
    let size: Int
  }

  private static func header(of buffer: ByteBuffer) throws(Violation) -> Header? {
    let start = buffer.readerIndex
    guard let first = buffer.getInteger(at: start, as: UInt8.self) else { return nil }
    guard first & 0x70 == 0 else { throw Violation(code: .protocolError, reason: "reserved bit set") }
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
      throw Violation(code: .protocolError, reason: "unknown opcode")
    }
    let isFinal = first & 0x80 != 0
    guard isFinal || !opcode.isControl else {
      throw Violation(code: .protocolError, reason: "fragmented control frame")
    }
    guard let second = buffer.getInteger(at: start + 1, as: UInt8.self) else { return nil }
    // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
    guard second & 0x80 != 0 else { throw Violation(code: .protocolError, reason: "frame not masked") }
    let payloadLength: UInt64
    var size = 2
    switch second & 0x7F {
    case 126:
      guard let length = buffer.getInteger(at: start + 2, as: UInt16.self) else { return nil }
      guard length > 125 else { throw Violation(code: .protocolError, reason: "length not minimal") }
      payloadLength = UInt64(length)
      size += 2
    case 127:
      guard let length = buffer.getInteger(at: start + 2, as: UInt64.self) else { return nil }
      guard length > 65_535, length >> 63 == 0 else {
        throw Violation(code: .protocolError, reason: "length not minimal")
      }
      payloadLength = length
      size += 8
    case let length:
      payloadLength = UInt64(length)
    }
    guard let key = buffer.getInteger(at: start + size, as: UInt32.self) else {
      // The length is known: let the caller refuse it before the key arrives.
      return payloadLength > 125
        ? Header(
          isFinal: isFinal, opcode: opcode, payloadLength: payloadLength, maskingKey: 0, size: size + 4) : nil
    }
    return Header(
      isFinal: isFinal, opcode: opcode, payloadLength: payloadLength, maskingKey: key.bigEndian, size: size + 4)
  }

  private static func unmask(_ bytes: ByteBufferView, key: UInt32) -> [UInt8] {
    let wide = UInt64(key) << 32 | UInt64(key)
    return [UInt8](unsafeUninitializedCapacity: bytes.count) { target, count in
      let output = UnsafeMutableRawBufferPointer(target)
      bytes.withUnsafeBytes { input in
        var index = 0
        while index &+ 8 <= input.count {
          let word = input.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide
          output.storeBytes(of: word, toByteOffset: index, as: UInt64.self)
          index &+= 8
        }
        while index < input.count {
          // The key in memory order: byte i of the payload meets byte i mod 4 of the key.
          output[index] = input[index] ^ UInt8(truncatingIfNeeded: key >> UInt32((index & 3) &* 8))
          index &+= 1
        }
        count = input.count
      }
    }
  }
}
