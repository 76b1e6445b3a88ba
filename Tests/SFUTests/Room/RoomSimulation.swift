import Core
import RTP

@testable import SFU

/// A whole room under a virtual clock: every participant behind a lossy path of its own.
final class RoomSimulation {
  struct Plan {
    var participants = 100
    var cameras = 10
    /// Cameras that each participant watches; the first of them in the highest layer, others in the lowest.
    var watched = 4
    var loudest: Int? = 3
    var loss = 0.02
    /// Participants that answer with transport-wide feedback.
    var feedback = 10
  }

  let plan: Plan
  let router: Router
  private(set) var participants: [VirtualParticipant] = []
  private var receivers: [any PacketReceiver] = []
  private var up: [LossyPath] = []
  private var down: [Downlink] = []
  private(set) var tick = 0
  private(set) var events: [RouterEvent] = []
  /// Who consumes what: subscriber, source and kind by output SSRC.
  private(set) var subscriptions: [(subscriber: Int, source: Int, kind: MediaKind, ssrc: SSRC)] = []

  /// What the router sends to one participant.
  private final class Downlink: PacketTransport {
    var path: LossyPath
    var tick = 0
    init(_ path: LossyPath) { self.path = path }
    func send(rtp packet: UnsafeRawBufferPointer) {
      path.send(.init(isRTCP: false, bytes: [UInt8](packet)), tick: tick)
    }
    func send(rtcp packet: UnsafeRawBufferPointer) {
      path.send(.init(isRTCP: true, bytes: [UInt8](packet)), tick: tick)
    }
  }

  /// The clock starts a second past the origin.
  static func instant(_ tick: Int) -> Instant { Instant(nanoseconds: 1_000_000_000 + Int64(tick) * 5_000_000) }

  init(seed: UInt64, plan: Plan = Plan()) {
    self.plan = plan
    var random = SeededRandom(seed: seed)
    router = Router(
      seed: random.next(),
      configuration: RouterConfiguration(
        loudest: plan.loudest, origin: Self.instant(0), originWall: WallTime(milliseconds: 1_700_000_000_000)))
    router.onEvent = { [unowned self] in events.append($0) }
    for index in 0..<plan.participants {
      let participant = VirtualParticipant(
        index: index, hasCamera: index < plan.cameras, answersFeedback: index % 10 < plan.feedback * 10 / 100,
        random: &random)
      participants.append(participant)
      let delay = Int.random(in: 2...6, using: &random)
      up.append(LossyPath(seed: random.next(), loss: plan.loss, delay: delay...(delay + 2)))
      down.append(Downlink(LossyPath(seed: random.next(), loss: plan.loss, delay: delay...(delay + 2))))
      join(index)
    }
    for subscriber in 0..<plan.participants { subscribe(subscriber) }
  }

  private func peer(_ index: Int) -> PeerID { PeerID(rawValue: UInt64(index + 1)) }
  static func audio(_ index: Int) -> ProducerID { ProducerID(rawValue: UInt64(index + 1) * 10) }
  static func video(_ index: Int) -> ProducerID { ProducerID(rawValue: UInt64(index + 1) * 10 + 1) }

  private func join(_ index: Int) {
    receivers.append(router.addPeer(peer(index), transport: down[index], now: Self.instant(0)))
    router.addProducer(Self.audio(index), peer: peer(index), parameters: Client.audio(mid: "0"))
    if index < plan.cameras {
      router.addProducer(Self.video(index), peer: peer(index), parameters: Client.simulcast(mid: "1"))
    }
    let answers = index % 10 < plan.feedback * 10 / 100
    router.configurePeer(peer(index), bandwidth: answers ? .transportCC : .none)
  }

  private func subscribe(_ subscriber: Int) {
    for source in 0..<plan.participants where source != subscriber { consume(subscriber, source, .audio, layer: 0) }
    guard plan.cameras > 0 else { return }
    var layer = 2
    for step in 0..<plan.watched {
      let source = (subscriber + step) % plan.cameras
      guard source != subscriber else { continue }
      consume(subscriber, source, .video, layer: layer)
      layer = 0
    }
  }

  private func consume(_ subscriber: Int, _ source: Int, _ kind: MediaKind, layer: Int) {
    let number = UInt32(subscriptions.count * 2 + 1) | 0x8000_0000
    let ssrc = SSRC(number)
    var extensions = Client.extensions
    if subscriber % 10 >= plan.feedback * 10 / 100 { extensions[.transportWideCC] = nil }
    let parameters = ConsumerParameters(
      mid: "s\(subscriptions.count)", ssrc: ssrc, retransmissionSSRC: kind == .video ? SSRC(number + 1) : nil,
      codecs: kind == .audio ? Client.audioCodecs : Client.videoCodecs, extensions: extensions, cname: "c\(source)",
      preferences: ConsumerPreferences(maximumSpatialLayer: layer))
    let id = ConsumerID(rawValue: UInt64(number))
    let isTaken = router.addConsumer(
      id, of: kind == .audio ? Self.audio(source) : Self.video(source), peer: peer(subscriber), parameters: parameters)
    precondition(isTaken, "the codecs are the same")
    participants[subscriber].expect(ssrc, repair: parameters.retransmissionSSRC, isVideo: kind == .video)
    subscriptions.append((subscriber, source, kind, ssrc))
  }

  /// One step of 5 ms.
  func step() {
    tick += 1
    let now = Self.instant(tick)
    for link in down { link.tick = tick }
    for index in participants.indices {
      let participant = participants[index]
      for packet in down[index].path.receive(tick: tick) { participant.receive(packet, tick: tick) }
      participant.produce(tick: tick)
      for packet in participant.outbox { up[index].send(packet, tick: tick) }
      participant.outbox.removeAll(keepingCapacity: true)
    }
    for index in participants.indices {
      for packet in up[index].receive(tick: tick) {
        packet.bytes.withUnsafeBytes {
          if packet.isRTCP {
            receivers[index].receive(rtcp: $0, now: now)
          } else {
            receivers[index].receive(rtp: $0, now: now)
          }
        }
      }
    }
    router.tick(now: now)
  }

  func run(seconds: Double, each: ((Int) -> Void)? = nil) {
    for _ in 0..<Int(seconds * 200) {
      each?(tick)
      step()
    }
  }

  /// Everything that every participant got, folded.
  var digest: UInt64 {
    var digest: UInt64 = 1
    for participant in participants {
      for stream in participant.received { digest = digest &* 31 &+ stream.digest }
    }
    return digest
  }

  func stream(_ subscription: (subscriber: Int, source: Int, kind: MediaKind, ssrc: SSRC)) -> ReceivedStream {
    participants[subscription.subscriber].stream(subscription.ssrc)
      ?? ReceivedStream(ssrc: subscription.ssrc, isVideo: false)
  }
}
