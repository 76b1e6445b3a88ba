import LiveKitProtocol
import SwiftProtobuf

extension Livekit_DataPacket {
  /// One message of a data channel; nil where it is none.
  init?(parsing bytes: [UInt8]) {
    guard let packet = try? Livekit_DataPacket(serializedBytes: bytes) else { return nil }
    self = packet
  }

  /// As one message of a data channel. Empty where a field cannot be written, which no packet that was read has.
  var bytes: [UInt8] { (try? serializedBytes()) ?? [] }
}
