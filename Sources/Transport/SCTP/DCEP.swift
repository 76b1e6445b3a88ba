/// The messages of the Data Channel Establishment Protocol (RFC 8832 §5), which travel with PPID 50 on the stream that
/// they open.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     |  Message Type |  Channel Type |            Priority           |
///     |                    Reliability Parameter                      |
///     |         Label Length          |       Protocol Length         |
///     |                             Label …                           |
///     |                            Protocol …                         |
package enum DCEPMessage: Sendable, Hashable {
  case open(Open)
  case acknowledge

  /// How a channel is to be (§5.1).
  package struct Open: Sendable, Hashable {
    package var label: String
    package var subprotocol: String
    package var isOrdered: Bool
    package var reliability: Reliability
    package var priority: UInt16

    package init(
      label: String, subprotocol: String = "", isOrdered: Bool = true, reliability: Reliability = .reliable,
      priority: UInt16 = 256
    ) {
      self.label = label
      self.subprotocol = subprotocol
      self.isOrdered = isOrdered
      self.reliability = reliability
      self.priority = priority
    }
  }

  /// When a message is given up (RFC 3758).
  package enum Reliability: Sendable, Hashable {
    case reliable
    /// After so many retransmissions.
    case retransmissions(UInt32)
    /// After so many milliseconds.
    case lifetime(UInt32)
  }

  package enum ParseError: Error, Hashable {
    /// Shorter than its own lengths say.
    case truncated
    case unknownMessageType(UInt8)
    case unknownChannelType(UInt8)
    /// Label or protocol is not UTF-8.
    case notText
    /// Label and protocol together have more bytes than `maximumText`.
    case tooLong
  }

  /// Bytes of label and protocol together that we keep for a channel.
  package static let maximumText = 1024

  package init(parsing message: UnsafeRawBufferPointer) throws(ParseError) {
    guard let type = message.first else { throw .truncated }
    switch type {
    case 2: self = .acknowledge
    case 3: self = .open(try Open(parsing: message))
    default: throw .unknownMessageType(type)
    }
  }

  package var bytes: [UInt8] {
    switch self {
    case .acknowledge: [2]
    case .open(let open): open.bytes
    }
  }
}

extension DCEPMessage.Open {
  fileprivate init(parsing message: UnsafeRawBufferPointer) throws(DCEPMessage.ParseError) {
    guard message.count >= 12 else { throw .truncated }
    let labelLength = Int(RTPFields.uint16(message, at: 8))
    let protocolLength = Int(RTPFields.uint16(message, at: 10))
    guard labelLength + protocolLength <= DCEPMessage.maximumText else { throw .tooLong }
    guard message.count >= 12 + labelLength + protocolLength else { throw .truncated }
    let parameter = RTPFields.uint32(message, at: 4)
    switch message[1] & 0x7F {
    case 0: reliability = .reliable
    case 1: reliability = .retransmissions(parameter)
    case 2: reliability = .lifetime(parameter)
    default: throw .unknownChannelType(message[1])
    }
    isOrdered = message[1] & 0x80 == 0
    priority = RTPFields.uint16(message, at: 2)
    let text = message[12...]
    guard let label = String(validating: text.prefix(labelLength), as: UTF8.self),
      let subprotocol = String(validating: text.dropFirst(labelLength).prefix(protocolLength), as: UTF8.self)
    else { throw .notText }
    self.label = label
    self.subprotocol = subprotocol
  }

  fileprivate var bytes: [UInt8] {
    let (type, parameter): (UInt8, UInt32) =
      switch reliability {
      case .reliable: (0, 0)
      case .retransmissions(let count): (1, count)
      case .lifetime(let milliseconds): (2, milliseconds)
      }
    func big(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 0xFF)] }
    let label = Array(label.utf8.prefix(DCEPMessage.maximumText))
    let subprotocol = Array(subprotocol.utf8.prefix(DCEPMessage.maximumText - label.count))
    return [3, isOrdered ? type : type | 0x80] + big(priority)
      + big(UInt16(truncatingIfNeeded: parameter >> 16)) + big(UInt16(truncatingIfNeeded: parameter))
      + big(UInt16(label.count)) + big(UInt16(subprotocol.count)) + label + subprotocol
  }
}
