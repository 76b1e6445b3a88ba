import Core
import LiveKitProtocol
import SDP

/// One WHIP or WHEP session: to its participant it is a signalling connection on which the server alone speaks.
/// Confined to the signalling loop.
final class EndpointSession: SignalSink, @unchecked Sendable {
  // @unchecked: the room calls its sinks on its own loop only, where everything else here happens too.
  typealias Exchange = (Result<SessionDescription, EndpointRefusal>) -> Void

  let id: String
  let owner: [UInt8]
  /// Of the present ICE session.
  private(set) var entityTag: String
  /// The client's, as it would write it now.
  var offer: SessionDescription
  var session: SessionID?
  private let onEnd: (EndpointSession) -> Void
  private var exchange: Exchange?
  private var timer: RoomTimer?
  private var isEnded = false

  init(offer: SessionDescription, owner: [UInt8], onEnd: @escaping (EndpointSession) -> Void) {
    id = RandomToken.hex(bytes: 16)
    entityTag = RandomToken.hex(bytes: 8)
    self.offer = offer
    self.owner = owner
    self.onEnd = onEnd
  }

  var isBusy: Bool { exchange != nil }

  /// Waits for the answer to an offer that is about to be given to the participant.
  func await(_ context: RoomContext, _ exchange: @escaping Exchange) {
    self.exchange = exchange
    timer = context.after(context.configuration.negotiationTimeout) { [weak self] in
      self?.finish(.failure(EndpointRefusal(.unavailable, "the media server did not answer in time")))
    }
  }

  private func finish(_ result: Result<SessionDescription, EndpointRefusal>) {
    timer = nil
    guard let exchange else { return }
    self.exchange = nil
    exchange(result)
  }

  func renewEntityTag() { entityTag = RandomToken.hex(bytes: 8) }

  // MARK: From the room

  func send(_ response: Livekit_SignalResponse) {
    switch response.message {
    case .answer(let answer):
      do {
        finish(.success(try SessionDescription(parsing: answer.sdp, limits: .rooms)))
      } catch {
        finish(.failure(EndpointRefusal(.failed, "the answer cannot be read")))
      }
    case .leave(let leave):
      finish(
        .failure(
          leave.reason == .serverShutdown
            ? EndpointRefusal(.unavailable, "the server is shutting down")
            : EndpointRefusal(.unacceptableOffer, "the offer cannot be answered")))
    // Whatever else the room tells: there is nobody to hear it.
    default: break
    }
  }

  func close(_ code: SignalClose) {
    guard !isEnded else { return }
    isEnded = true
    finish(.failure(EndpointRefusal(.unavailable, "the session has ended")))
    onEnd(self)
  }
}
