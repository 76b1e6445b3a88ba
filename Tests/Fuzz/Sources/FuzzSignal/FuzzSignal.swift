import Core
import LiveKitProtocol
import SwiftProtobuf

/// The first byte says what the others are: whatever a stranger may send before or after a join.
func fuzzSignal(_ bytes: [UInt8]) {
  guard let kind = bytes.first else { return }
  let rest = Array(bytes.dropFirst())
  switch kind % 6 {
  case 0: binary(rest, as: Livekit_SignalRequest.self)
  case 1: json(rest, as: Livekit_SignalRequest.self)
  case 2: binary(rest, as: Livekit_DataPacket.self)
  case 3: joinRequest(rest)
  case 4: token(rest)
  default: inflate(rest)
  }
}

private let tolerant: JSONDecodingOptions = {
  var options = JSONDecodingOptions()
  options.ignoreUnknownFields = true
  return options
}()

/// What is read is passed on without loss, and can be said in JSON.
private func binary<M: SwiftProtobuf.Message & Equatable>(_ bytes: [UInt8], as type: M.Type) {
  guard let message = try? M(serializedBytes: bytes) else { return }
  guard let written: [UInt8] = try? message.serializedBytes(), let again = try? M(serializedBytes: written) else {
    preconditionFailure("what was read cannot be written")
  }
  guard let rewritten: [UInt8] = try? again.serializedBytes() else { preconditionFailure("cannot be written again") }
  precondition(rewritten.count == written.count, "what was written reads otherwise")
  _ = try? message.jsonString()
}

private func json<M: SwiftProtobuf.Message & Equatable>(_ bytes: [UInt8], as type: M.Type) {
  guard let message = try? M(jsonUTF8Bytes: bytes, options: tolerant) else { return }
  guard let text = try? message.jsonString() else { preconditionFailure("what was read cannot be written") }
  precondition((try? M(jsonString: text)) != nil, "our own JSON does not parse")
}

private let limit = 1 << 16

private func joinRequest(_ bytes: [UInt8]) {
  guard let wrapped = try? Livekit_WrappedJoinRequest(serializedBytes: bytes) else { return }
  let text = Base64URL.encode(bytes)
  precondition(Base64URL.decode(text) == bytes, "base64url does not come back")
  guard wrapped.compression == .gzip else { return binary(Array(wrapped.joinRequest), as: Livekit_JoinRequest.self) }
  guard let inner = try? Gzip.decompress(Array(wrapped.joinRequest), limit: limit) else { return }
  precondition(inner.count <= limit)
  binary(inner, as: Livekit_JoinRequest.self)
}

private let now = WallTime(milliseconds: 1_800_000_000_000)
private let verifier = TokenVerifier(keys: ["k": Secret("secret")])
private let signer = TokenSigner(key: "k", secret: Secret("secret"))

/// As a token; and as the payload of one, whose signature nobody can forge but the claims behind it may be anything.
private func token(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  precondition((try? verifier.verify(text, now: now)) == nil || text.utf8.count > 60, "a short token was accepted")
  let header = Base64URL.encode(Array(#"{"alg":"HS256"}"#.utf8))
  do {
    _ = try verifier.verify("\(header).\(Base64URL.encode(bytes)).AAAA", now: now)
    preconditionFailure("a forged signature was accepted")
  } catch {
    _ = "\(error)"
  }
  // Whatever claims can be read can be signed and read back.
  var claims = AccessClaims(identity: text)
  claims.metadata = text
  claims.attributes = [text: text]
  let signed = signer.sign(claims, now: now, lifetime: .seconds(60))
  guard let read = try? verifier.verify(signed, now: now) else { preconditionFailure("our own token was refused") }
  precondition(read.identity == text && read.metadata == text && read.attributes == [text: text])
}

private func inflate(_ bytes: [UInt8]) {
  if let (output, consumed) = try? Inflate.inflate(bytes, limit: limit) {
    precondition(output.count <= limit && consumed <= bytes.count)
  }
  if let output = try? Gzip.decompress(bytes, limit: limit) { precondition(output.count <= limit) }
}
