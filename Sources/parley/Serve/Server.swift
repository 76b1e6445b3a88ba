import API
import Core
import Gateway
import Hummingbird
import LiveKitProtocol
import Logging
import NIOCore
import NIOPosix
import SIP
import SIPTransport
import ServiceLifecycle
import Speech
import Store
import Transport
import UnixSignals

/// The composition root: makes every part from the configuration and runs them until a signal.
struct Server: Sendable {
  let configuration: Configuration

  func run() async throws {
    LogOutput.bootstrap(configuration.log)
    OpenFiles.raiseLimit()
    let logger = Logger(label: "parley")
    for warning in configuration.warnings { logger.warning("\(warning)") }

    let store = try Store(directory: configuration.data.directory)
    try store.lockForServer()
    let provisioned = try await configuration.provision(into: store)
    let interrupted = try await store.markInterrupted()
    if interrupted > 0 { logger.notice("calls were cut by the last stop", metadata: ["calls": "\(interrupted)"]) }

    // One loop carries SIP, HTTP and the gateway: a message meets no thread but this one (Docs/architecture.md).
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let signalling = ServiceLoop<Gateway>(loop: group.next()) { $0.advance() }
    let metrics = MetricsRegistry()
    let certificate = try certificate(logger)
    let tls = certificate?.source
    let transport = try makeTransport(signalling, tls: tls, logger: logger)
    let media = try MediaPlane(
      configuration: try await configuration.mediaPlane(), certificate: DTLSCertificate.make(),
      failed: SystemReadings.failures("call", metrics)
    ) { leg, event in
      signalling.submit { $0.media(leg, event) }
    }
    let failures = metrics.counter(
      "parley_record_write_failures_total", "Call records that could not be written at once.")
    let gateway = Gateway(
      executor: signalling.loop.executor, configuration: configuration.gateway, directory: Directory(),
      dependencies: GatewayDependencies(
        send: { transport.send($0, to: $1) }, requestWake: { signalling.requestWake(at: $0) },
        contact: contact(transport), records: RecordSink(store: store, logger: logger, failures: failures), media: media
      ),
      metrics: GatewayMetrics(registry: metrics), logger: logger)
    signalling.attach(gateway)
    let keys = provisioned.keys
    let webhooks = configuration.webhookOutbox(keys: keys, store: store, metrics: metrics, logger: logger)
    let egress = EgressPlane()
    let rooms = RoomsPlane(
      configuration: configuration.roomPlane, router: configuration.router, media: media, loop: signalling.loop,
      keys: keys, logger: logger, failed: SystemReadings.failures("room", metrics),
      onEvent: { event in
        webhooks?.post(event)
        egress.receive(event)
      })
    let speech = configuration.speechService
    let prompts = configuration.promptLibrary(service: speech, metrics: metrics, logger: logger)
    await gateway.serve(rooms: PhoneRooms(service: rooms.service, signalling: signalling), prompts: prompts)
    let telephony = SIPServices(store: store, control: SIPBridge(gateway: gateway))
    let recordings = try RecordingsPlane(
      configuration, store: store, webhooks: webhooks == nil ? [] : configuration.webhooks.urls, logger: logger)
    await gateway.serve(recorder: recordings.recorder)
    let recorder = egress.start(
      rooms: rooms.service, store: store, catalog: recordings.catalog,
      storage: configuration.recordingStorage(logger), webhooks: webhooks == nil ? [] : configuration.webhooks.urls,
      recordsRooms: configuration.rooms.record,
      post: { webhooks?.post($0) }, logger: logger)
    let roomServices = RoomsServices(
      rooms: rooms.service, tokens: TokenVerifier(keys: keys), egress: recorder, sip: telephony, logger: logger)

    let feed = DirectoryFeed(
      store: store, signalling: signalling, logger: logger, dialInRules: configuration.dialInRules
    ) { trunks in
      signalling.loop.execute {
        let networks = trunks.flatMap {
          $0.addresses.map { IPNetwork($0) } + $0.trunk.allow.compactMap { IPNetwork($0) }
        }
        transport.setUnlimitedNetworks(networks)
        for (trunk, addresses) in trunks where trunk.transport == "tls" {
          for ip in addresses {
            transport.setTLSServerName(trunk.host, for: Core.SocketAddress(ip: ip, port: trunk.port))
          }
        }
      }
    }
    try await feed.load()
    let listeners = try await transport.start()
    let pages = WebPages(configuration: configuration, demo: provisioned.demo)
    let router = try makeRouter(
      pages: pages, store: store, gateway: gateway, transport: transport, rooms: roomServices, metrics: metrics,
      keys: keys, speech: SpeechBridge(library: prompts, service: speech), recordings: recordings)
    let http = HTTPServer(
      configuration: httpConfiguration(tls), router: router,
      webSockets: roomServices.webSockets.merging(["/sip": .sip(transport)]) { $1 },
      group: signalling.loop, logger: logger)
    let upkeep = Upkeep(
      gateway: gateway, rooms: rooms.service, egress: egress, transport: transport, store: store,
      keepCalls: configuration.data.keepCalls, recordings: recordings, feed: feed,
      certificate: certificate, http: http,
      readings: SystemReadings(
        registry: metrics, gateway: gateway, rooms: rooms, transport: transport, media: media), logger: logger,
      announce: { web in
        Announcement(configuration: configuration, sip: listeners, web: web, demo: provisioned.demo).print()
      })
    let services = ServiceGroup(
      configuration: .init(
        services: (webhooks.map { [.init(service: $0)] } ?? []) + [
          .init(service: PromptWarmUp(library: prompts, service: speech, logger: logger)), .init(service: http),
          .init(service: upkeep),
        ],
        gracefulShutdownSignals: [.sigterm, .sigint],
        logger: logger))
    try await services.run()
    await transport.shutdown()
    media.stop()
    recordings.stop()
    try await group.shutdownGracefully()
    logger.notice("stopped")
  }

