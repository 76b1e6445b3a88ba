import Core
import LiveKitProtocol

/// One participant's way to its client: the sink, and when it was last heard.
struct SignalConnection {
  let id: SessionID
  let sink: any SignalSink
  /// Any message counts.
  var lastHeard: Instant

  func send(_ message: Livekit_SignalResponse.OneOf_Message) {
    var response = Livekit_SignalResponse()
    response.message = message
    sink.send(response)
  }

  func send(_ response: Livekit_SignalResponse) { sink.send(response) }
}
