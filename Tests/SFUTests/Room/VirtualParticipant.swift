import Core
import RTP

@testable import SFU

/// What a simulated payload says of itself: capture time, producer, layer, frame and packet.
struct Mark: Hashable {
  var milliseconds: Int
  var producer: Int
  var layer: Int
  var frame: Int
  var isLast: Bool

  var bytes: [UInt8] {
    [
      UInt8(milliseconds >> 16 & 0xFF), UInt8(milliseconds >> 8 & 0xFF), UInt8(milliseconds & 0xFF),
      UInt8(producer & 0xFF), UInt8(layer), UInt8(frame >> 8 & 0xFF), UInt8(frame & 0xFF), isLast ? 1 : 0,
    ]
  }

  init(milliseconds: Int, producer: Int, layer: Int, frame: Int, isLast: Bool) {
    self.milliseconds = milliseconds
    self.producer = producer
    self.layer = layer
    self.frame = frame
    self.isLast = isLast
  }

  init?(_ bytes: ArraySlice<UInt8>) {
    guard bytes.count >= 8 else { return nil }
    let b = bytes.startIndex
    milliseconds = Int(bytes[b]) << 16 | Int(bytes[b + 1]) << 8 | Int(bytes[b + 2])
    producer = Int(bytes[b + 3])
    layer = Int(bytes[b + 4])
    frame = Int(bytes[b + 5]) << 8 | Int(bytes[b + 6])
    isLast = bytes[b + 7] == 1
  }
}

/// One stream that a participant sends.
struct SentStream {
  let ssrc: SSRC
  let retransmissionSSRC: SSRC?
  let rid: String?
  let layer: Int
  var sequence: Int
  var retransmissionSequence = 100
  let timestampBase: Int
  var cache: [UInt16: [UInt8]] = [:]
  var isAcknowledged = false
  var wantsKeyFrame = true
  var lastKeyFrame = -100
  var keyFrameRequests = 0
  var packets = 0
  var frame = 0
  var isWanted = true

  mutating func keep(_ packet: [UInt8]) {
    cache[UInt16(truncatingIfNeeded: sequence)] = packet
    cache[UInt16(truncatingIfNeeded: sequence - 400)] = nil
  }
}

/// A client: publishes audio and perhaps three layers of VP8, subscribes, repairs, reports. Sans-IO: what it sends goes
/// into `outbox`.
final class VirtualParticipant {
  let index: Int
  let ssrc: SSRC
  var audio: SentStream
  var video: [SentStream] = []
  private(set) var received: [ReceivedStream] = []
  private var places: [SSRC: Int] = [:]
  /// Retransmission stream → place of the stream.
  private var repairs: [SSRC: Int] = [:]
  var outbox: [LossyPath.Packet] = []
  /// −dBov now.
  var attenuation = 90
  private var transportSequence = 0
  private var feedback: TransportFeedbackGenerator?
  private var nextReport: Int
  private var intraSequences: [SSRC: UInt8] = [:]
  /// NTP of the participant's clock at tick 0: every client has its own.
  private let ntpBase: UInt64

  init(index: Int, hasCamera: Bool, answersFeedback: Bool, random: inout SeededRandom) {
    let base = UInt32(index + 1) << 16
    self.index = index
    ssrc = SSRC(base)
    func stream(_ offset: UInt32, rid: String?, layer: Int, repaired: Bool) -> SentStream {
      SentStream(
        ssrc: SSRC(base + offset), retransmissionSSRC: repaired ? SSRC(base + offset + 1) : nil,
        rid: rid, layer: layer, sequence: Int.random(in: 0..<65_536, using: &random),
        timestampBase: Int.random(in: 0..<Int(UInt32.max), using: &random))
    }
    audio = stream(1, rid: nil, layer: 0, repaired: false)
    if hasCamera {
      video = ["q", "h", "f"].enumerated().map { stream(10 + 2 * UInt32($0), rid: $1, layer: $0, repaired: true) }
    }
    feedback = answersFeedback ? TransportFeedbackGenerator() : nil
    nextReport = Int.random(in: 0..<200, using: &random)
    ntpBase = UInt64(UInt32.random(in: 0x8000_0000...0xF000_0000, using: &random)) << 32
  }

  func expect(_ ssrc: SSRC, repair: SSRC?, isVideo: Bool) {
    places[ssrc] = received.count
    if let repair { repairs[repair] = received.count }
    received.append(ReceivedStream(ssrc: ssrc, isVideo: isVideo))
  }

  func stream(_ ssrc: SSRC) -> ReceivedStream? { places[ssrc].map { received[$0] } }

  private func now(_ tick: Int) -> Instant { RoomSimulation.instant(tick) }

  // MARK: Sending

  /// Sends what is captured at this tick.
  func produce(tick: Int) {
    let milliseconds = tick * 5
    if milliseconds % 20 == 0 { sendAudio(milliseconds) }
    if milliseconds % 100 == index % 20 * 5, !video.isEmpty {
      for layer in video.indices where video[layer].isWanted { sendFrame(layer, milliseconds) }
    }
    nextReport -= 1
    if nextReport <= 0 {
      nextReport = 100
      report(tick)
    }
    if tick % 4 == index % 4 { ask(tick) }
    if feedback?.isDue(now: now(tick)) == true {
      while let packet = feedback?.make(sender: ssrc, now: now(tick)) { send(.transportFeedback(packet)) }
    }
  }

  private func ask(_ tick: Int) {
    for place in received.indices where received[place].isWaiting {
      let lost = received[place].takeRequests(tick: tick)
      let media = received[place].ssrc
      if !lost.numbers.isEmpty { send(.nack(sender: ssrc, media: media, lost: lost.numbers)) }
      if lost.needsPicture { send(.pictureLossIndication(sender: ssrc, media: media)) }
    }
  }

  private func elements(_ stream: SentStream, mid: String) -> [(HeaderExtension, [UInt8])] {
    transportSequence += 1
    var elements: [(HeaderExtension, [UInt8])] = [(.transportWideCC, Client.number(transportSequence))]
    guard !stream.isAcknowledged else { return elements }
    elements.append((.mid, Array(mid.utf8)))
    if let rid = stream.rid { elements.append((.rid, Array(rid.utf8))) }
    return elements
  }

  private func sendAudio(_ milliseconds: Int) {
    audio.sequence += 1
    audio.packets += 1
    let mark = Mark(milliseconds: milliseconds, producer: index, layer: 0, frame: audio.packets, isLast: true)
    let packet = Client.packet(
      Client.opus, audio.sequence, audio.timestampBase + milliseconds * 48, ssrc: audio.ssrc,
      elements: elements(audio, mid: "0") + [(.audioLevel, Client.audioLevel(attenuation, voice: attenuation < 50))],
      payload: mark.bytes)
    audio.keep(packet)
    outbox.append(.init(isRTCP: false, bytes: packet))
  }

  private func sendFrame(_ layer: Int, _ milliseconds: Int) {
    var stream = video[layer]
    stream.frame += 1
    let isKey = stream.wantsKeyFrame
    if isKey { stream.lastKeyFrame = stream.frame }
    stream.wantsKeyFrame = false
    for part in 0...layer {
      stream.sequence += 1
      stream.packets += 1
      let mark = Mark(
        milliseconds: milliseconds, producer: index, layer: layer, frame: stream.frame, isLast: part == layer)
      let head = Client.vp8(
        picture: stream.frame & 0x7FFF, tl0: stream.frame, startsFrame: part == 0, isKey: isKey && part == 0, bytes: 1)
      let packet = Client.packet(
        Client.vp8, stream.sequence, stream.timestampBase + milliseconds * 90, ssrc: stream.ssrc, marker: part == layer,
        elements: elements(stream, mid: "1"), payload: head + mark.bytes)
      stream.keep(packet)
      outbox.append(.init(isRTCP: false, bytes: packet))
    }
    video[layer] = stream
  }

  private func send(_ packet: RTCPPacket) {
    outbox.append(.init(isRTCP: true, bytes: RTCPPacket.compound([packet])))
  }

  private func report(_ tick: Int) {
    let ntp = ntpBase + UInt64(tick) * (1 << 32) / 200
    func report(_ stream: SentStream, rate: Int) {
      guard stream.packets > 0 else { return }
      let timestamp = UInt32(truncatingIfNeeded: stream.timestampBase + tick * 5 * rate)
      send(
        .senderReport(
          SenderReport(
            sender: stream.ssrc, ntp: NTPTime(rawValue: ntp), rtpTimestamp: timestamp,
            packetCount: UInt32(stream.packets), octetCount: 0, blocks: [])))
    }
    report(audio, rate: 48)
    for stream in video { report(stream, rate: 90) }
    var blocks: [ReportBlock] = []
    for stream in received {
      if let block = stream.makeBlock(tick: tick) { blocks.append(block) }
    }
    while !blocks.isEmpty {
      send(.receiverReport(sender: ssrc, blocks: Array(blocks.prefix(31))))
      blocks.removeFirst(min(31, blocks.count))
    }
  }

  // MARK: Receiving

  func receive(_ packet: LossyPath.Packet, tick: Int) {
    packet.isRTCP ? receive(rtcp: packet.bytes, tick: tick) : receive(rtp: packet.bytes, tick: tick)
  }

  private func receive(rtp bytes: [UInt8], tick: Int) {
    guard let header = try? RTPHeader(parsing: bytes) else { return }
    if feedback != nil, let id = Client.extensions[.transportWideCC],
      let place = header.extensionElement(id, in: bytes.span.bytes), place.count == 2
    {
      let number = UInt16(bytes[place.lowerBound]) << 8 | UInt16(bytes[place.lowerBound + 1])
      feedback?.receive(number, media: header.ssrc, now: now(tick))
    }
    if let place = places[header.ssrc] {
      received[place].receive(header.sequence, header, bytes[header.payload], tick: tick)
    } else if let place = repairs[header.ssrc] {
      guard header.payload.count > 2 else { return }
      let start = header.payload.lowerBound
      let sequence = UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
      received[place].receive(sequence, header, bytes[(start + 2)..<header.payload.upperBound], tick: tick)
    }
  }

  private func receive(rtcp bytes: [UInt8], tick: Int) {
    for packet in (try? RTCPCompound.parse(bytes)) ?? [] {
      switch packet {
      case .receiverReport(_, let blocks):
        for block in blocks { update(block.source) { $0.isAcknowledged = true } }
      case .senderReport(let report):
        if let place = places[report.sender] { received[place].receive(report, tick: tick) }
      case .nack(_, let media, let lost): for sequence in lost { resend(media, sequence) }
      case .pictureLossIndication(_, let media): wantKeyFrame(media)
      case .fullIntraRequest(_, let requests):
        for request in requests where intraSequences[request.media] != request.sequence {
          intraSequences[request.media] = request.sequence
          wantKeyFrame(request.media)
        }
      default: break
      }
    }
  }

  private func update(_ ssrc: SSRC, _ change: (inout SentStream) -> Void) {
    if audio.ssrc == ssrc { change(&audio) }
    for layer in video.indices where video[layer].ssrc == ssrc { change(&video[layer]) }
  }

  private func wantKeyFrame(_ ssrc: SSRC) {
    update(ssrc) {
      $0.wantsKeyFrame = true
      $0.keyFrameRequests += 1
    }
  }

  private func resend(_ ssrc: SSRC, _ sequence: UInt16) {
    var packet: [UInt8]?
    update(ssrc) { stream in
      guard let original = stream.cache[sequence] else { return }
      guard let retransmission = stream.retransmissionSSRC else {
        packet = original
        return
      }
      stream.retransmissionSequence += 1
      packet = try? Client.retransmission(
        of: original, Client.vp8RTX, stream.retransmissionSequence, ssrc: retransmission)
      // A client names the layer that it repairs for as long as the stream is not acknowledged; these always do.
      if let rid = stream.rid, let bytes = packet { packet = Self.naming(rid, in: bytes) }
    }
    if let packet { outbox.append(.init(isRTCP: false, bytes: packet)) }
  }

  /// The packet with MID and repaired RID.
  private static func naming(_ rid: String, in packet: [UInt8]) -> [UInt8] {
    guard let header = try? RTPHeader(parsing: packet) else { return packet }
    var head = Array(packet[..<12])
    head[0] |= 0x10
    let map = Client.extensions
    let data = RTPHeader.extensionBytes([
      (map[.mid] ?? 0, Array("1".utf8)), (map[.repairedRID] ?? 0, Array(rid.utf8)),
    ])
    return head + data + packet[header.payload.lowerBound...]
  }
}
