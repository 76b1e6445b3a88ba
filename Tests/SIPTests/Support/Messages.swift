import Core
import Foundation
import SIP

/// A message written with plain line feeds, as bytes with CRLF.
func wire(_ text: String) -> [UInt8] {
  Array(text.utf8).reduce(into: []) { out, c in
    if c == 0x0A { out.append(0x0D) }
    out.append(c)
  }
}

func request(_ text: String) throws -> SIPRequest {
  guard case .request(let request) = try SIPParser.parse(datagram: wire(text)) else { throw NotTheKind() }
  return request
}

func response(_ text: String) throws -> SIPResponse {
  guard case .response(let response) = try SIPParser.parse(datagram: wire(text)) else { throw NotTheKind() }
  return response
}

struct NotTheKind: Error {}

/// The directory of the package, found from this file.
let packageDirectory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

func contents(_ path: String) throws -> [UInt8] {
  [UInt8](try Data(contentsOf: packageDirectory.appendingPathComponent(path)))
}

func address(_ text: String) -> SocketAddress { SocketAddress(text)! }  // literals of the tests

func udpFlow(_ remote: String, id: UInt64 = 1) -> Flow {
  Flow(id: id, transport: .udp, local: address("192.0.2.100:5060"), remote: address(remote))
}

func wsFlow(_ id: UInt64, remote: String = "203.0.113.9:40000") -> Flow {
  Flow(id: id, transport: .ws, local: address("192.0.2.100:8080"), remote: address(remote))
}

extension TransactionLayer {
  /// A layer that calls itself `host`, with repeatable branches.
  init(host: String, seed: UInt64, timers: TransactionTimers = .rfc3261) {
    self.init(timers: timers, sentBy: { _ in (host, 5060) }, random: SeededRandom(seed: seed))
  }
}

/// A minimal request as a user of the layer makes it.
func newRequest(
  _ method: Method, to: String = "sip:bob@192.0.2.2", callID: String = "call-1", cSeq: UInt32 = 1,
  fromTag: String = "ft"
) -> SIPRequest {
  var headers = Headers()
  headers.append(.maxForwards, "70")
  headers.append(.from, "<sip:alice@example.com>;tag=\(fromTag)")
  headers.append(.to, "<\(to)>")
  headers.append(.callID, callID)
  headers.append(.cSeq, "\(cSeq) \(method)")
  headers.append(.contact, "<sip:alice@192.0.2.1:5060>")
  return SIPRequest(method: method, uri: try! SIPURI(parsing: to), headers: headers)  // literals of the tests
}

extension Array where Element == TransactionAction {
  var transmitted: [SIPMessage] { compactMap { if case .transmit(let message, _) = $0 { message } else { nil } } }
  var transmittedRequests: [SIPRequest] {
    transmitted.compactMap { if case .request(let request) = $0 { request } else { nil } }
  }
  var transmittedResponses: [SIPResponse] {
    transmitted.compactMap { if case .response(let response) = $0 { response } else { nil } }
  }
  var destinations: [Destination] {
    compactMap { if case .transmit(_, let destination) = $0 { destination } else { nil } }
  }
  /// What is left for the user.
  var events: [TransactionAction] { filter { if case .transmit = $0 { false } else { true } } }
  var newRequest: (id: ServerTransactionID, request: SIPRequest)? {
    for case .request(let id, let request, _) in self { return (id, request) }
    return nil
  }
  var responses: [SIPResponse] {
    compactMap { if case .response(_, let response, _) = $0 { response } else { nil } }
  }
}

/// A short name of an action, for comparisons.
func name(_ action: TransactionAction) -> String {
  switch action {
  case .transmit(.request(let request), _): "send \(request.method)"
  case .transmit(.response(let response), _): "send \(response.status)"
  case .request(_, let request, _): "request \(request.method)"
  case .acknowledged: "acknowledged"
  case .cancelled: "cancelled"
  case .acknowledgementMissing: "acknowledgementMissing"
  case .response(_, let response, _): "response \(response.status)"
  case .timeout: "timeout"
  case .transportFailure: "transportFailure"
  }
}

func ms(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }
