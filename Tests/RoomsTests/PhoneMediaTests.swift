import Audio
import Bridge
import Core
import RTP
import SFU
import Synchronization
import Testing
import Transport

@testable import Rooms

/// Phones on a real worker, with browsers whose transports lead back here.
@Suite struct PhoneMediaTests {
  /// A browser's transport that keeps what it is sent.
  fileprivate final class Listener: PeerTransport {
    weak var receiver: (any PacketReceiver)?
    var onEvent: ((WebRTCTransportEvent) -> Void)?
    let localUfrag = "u"
    let localPassword = "p"
    let fingerprint = "AB"
    let isICELite = true
    let localCandidates: [String] = []
    var selectedPair: (local: String, remote: String)?
    var statistics = TransportStatistics()
    let dataChannels: DataChannels? = nil
    private(set) var packets: [[UInt8]] = []

    func gather(_ completion: @escaping ([String]) -> Void) throws(TransportError) { completion([]) }
    func setRemote(
      ufrag: String, password: String, candidates: [String], fingerprint: (algorithm: String, value: String),
      isLite: Bool, role: DTLSRole
    ) throws(TransportError) {}
    func addRemoteCandidate(_ line: String) {}
    func restartICE() -> (ufrag: String, password: String) { ("u", "p") }
    func openDataChannels(maximumMessageSize: Int) -> DataChannels { preconditionFailure("no test needs them") }
    func close() {}
    func send(rtp packet: UnsafeRawBufferPointer) { packets.append(Array(packet)) }
    func send(rtcp packet: UnsafeRawBufferPointer) {}
  }

  fileprivate final class Watch: Sendable {
    struct State {
      nonisolated(unsafe) var transports: [Listener] = []
      var events: [RoomMediaEvent] = []
    }
    let state = Mutex(State())
    var events: [RoomMediaEvent] { state.withLock { $0.events } }
    func transport(_ index: Int) -> Listener {
      state.withLock {
        nonisolated(unsafe) let transport = $0.transports[index]
        return transport
      }
    }
  }

  private func run(_ body: (RoomMedia, Watch) async throws -> Void) async throws {
    let worker = MediaWorker(name: "test")
    let watch = Watch()
    let media = RoomMedia(
      worker: worker,
      makeTransport: { _, _, _ in
        nonisolated(unsafe) let transport = Listener()
        watch.state.withLock { $0.transports.append(transport) }
        return transport
      }, events: { events in watch.state.withLock { $0.events += events } })
    do {
      try await body(media, watch)
    } catch {
      await media.close()
      worker.stop()
      throw error
    }
    await media.close()
    worker.stop()
  }

  private let room = MediaRoomID(rawValue: 1)
  private let browser = PeerID(rawValue: 2)
  private let loopback = IPAddress(v4: 0x7F00_0001)
  private let levels: HeaderExtensionMap = {
    var map = HeaderExtensionMap()
    map[.audioLevel] = 4
    return map
  }()

  private var opus: [CodecParameters] { [CodecParameters(codec: .opus, payloadType: PayloadType(96))] }

  private func consumer(_ id: UInt64, of producer: ProducerID) -> RoomMediaCommand {
    .addConsumer(
      ConsumerID(rawValue: id), of: producer, peer: browser,
      ConsumerParameters(
        mid: "1", ssrc: SSRC(UInt32(id)), retransmissionSSRC: nil, codecs: opus, extensions: levels, cname: "c"))
  }

  /// What a leg would say and hear, every 20 ms of real time; ends early when `until` says so.
  private func talk(
    _ ports: [(ConferencePort, frequency: Double)], seconds: Double, until: () async -> Bool = { false }
  ) async throws -> [[Int16]] {
    var legs = try ports.map { try TestLeg($0.0, frequency: $0.frequency) }
    var now = ContinuousClock.now
    let end = now + .seconds(seconds)
    while now < end {
      for index in legs.indices { legs[index].step() }
      if await until() { break }
      now = now + .milliseconds(20)
      try await Task.sleep(until: now)
    }
    return legs.map(\.heard)
  }

  @Test func aPhoneIsATrackForBrowsersAndHearsThem() async throws {
    try await run { media, watch in
      let port = ConferencePort(sampleRate: 8_000)
      let other = ConferencePort(sampleRate: 16_000)
      let (phone, track) = (PeerID(rawValue: 10), ProducerID(rawValue: 20))
      media.perform([
        .openRoom(room), .openPeer(browser, room: room, towards: loopback, isControlling: false),
        .openPhone(phone, room: room, producer: track, port: port),
        .openPhone(PeerID(rawValue: 11), room: room, producer: ProducerID(rawValue: 21), port: other),
        consumer(5, of: track),
      ])
      // On a busy machine 20 ms are often late, and what is heard has gaps: as long as it takes.
      var heard = [false, false]
      var level = 127
      for _ in 0..<20 {
        for (index, samples) in try await talk([(port, 500), (other, 800)], seconds: 1).enumerated()
        where samples.contains(where: { abs(Int($0)) > 1_000 }) {
          heard[index] = true
        }
        for packet in await media.packets(of: watch, 0) {
          let header = try RTPHeader(parsing: packet)
          #expect(header.payloadType == PayloadType(96) && header.ssrc == SSRC(5))
          let element = try #require(header.extensionElement(4, in: packet.span.bytes)?.first)
          level = min(level, Int(AudioLevel(byte: packet[element]).attenuation))
        }
        if heard == [true, true], level < 40, await media.packets(of: watch, 0).count > 40 { break }
      }
      #expect(await media.packets(of: watch, 0).count > 40)
      #expect(level < 40)
      // Each hears the other; spectra are tested with the mixer.
      #expect(heard == [true, true])
      // Muted by the control plane: no packets from here on.
      media.perform([.setPhoneMuted(phone, true)])
      _ = try await talk([(port, 500), (other, 800)], seconds: 0.2)
      let before = await media.packets(of: watch, 0).count
      _ = try await talk([(port, 500), (other, 800)], seconds: 0.5)
      #expect(await media.packets(of: watch, 0).count == before)
      #expect(watch.events.contains { if case .router(_, .producerStarted(track)) = $0 { true } else { false } })
    }
  }

