import Core
import LiveKitProtocol
import SwiftProtobuf
import Testing

/// Messages that the Python packages of LiveKit wrote: all fields of all messages that it knows, set.
@Suite struct MessageTests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let binary: [UInt8]
    let json: String
    var testDescription: String { name }
  }

  static let vectors: [Vector] = {
    let text = String(decoding: (try? Vectors.bytes("messages.tsv")) ?? [], as: UTF8.self)
    return text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "\t", maxSplits: 2)
      guard parts.count == 3, let binary = Base64.decode(parts[1]) else { return nil }
      return Vector(name: String(parts[0]), binary: binary, json: String(parts[2]))
    }
  }()

  static let tolerant: JSONDecodingOptions = {
    var options = JSONDecodingOptions()
    options.ignoreUnknownFields = true
    return options
  }()

  @Test func haveVectorsOfEveryKind() {
    #expect(Self.vectors.count { $0.name.hasPrefix("request-") } >= 21)
    #expect(Self.vectors.count { $0.name.hasPrefix("response-") } >= 28)
    #expect(Self.vectors.count { $0.name.hasPrefix("packet-") } >= 13)
  }

  @Test(arguments: vectors.filter { $0.name.hasPrefix("request-") })
  func readsRequests(_ vector: Vector) throws { try compare(vector, Livekit_SignalRequest.self) }

  @Test(arguments: vectors.filter { $0.name.hasPrefix("response-") })
  func readsResponses(_ vector: Vector) throws { try compare(vector, Livekit_SignalResponse.self) }

  @Test(arguments: vectors.filter { $0.name.hasPrefix("packet-") })
  func readsDataPackets(_ vector: Vector) throws { try compare(vector, Livekit_DataPacket.self) }

  @Test(arguments: vectors.filter { $0.name == "webhook" })
  func readsWebhooks(_ vector: Vector) throws { try compare(vector, Livekit_WebhookEvent.self) }

  /// Binary and JSON say the same, and nothing of the binary is lost where it passes through us: not what we do not
  /// know either.
  private func compare<M: SwiftProtobuf.Message & Equatable>(_ vector: Vector, _ type: M.Type) throws {
    let fromBinary = try M(serializedBytes: vector.binary)
    let passedOn: [UInt8] = try fromBinary.serializedBytes()
    #expect(passedOn.count == vector.binary.count)
    #expect(try M(serializedBytes: passedOn) == fromBinary)

    // Unknown fields stay in the binary alone, so the comparison is of what both name: through JSON.
    let fromJSON = try M(jsonString: vector.json, options: Self.tolerant)
    #expect(try fromJSON.jsonString() == fromBinary.jsonString())
    // A message whose every field went unrecognised would be equal, too.
    if fromBinary.unknownFields.data.isEmpty { #expect(fromJSON != M()) }
  }

  @Test(arguments: ["join-plain", "join-gzip"]) func readsWrappedJoinRequests(_ name: String) throws {
    let vector = try #require(Self.vectors.first { $0.name == name })
    let wrapped = try Livekit_WrappedJoinRequest(serializedBytes: vector.binary)
    #expect(wrapped.compression == (name == "join-gzip" ? .gzip : .none))
    guard wrapped.compression == .none else { return }
    let join = try Livekit_JoinRequest(serializedBytes: wrapped.joinRequest)
    #expect(join.reconnect && join.participantSid == "participant_sid ☕")
    #expect(join.clientInfo.clientProtocol != 0 && join.connectionSettings.hasSubscriberAllowPause)
    #expect(join.addTrackRequests.count == 1 && join.publisherOffer.sdp == "sdp ☕")
  }

  @Test func keepsAMessageThatItDoesNotKnow() throws {
    // Field 99, length-delimited: "new".
    let bytes: [UInt8] = [0x9A, 0x06, 0x03, 0x6E, 0x65, 0x77]
    let request = try Livekit_SignalRequest(serializedBytes: bytes)
    #expect(request.message == nil)
    #expect(try request.serializedBytes() as [UInt8] == bytes)
  }

  @Test func writesZeroesAsAbsence() throws {
    var request = Livekit_SignalRequest()
    request.trickle = .with { $0.target = .publisher }
    #expect(try request.serializedBytes() as [UInt8] == [0x1A, 0x00])
  }
}
