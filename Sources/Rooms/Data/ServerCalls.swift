import Core
import LiveKitProtocol

/// Remote procedure calls of the server's API to participants of one room: the server is the caller of a call between
/// participants. Confined to the signalling loop.
final class ServerCalls {
  typealias Completion = (Result<String, RoomError>) -> Void

  /// What the participant takes for the caller; no packet of a participant reaches one of that name by answering.
  static let caller = "server"
  /// A client says at once that it has the request.
  static let patience: Duration = .seconds(7)
  static let defaultTimeout: Duration = .seconds(15)
  static let longestTimeout: Duration = .seconds(120)
  static let maximumPayload = 15 * 1024
  static let maximumMethod = 64
  /// Calls under way in a room.
  static let maximum = 1000

  private struct Call {
    let participant: String
    let deadline: Instant
    var timer: RoomTimer?
    let completion: Completion
  }

  private let context: RoomContext
  private var calls: [String: Call] = [:]

  init(_ context: RoomContext) { self.context = context }

  /// The request as a packet for `participant`; the answer comes later, or never: then `completion` says so.
  func begin(
    _ request: Livekit_PerformRpcRequest, to participant: Participant, _ completion: @escaping Completion
  ) throws(RoomError) -> Livekit_DataPacket {
    guard !request.method.isEmpty, request.method.utf8.count <= ServerCalls.maximumMethod else {
      throw RoomError(.invalidArgument, "the method's name must have 1 to \(ServerCalls.maximumMethod) bytes")
    }
    guard request.payload.utf8.count <= ServerCalls.maximumPayload else {
      throw RoomError(.invalidArgument, "the payload exceeds \(ServerCalls.maximumPayload) bytes")
    }
    guard calls.count < ServerCalls.maximum else { throw RoomError(.resourceExhausted, "too many calls under way") }
    let asked = Duration.milliseconds(Int64(request.responseTimeoutMs))
    let timeout = asked == .zero ? ServerCalls.defaultTimeout : min(asked, ServerCalls.longestTimeout)
    let id = context.makeSID(.call)
    var call = Call(participant: participant.sid, deadline: context.now + timeout, completion: completion)
    call.timer = context.after(min(timeout, ServerCalls.patience)) { [weak self] in
      self?.end(id, .failure(RoomError(.deadlineExceeded, "the participant did not take the call", rpc: 1501)))
    }
    calls[id] = call
    var packet = Livekit_DataPacket()
    packet.kind = .reliable
    packet.participantIdentity = ServerCalls.caller
    packet.destinationIdentities = [participant.identity]
    packet.rpcRequest.id = id
    packet.rpcRequest.method = request.method
    packet.rpcRequest.payload = request.payload
    packet.rpcRequest.responseTimeoutMs = UInt32(clamping: timeout.nanoseconds / 1_000_000)
    packet.rpcRequest.version = 1
    return packet
  }

  /// Takes what answers a call of ours; false where the packet is somebody else's.
  func receive(_ packet: Livekit_DataPacket, from participant: Participant) -> Bool {
    switch packet.value {
    case .rpcAck(let ack):
      guard let call = calls[ack.requestID], call.participant == participant.sid else { return false }
      calls[ack.requestID]?.timer = context.after(call.deadline - context.now) { [weak self] in
        self?.end(ack.requestID, .failure(RoomError(.deadlineExceeded, "the participant did not answer", rpc: 1502)))
      }
      return true
    case .rpcResponse(let response):
      guard calls[response.requestID]?.participant == participant.sid else { return false }
      end(response.requestID, ServerCalls.result(of: response))
      return true
    default: return false
    }
  }

  private static func result(of response: Livekit_RpcResponse) -> Result<String, RoomError> {
    switch response.value {
    case .payload(let payload): return .success(payload)
    case .error(let error):
      let code: RoomError.Code =
        switch error.code {
        case 1400: .unimplemented
        case 1402, 1504: .invalidArgument
        case 1501, 1502: .deadlineExceeded
        case 1503, 1505: .unavailable
        default: .unknown
        }
      var failure = RoomError(code, error.message, rpc: Int(error.code))
      if !error.data.isEmpty { failure.details["rpc_data"] = error.data }
      return .failure(failure)
    case .compressedPayload, nil:
      return .failure(RoomError(.unknown, "the participant's answer cannot be read"))
    }
  }

  /// The participant has left.
  func left(_ participant: Participant) {
    for (id, call) in calls where call.participant == participant.sid {
      end(id, .failure(RoomError(.unavailable, "the participant has left", rpc: 1503)))
    }
  }

  private func end(_ id: String, _ result: Result<String, RoomError>) {
    guard let call = calls.removeValue(forKey: id) else { return }
    call.completion(result)
  }
}

extension RoomError {
  /// - Parameter rpc: LiveKit's code of a call that failed.
  init(_ code: Code, _ message: String, rpc: Int) {
    self.init(code, message)
    details["rpc_code"] = String(rpc)
  }
}
