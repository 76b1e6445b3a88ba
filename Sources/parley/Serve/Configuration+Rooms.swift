import API
import Core
import LiveKitProtocol
import Logging
import Rooms
import SFU
import Store

extension Configuration {
  var router: RouterConfiguration {
    var router = RouterConfiguration()
    router.loudest = rooms.loudest == 0 ? nil : rooms.loudest
    return router
  }

  var roomPlane: RoomConfiguration {
    var plane = RoomConfiguration()
    plane.autoCreate = rooms.autoCreate
    plane.emptyTimeout = rooms.emptyTimeout
    plane.departureTimeout = rooms.departureTimeout
    plane.maximumParticipants = UInt32(clamping: rooms.maxParticipants)
    plane.maximumRooms = rooms.maxRooms
    plane.maximumSessions = rooms.maxSessions
    plane.receiversPerWorker = rooms.receiversPerWorker
    plane.maximumLoad = Double(rooms.maxLoad) / 100
    plane.enableRemoteUnmute = rooms.remoteUnmute
    plane.iceServers = media.iceServers.map { server in
      var message = Livekit_ICEServer()
      message.urls = server.urls
      message.username = server.username ?? ""
      message.credential = server.credential ?? ""
      return message
    }
    return plane
  }
}

/// A STUN or TURN server as browsers are told of it.
struct ICEServer: Encodable {
  let urls: [String]
  let username: String?
  let credential: String?
}

extension Configuration.MediaSection {
  var iceServers: [ICEServer] {
    stun.map { ICEServer(urls: ["stun:\($0)"], username: nil, credential: nil) }
      + turn.map { turn in
        let scheme = turn.transport == .tls ? "turns" : "turn"
        let transport = turn.transport == .udp ? "udp" : "tcp"
        return ICEServer(
          urls: ["\(scheme):\(turn.server)?transport=\(transport)"], username: turn.username,
          credential: turn.password.revealed)
      }
  }
}

extension Configuration {
  /// Nil where no webhooks are wanted.
  func webhookOutbox(
    keys: [String: Secret], store: Store, metrics: MetricsRegistry, logger: Logger
  ) -> WebhookOutbox? {
    guard !webhooks.urls.isEmpty, let key = webhooks.key ?? keys.keys.sorted().first, let secret = keys[key] else {
      return nil
    }
    var outbox = WebhookConfiguration(urls: webhooks.urls, key: key, secret: secret)
    outbox.giveUp = webhooks.giveUp
    outbox.keep = webhooks.keep
    return WebhookOutbox(
      configuration: outbox, store: store, sender: HTTPWebhookSender(), metrics: metrics, logger: logger)
  }
}
