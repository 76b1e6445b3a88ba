import Core
import Transport

/// The first byte says how the others are read: as a STUN message that is answered, or as a script of checks, waits and
/// restarts for one ICE-lite session.
func fuzzSTUN(_ bytes: [UInt8]) {
  guard let first = bytes.first else { return }
  if first & 1 == 0 { fuzzMessage(Array(bytes.dropFirst())) } else { fuzzSession(bytes.dropFirst()) }
}

/// One thread runs the fuzzer, and one test the corpus.
nonisolated(unsafe) private let integrity = try? STUNIntegrity()

private func fuzzMessage(_ bytes: [UInt8]) {
  guard let message = try? STUNMessage(parsing: bytes.span.bytes), let integrity else { return }
  bytes.withUnsafeBytes { raw in
    if let at = message.integrity { _ = integrity.verify(raw, attribute: at, password: [1, 2, 3]) }
    if let user = message.username { _ = ICECredentials.parse(UnsafeRawBufferPointer(rebasing: raw[user].prefix(12))) }
    let source = message.mappedAddress(in: raw) ?? SocketAddress(ip: IPAddress(v4: 1), port: 2)
    for answer in [
      STUNAnswer.success, .badRequest, .unauthenticated, .roleConflict, .unknownAttributes(message.unknown),
    ] {
      var out = [UInt8](repeating: 0, count: STUNWriter.capacity)
      let length = out.withUnsafeMutableBytes {
        answer.write(to: raw, from: source, password: [4, 5], integrity: integrity, into: $0)
      }
      guard let length, let again = try? STUNMessage(parsing: Array(out.prefix(length)).span.bytes) else {
        preconditionFailure("our answer does not parse")
      }
      precondition(again.integrity != nil && again.fingerprint != nil, "our answer is not signed")
      if answer == .success {
        precondition(out.withUnsafeBytes { again.mappedAddress(in: $0) } == source, "another source came out")
      }
    }
  }
}

private func fuzzSession(_ script: ArraySlice<UInt8>) {
  var random = SeededRandom(seed: 1)
  var now = Instant(nanoseconds: 1_000_000_000)
  var session = ICELiteSession(credentials: ICECredentials(worker: 0, using: &random))
  var kept: Set<PeerPath> = []
  var script = script
  while script.count >= 3 {
    let (operation, host, value) = (script.removeFirst(), script.removeFirst(), script.removeFirst())
    let path = PeerPath(base: UInt32(host >> 7), remote: SocketAddress(ip: IPAddress(v4: UInt32(host & 63)), port: 9))
    var changes: [ICELiteSession.Change] = []
    switch operation & 7 {
    case 0:
      now = now + .milliseconds(Int64(value) * 200)
      changes = session.advance(to: now)
    case 1: changes = session.restart(ICECredentials(worker: 0, using: &random))
    case 2: session.setRemote(ufrag: value & 1 == 0 ? "even" : "odd", deadline: now + .seconds(20))
    case 3: changes = session.lose(path)
    default:
      guard let check = makeCheck(nominates: operation & 8 != 0, priority: UInt32(value)) else { return }
      let key = session.keys[Int(operation >> 4) % session.keys.count]
      changes = Array(value & 1 == 0 ? "even".utf8 : "odd".utf8).withUnsafeBytes {
        session.receive(check, key: key, theirs: $0, from: path, now: now).changes
      }
    }
    for change in changes {
      switch change {
      case .added(let path): precondition(kept.insert(path).inserted, "added twice")
      case .removed(let path): precondition(kept.remove(path) != nil, "removed what was not there")
      case .selected(let path): precondition(kept.contains(path), "selected what is not there")
      default: break
      }
    }
    precondition(kept == Set(session.paths.map(\.path)), "the changes tell another story than the paths")
    precondition(kept.count <= ICELiteSession.maximumPaths, "too many paths")
    precondition(session.selected.map(kept.contains) ?? kept.isEmpty, "paths without a selected one")
  }
}

private func makeCheck(nominates: Bool, priority: UInt32) -> STUNMessage? {
  var bytes = [UInt8](repeating: 0, count: STUNWriter.capacity)
  let length = bytes.withUnsafeMutableBytes { buffer in
    [UInt8](repeating: 3, count: 12).withUnsafeBytes { id in
      var writer = STUNWriter(.request, transactionID: id, into: buffer)
      writer.attribute(STUNMessage.Attribute.priority, priority)
      if nominates { writer.attribute(STUNMessage.Attribute.useCandidate, 0) { _ in } }
      return writer.finish()
    }
  }
  return length.flatMap { try? STUNMessage(parsing: Array(bytes.prefix($0)).span.bytes) }
}
