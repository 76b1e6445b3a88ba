import Core
import RTP

/// RTCP that the peer sends: what our consumers' packets met, and what its own streams say.
extension Peer {
  func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {
    guard !isClosed else { return }
    context.advance(to: now)
    guard admitsRTCP(now: now) else { return }
    guard let packets = try? RTCPCompound.parse(packet) else {
      countMalformed()
      return
    }
    for parsed in packets {
      if case .senderReport(let report) = parsed, let route = incoming[report.sender], !route.isRetransmission {
        route.producer.tap?.tap(rtcp: packet, arrival: now)
        for pipe in route.producer.pipes { pipe.tap(rtcp: packet, arrival: now) }
      }
      receive(parsed, now: now)
    }
  }

  private func receive(_ packet: RTCPPacket, now: Instant) {
    switch packet {
    case .senderReport(let report):
      remoteClock.receive(report.ntp, now: now)
      if let route = incoming[report.sender], !route.isRetransmission { route.stream.receive(report, now: now) }
      receive(report.blocks, now: now)
    case .receiverReport(_, let blocks): receive(blocks, now: now)
    case .goodbye(let sources, _):
      for source in sources { goodbye(source, now: now) }
    case .nack(_, let media, let lost): outgoing[media]?.receive(nack: lost, now: now)
    case .pictureLossIndication(_, let media): outgoing[media]?.receivePictureLoss(now: now)
    case .fullIntraRequest(_, let requests):
      for request in requests { outgoing[request.media]?.receivePictureLoss(now: now) }
    case .receiverEstimatedMaximumBitrate(_, let bitrate, _): sender.receive(maximumBitrate: bitrate, now: now)
    case .transportFeedback(let feedback): sender.receive(feedback, now: now)
    case .sourceDescription, .application, .extendedReport, .other: break
    }
  }

  private func receive(_ blocks: [ReportBlock], now: Instant) {
    guard !blocks.isEmpty else { return }
    for block in blocks {
      guard let consumer = outgoing[block.source] else { continue }
      if let roundTrip = consumer.receive(block, now: now) { sender.receive(roundTrip: roundTrip) }
    }
    sender.receive(blocks, now: now)
  }

  /// A source of the peer's is no more (RFC 3550 §6.6). Its SSRC may come back: the route stays.
  private func goodbye(_ source: SSRC, now: Instant) {
    guard let route = incoming[source], !route.isRetransmission else { return }
    route.stream.deactivate()
    for sink in route.producer.sinks { sink.streamsChanged(now: now) }
    if !route.producer.streams.contains(where: { $0.isActive }) { context.emit(.producerEnded(route.producer.id)) }
  }

  // MARK: What we send

  /// Asks for a key frame, if it is time.
  func send(_ action: KeyFrameRequests.Action, about stream: ProducerStream) {
    switch action {
    case .none: return
    case .pictureLossIndication: write(.pictureLossIndication(sender: ssrc, media: stream.ssrc))
    case .fullIntraRequest(let sequence):
      write(
        .fullIntraRequest(sender: ssrc, requests: [FullIntraRequest(media: stream.ssrc, sequence: sequence)]))
    }
  }

  private func write(_ packet: RTCPPacket) {
    context.rtcp.removeAll(keepingCapacity: true)
    packet.append(to: &context.rtcp)
    flush()
  }

  private func flush() {
    guard !context.rtcp.isEmpty else { return }
    context.rtcp.withUnsafeBytes { transport.send(rtcp: $0) }
    context.rtcp.removeAll(keepingCapacity: true)
  }

  /// Feedback for what the peer publishes. Every 5 ms.
  func tickUpstream(now: Instant) {
    for producer in producers {
      for stream in producer.streams {
        if stream.nacks.missingCount > 0 { sendNacks(stream, now: now) }
        if stream.keyFrames.isOutstanding, !producer.isMuted { send(stream.keyFrames.poll(now: now), about: stream) }
      }
    }
    if feedback.isDue(now: now) {
      while let packet = feedback.make(sender: ssrc, now: now) { write(.transportFeedback(packet)) }
    }
  }

  private func sendNacks(_ stream: ProducerStream, now: Instant) {
    lost.removeAll(keepingCapacity: true)
    stream.nacks.collect(into: &lost, now: now)
    guard !lost.isEmpty else { return }
    write(.nack(sender: ssrc, media: stream.ssrc, lost: lost))
  }

  /// RFC 3550 §6.1: a report, SDES, then what else is to be said, in compounds of a datagram each.
  func sendReports(now: Instant) {
    var blocks: [ReportBlock] = []
    for producer in producers {
      for stream in producer.streams where stream.isActive {
        if let block = stream.makeReportBlock(now: now) { blocks.append(block) }
      }
    }
    var reports: [(SenderReport, cname: String)] = []
    for consumer in consumers {
      if let report = consumer.senderReport(now: now, clock: context.clock) {
        reports.append((report, consumer.parameters.cname))
      }
    }
    guard !blocks.isEmpty || !reports.isEmpty else { return }
    context.rtcp.removeAll(keepingCapacity: true)
    var description: [SourceDescription] = []
    var index = 0
    repeat {
      // The first packet of a compound is a report: ours about the peer's streams where it has any.
      RTCPPacket.receiverReport(sender: ssrc, blocks: Array(blocks.prefix(31))).append(to: &context.rtcp)
      blocks.removeFirst(min(31, blocks.count))
      description.removeAll(keepingCapacity: true)
      description.append(SourceDescription(source: ssrc, cname: cname))
      while index < reports.count, context.rtcp.count < 560, description.count < 16 {
        RTCPPacket.senderReport(reports[index].0).append(to: &context.rtcp)
        description.append(SourceDescription(source: reports[index].0.sender, cname: reports[index].cname))
        index += 1
      }
      RTCPPacket.sourceDescription(description).append(to: &context.rtcp)
      flush()
    } while index < reports.count || !blocks.isEmpty
    sendEstimate(now: now)
  }

  /// REMB for peers that do not number transport-wide.
  private func sendEstimate(now: Instant) {
    guard extensions.map[.transportWideCC] == nil else { return }
    var expected = 0
    var missing = 0
    var sources: [SSRC] = []
    for producer in producers where producer.parameters.kind == .video {
      for stream in producer.streams where stream.isActive {
        expected += stream.statistics.packetsExpected
        missing += stream.statistics.packetsLost
        sources.append(stream.ssrc)
      }
    }
    guard !sources.isEmpty, let bitrate = receivedBandwidth.update(expected: expected, lost: missing, now: now)
    else { return }
    write(.receiverEstimatedMaximumBitrate(sender: ssrc, bitrate: bitrate, sources: sources))
  }
}
