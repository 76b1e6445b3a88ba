import API
import Core
import Gateway
import Hummingbird
import SIPTransport
import Store

extension Server {
  /// All HTTP paths but the WebSocket's.
  func makeRouter(
    pages: WebPages, store: Store, gateway: Gateway, transport: SIPTransportStack,
    rooms: RoomsServices, metrics: MetricsRegistry,
    keys: [String: Secret], speech: any SpeechControl, recordings: RecordingsPlane
  ) throws -> Router<HTTPRequestContext> {
    let router = Router(context: HTTPRequestContext.self)
    pages.addRoutes(to: router)
    var services = RESTServices(
      store: store, control: GatewayBridge(gateway: gateway), metrics: metrics,
      realm: configuration.sip.effectiveRealm, keys: keys, phones: rooms.sip?.control)
    services.speech = speech
    services.egress = rooms.egress
    services.recordings = RecordingsBridge(
      gateway: gateway, plane: recordings,
      storage: configuration.recordingStorage(recordings.logger))
    addREST(to: router, services: services)
    addRooms(to: router, services: rooms)
    return router
  }
}