  // MARK: Parts

  private func certificate(_ logger: Logger) throws -> CertificateWatch? {
    func watch(_ certificate: String, _ key: String) throws -> CertificateWatch {
      CertificateWatch(
        certificate: certificate, key: key,
        source: try TLSContextSource.server(certificateChain: certificate, privateKey: key), logger: logger)
    }
    if let certificate = configuration.http.tls.certificate, let key = configuration.http.tls.key {
      return try watch(certificate, key)
    }
    guard configuration.http.tls.listen != nil || !configuration.sip.tls.isEmpty else { return nil }
    let names =
      ["localhost", "127.0.0.1", "::1", configuration.sip.domain] + LocalAddresses.interfaces().map(\.description)
    let files = try SelfSignedCertificate.files(in: configuration.data.directory, names: Array(Set(names)).sorted())
    if files.isNew { logger.notice("made a self-signed certificate", metadata: ["file": "\(files.certificate)"]) }
    return try watch(files.certificate, files.key)
  }

  private func makeTransport(
    _ signalling: ServiceLoop<Gateway>, tls: TLSContextSource?, logger: Logger
  ) throws -> SIPTransportStack {
    var limits = SIPTransportLimits()
    configuration.sip.limits.apply(to: &limits)
    var settings = SIPTransportConfiguration()
    settings.udp = configuration.sip.udp
    settings.tcp = configuration.sip.tcp
    settings.tls = tls == nil ? [] : configuration.sip.tls
    settings.serverTLS = tls
    settings.clientTLS = try TLSContextSource.client(trustRoots: nil, verify: true)
    settings.limits = limits
    return SIPTransportStack(
      loop: signalling.loop, configuration: settings, logger: logger,
      onSendFailure: { destination in signalling.enter { $0.sendFailed(destination) } },
      onEvent: { event in
        signalling.enter { gateway in
          switch event {
          case .message(let message, let flow): gateway.receive(message, from: flow)
          case .flowClosed(let flow): gateway.flowClosed(flow)
          }
        }
      })
  }

  /// Our address as the peers behind a destination reach it: the advertised one, except on this machine.
  private func contact(_ transport: SIPTransportStack) -> @Sendable (Destination) -> (host: String, port: UInt16?) {
    let advertised = configuration.media.address
    return { destination in
      let remote = destination.remote.ip
      let local = transport.local(for: destination)
      var ip = local?.ip.unmapped ?? IPAddress(v4: 0x7F00_0001)
      if !remote.isLoopback, let own = advertised.first(where: { $0.isIPv6 == ip.isIPv6 }) { ip = own }
      return (ip.isIPv6 ? "[\(ip)]" : "\(ip)", local?.port)
    }
  }

  private func httpConfiguration(_ tls: TLSContextSource?) -> HTTPServerConfiguration {
    var listeners: [HTTPServerConfiguration.Listener] = []
    if let plain = configuration.http.listen { listeners.append(.init(address: plain)) }
    if let secure = configuration.http.tls.listen, let tls { listeners.append(.init(address: secure, tls: tls)) }
    return HTTPServerConfiguration(listeners: listeners, serverName: "Parley/\(parleyVersion)")
  }
}
