import NIOCore
import SIP

/// How a connection's bytes become SIP messages: by Content-Length on TCP and TLS (RFC 3261 §18.3), one message a
/// WebSocket message otherwise (RFC 7118 §5).
///
/// A value without socket or clock: feed with `append`, drain with `next()` until nil.
struct Framing {
  /// Exactly one of the two is there.
  private var stream: SIPStreamParser?
  private var webSocket: WebSocketMessages?
  private let limits: SIPLimits

  enum Event {
    case message(SIPMessage)
    /// CRLFCRLF: answer CRLF (RFC 5626 §3.5.1, RFC 7118 §6).
    case keepAlivePing
    /// Something that shows life and asks for nothing: CRLF, a pong, an empty message.
    case sign
    /// A WebSocket ping to answer.
    case webSocketPing([UInt8])
    /// One message is malformed; the connection goes on.
    case malformed(SIPParseError)
    /// The stream cannot be followed any more.
    case lost(SIPParseError)
    /// A WebSocket is to be closed with this code; `refusal` when the peer broke a rule.
    case close(code: UInt16, reason: String, refusal: RefusalReason?)
  }

  static func limits(maximumMessageSize: Int) -> SIPLimits {
    var limits = SIPLimits()
    limits.headBytes = min(limits.headBytes, maximumMessageSize)
    limits.bodyBytes = maximumMessageSize
    return limits
  }

  static func stream(maximumMessageSize: Int) -> Framing {
    let limits = limits(maximumMessageSize: maximumMessageSize)
    return Framing(stream: SIPStreamParser(limits: limits), webSocket: nil, limits: limits)
  }

  static func webSocket(maximumMessageSize: Int) -> Framing {
    Framing(
      stream: nil, webSocket: WebSocketMessages(maximumMessageSize: maximumMessageSize),
      limits: limits(maximumMessageSize: maximumMessageSize))
  }

  var isWebSocket: Bool { webSocket != nil }

  /// Whether a message has begun and not ended.
  var isPartial: Bool { webSocket?.isPartial ?? ((stream?.pendingBytes ?? 0) > 0) }

  mutating func append(_ bytes: ByteBuffer) {
    webSocket?.append(bytes)
    stream?.append(bytes.readableBytesView)
  }

  mutating func next() -> Event? {
    if stream != nil { return Self.next(from: &stream!) }
    return Self.next(from: &webSocket!, limits)
  }

  private static func next(from parser: inout SIPStreamParser) -> Event? {
    do throws(SIPParseError) {
      switch try parser.next() {
      case .message(let message): return .message(message)
      case .keepAlivePing: return .keepAlivePing
      case .keepAlivePong: return .sign
      case nil: return nil
      }
    } catch {
      return parser.isFatal ? .lost(error) : .malformed(error)
    }
  }

  private static func next(from messages: inout WebSocketMessages, _ limits: SIPLimits) -> Event? {
    switch messages.next() {
    case nil: return nil
    case .ping(let payload): return .webSocketPing(payload)
    case .pong: return .sign
    case .close(let code, let reason, let violation):
      return .close(code: code, reason: reason, refusal: violation.map(refusal))
    case .message(let bytes, _):
      if bytes.count <= 4, SIPParser.isKeepAlive(bytes) { return bytes.count == 4 ? .keepAlivePing : .sign }
      do throws(SIPParseError) {
        return .message(try SIPParser.parse(datagram: bytes, limits: limits))
      } catch {
        return .malformed(error)
      }
    }
  }

  private static func refusal(_ code: WebSocketCloseCode) -> RefusalReason {
    switch code {
    case .tooBig: .oversized
    case .invalidData: .invalidUTF8
    default: .webSocketProtocol
    }
  }
}