  @Test func theMixerComesAndGoesWithThePhones() async throws {
    try await run { media, watch in
      let phone = PeerID(rawValue: 10)
      let track = ProducerID(rawValue: 30)
      media.perform([
        .openRoom(room), .openPeer(browser, room: room, towards: loopback, isControlling: false),
        .addProducer(
          track, peer: browser,
          ProducerParameters(kind: .audio, mid: "0", codecs: opus, extensions: levels, encodings: [])),
      ])
      #expect(await media.statistics()[room]?.consumers.count == 0)
      media.perform([
        .openPhone(phone, room: room, producer: ProducerID(rawValue: 20), port: ConferencePort(sampleRate: 8_000))
      ])
      #expect(await media.statistics()[room]?.consumers.count == 1)
      media.perform([.setProducerMixed(track, room: room, false)])
      #expect(await media.statistics()[room]?.consumers.count == 0)
      media.perform([.setProducerMixed(track, room: room, true)])
      #expect(await media.statistics()[room]?.consumers.count == 1)
      media.perform([.closePhone(phone)])
      #expect(await media.statistics()[room]?.consumers.count == 0)
      #expect(await media.hasConference(room) == false)
      media.perform([
        .openPhone(phone, room: room, producer: ProducerID(rawValue: 20), port: ConferencePort(sampleRate: 8_000)),
        .closePeer(browser),
      ])
      #expect(await media.statistics()[room]?.consumers.count == 0)
      media.perform([.closeRoom(room)])
      #expect(await media.roomCount == 0)
      #expect(await media.phones.isEmpty)
    }
  }

  @Test func announcementsEndAlsoWhereNobodyListens() async throws {
    try await run { media, watch in
      let clip = AudioClip(sampleRate: 8_000, samples: [Int16](repeating: 900, count: 1_600))
      media.perform([
        .openRoom(room), .announce(AnnouncementID(rawValue: 1), room: room, clip, to: nil),
        .openPhone(
          PeerID(rawValue: 10), room: room, producer: ProducerID(rawValue: 20), port: ConferencePort(sampleRate: 8_000)),
        .announceToAll(AnnouncementID(rawValue: 2), room: room, clip),
      ])
      func ended() -> [UInt64] {
        watch.events.compactMap { if case .announcementEnded(let id) = $0 { id.rawValue } else { nil } }
      }
      let limit = ContinuousClock.now + .seconds(8)
      while ended().count < 2, ContinuousClock.now < limit { try await Task.sleep(for: .milliseconds(20)) }
      #expect(ended() == [1, 2])
    }
  }
}

/// The other end of a port, as a leg would use it.
private struct TestLeg {
  private let leg: MediaLeg
  private let wire = Wire()
  private var sequence: UInt16 = 1
  private var index = 0
  private let frequency: Double
  private var now = Instant.zero
  private let rate: Int

  private final class Wire: PacketTransport {
    var heard: [Int16] = []
    func send(rtp packet: UnsafeRawBufferPointer) {
      guard let header = try? RTPHeader(parsing: packet) else { return }
      var samples = [Int16](repeating: 0, count: header.payload.count)
      samples.withUnsafeMutableBufferPointer {
        _ = G711.decode(.mu, from: UnsafeRawBufferPointer(rebasing: packet[header.payload]), into: $0)
      }
      heard += samples
    }
    func send(rtcp packet: UnsafeRawBufferPointer) {}
  }

  init(_ port: ConferencePort, frequency: Double) throws {
    self.frequency = frequency
    rate = port.sampleRate
    leg = MediaLeg(ssrc: SSRC(1), cname: "a", firstSequence: 1, firstTimestamp: 1, seed: 1, now: .zero)
    leg.transport = wire
    try leg.configure(
      NegotiatedAudio(
        codec: .pcmu, payloadType: PayloadType(0), receivePayloadTypes: [PayloadType(0): .pcmu]), now: .zero)
    try leg.setSource(.conference(port), now: .zero)
  }

  var heard: [Int16] { wire.heard }

  /// 20 ms pass.
  mutating func step() {
    now = now + .milliseconds(20)
    // A square wave is loud enough for any ear.
    var samples = (0..<160).map { n -> Int16 in
      let phase = Double(index + n) * frequency / 8_000
      return phase - phase.rounded(.down) < 0.5 ? 6_000 : -6_000
    }
    var payload = [UInt8](repeating: 0, count: 160)
    samples.withUnsafeMutableBufferPointer { source in
      payload.withUnsafeMutableBytes { _ = G711.encode(.mu, from: source, into: $0) }
    }
    index += 160
    let packet = RTPHeader(
      payloadType: PayloadType(0), sequence: sequence, timestamp: UInt32(index), ssrc: SSRC(9), marker: false
    ).serialized(payload: payload)
    sequence &+= 1
    packet.withUnsafeBytes { leg.receive(rtp: $0, now: now) }
    leg.tick(now: now)
  }
}

extension RoomMedia {
  fileprivate func packets(of watch: PhoneMediaTests.Watch, _ index: Int) -> [[UInt8]] {
    watch.transport(index).packets
  }

  fileprivate func hasConference(_ room: MediaRoomID) -> Bool { rooms[room]?.conference != nil }
}
