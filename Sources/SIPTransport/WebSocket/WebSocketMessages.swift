package import NIOCore

/// Assembles frames into messages, answers control frames and checks text (RFC 6455 §5.4 to §5.6, §8.1).
///
/// A value without socket or clock: feed with `append`, drain with `next()` until nil.
package struct WebSocketMessages {
  package enum Event: Equatable {
    /// A whole text or binary message.
    case message([UInt8], isText: Bool)
    /// Answer with a pong of this payload.
    case ping([UInt8])
    case pong
    /// The peer closes, or must be closed: send a close frame with this code and reason. Nothing follows.
    case close(code: UInt16, reason: String, violation: WebSocketCloseCode?)
  }

  private var frames: WebSocketFrameParser
  private let maximumMessageSize: Int
  /// Payload of the fragments so far, and whether they are text.
  private var assembly: (bytes: [UInt8], isText: Bool)?
  private var isClosed = false

  package init(maximumMessageSize: Int) {
    self.maximumMessageSize = maximumMessageSize
    frames = WebSocketFrameParser(maximumPayload: maximumMessageSize)
  }

  /// Whether a frame or a fragmented message has begun and not ended.
  package var isPartial: Bool { frames.isPartial || assembly != nil }

  package mutating func append(_ bytes: ByteBuffer) {
    if !isClosed { frames.append(bytes) }
  }

  package mutating func next() -> Event? {
    guard !isClosed else { return nil }
    do {
      while let frame = try frames.next() {
        if let event = try handle(frame) { return event }
      }
      return nil
    } catch {
      isClosed = true
      assembly = nil
      return .close(code: error.code.rawValue, reason: error.reason, violation: error.code)
    }
  }

  private mutating func handle(
    _ frame: WebSocketFrameParser.Frame
  ) throws(WebSocketFrameParser.Violation) -> Event? {
    switch frame.opcode {
    case .ping: return .ping(frame.payload)
    case .pong: return .pong
    case .close: return try close(frame.payload)
    case .text, .binary:
      guard assembly == nil else { throw .init(code: .protocolError, reason: "message inside a fragmented message") }
      if frame.isFinal { return try complete(frame.payload, isText: frame.opcode == .text) }
      assembly = (frame.payload, frame.opcode == .text)
    case .continuation:
      guard case (var bytes, let isText)? = assembly else {
        throw .init(code: .protocolError, reason: "nothing to continue")
      }
      assembly = nil
      guard bytes.count + frame.payload.count <= maximumMessageSize else {
        throw .init(code: .tooBig, reason: "message larger than \(maximumMessageSize) bytes")
      }
      bytes.append(contentsOf: frame.payload)
      if frame.isFinal { return try complete(bytes, isText: isText) }
      assembly = (bytes, isText)
    }
    return nil
  }

  private func complete(_ bytes: [UInt8], isText: Bool) throws(WebSocketFrameParser.Violation) -> Event {
    if isText, !bytes.isUTF8 { throw .init(code: .invalidData, reason: "text is not UTF-8") }
    return .message(bytes, isText: isText)
  }

  private mutating func close(_ payload: [UInt8]) throws(WebSocketFrameParser.Violation) -> Event {
    guard payload.count != 1 else { throw .init(code: .protocolError, reason: "close code of one byte") }
    var code = WebSocketCloseCode.normal.rawValue
    if payload.count >= 2 {
      code = UInt16(payload[0]) << 8 | UInt16(payload[1])
      guard WebSocketCloseCode.isValidOnTheWire(code) else {
        throw .init(code: .protocolError, reason: "invalid close code")
      }
      guard Array(payload.dropFirst(2)).isUTF8 else { throw .init(code: .invalidData, reason: "text is not UTF-8") }
    }
    isClosed = true
    assembly = nil
    // RFC 6455 §5.5.1: the answer usually echoes the code.
    return .close(code: code, reason: "", violation: nil)
  }
}

extension [UInt8] {
  /// Whether the bytes are well-formed UTF-8. Allocates nothing.
  var isUTF8: Bool { (try? UTF8Span(validating: span)) != nil }
}
