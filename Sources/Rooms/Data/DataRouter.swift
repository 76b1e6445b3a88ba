import Core
import LiveKitProtocol
import SFU

/// The data packets of one room: says who sent them, and to whom they go.
final class DataRouter {
  private unowned let room: Room
  private var cache = ReplayCache()
  /// Of the server's own packets: a back end that tries again sends the same one.
  private var nonces = RecentNonces()
  private let calls: ServerCalls

  init(_ room: Room) {
    self.room = room
    calls = ServerCalls(room.context)
  }

  /// A message of a participant's channel.
  func receive(_ bytes: [UInt8], on label: DataChannelLabel, from sender: Participant) {
    guard label != .dataTrack, sender.isPresent, bytes.count <= 256 * 1024,
      var packet = Livekit_DataPacket(parsing: bytes)
    else { return }
    guard sender.permission.canPublishData else { return }
    if label == .reliable, !sender.sequences.accept(packet.sequence) { return }
    guard !calls.receive(packet, from: sender), admit(&packet, from: sender) else { return }
    // What the packet says about its channel is not to be trusted: native clients write lossy everywhere.
    packet.kind = label == .reliable ? .reliable : .lossy
    deliver(packet, from: sender)
  }

  /// Says who sent the packet, whatever it says itself. False: it is not forwarded.
  private func admit(_ packet: inout Livekit_DataPacket, from sender: Participant) -> Bool {
    let isAgent = sender.permission.agent || sender.kind == .agent
    switch packet.value {
    case .user(var user):
      guard sender.nonces.accept([UInt8](user.nonce)) else { return false }
      user.participantSid = sender.isHidden ? "" : sender.sid
      user.participantIdentity = sender.isHidden ? "" : sender.identity
      if packet.destinationIdentities.isEmpty {
        packet.destinationIdentities = user.destinationIdentities
        let bySID = user.destinationSids.prefix(1024).compactMap { room.participant(sid: $0)?.identity }
        packet.destinationIdentities += bySID
        // Named ones that are all gone do not mean everybody.
        if bySID.isEmpty, !user.destinationSids.isEmpty, packet.destinationIdentities.isEmpty { return false }
      }
      user.destinationIdentities = packet.destinationIdentities
      packet.value = .user(user)
    case .transcription:
      guard isAgent else { return false }
    case .speaker: return false
    case .metrics: break
    case .sipDtmf, .chatMessage, .rpcRequest, .rpcAck, .rpcResponse, .streamHeader, .streamChunk, .streamTrailer,
      .encryptedPacket:
      break
    case nil:
      // Newer than this server: passed on as it is.
      break
    }
    packet.participantIdentity = sender.isHidden ? "" : sender.identity
    packet.participantSid = sender.isHidden ? "" : sender.sid
    return true
  }

  /// A packet of the server's own.
  func send(_ packet: Livekit_DataPacket) {
    guard nonces.accept([UInt8](packet.user.nonce)) else { return }
    deliver(packet, from: nil)
  }

  /// A packet in the name of a participant that has no channel of its own.
  func send(_ packet: Livekit_DataPacket, from sender: Participant) {
    var packet = packet
    guard sender.isPresent, admit(&packet, from: sender) else { return }
    deliver(packet, from: sender)
  }

  /// Keys reach telephones as keys.
  private func deliver(_ dtmf: Livekit_SipDTMF, to named: Set<String>, from sender: Participant?) {
    for receiver in room.present where receiver !== sender {
      guard let phone = receiver.phone, named.isEmpty || named.contains(receiver.identity) else { continue }
      phone.receive(dtmf, from: sender, isAddressed: !named.isEmpty)
    }
  }

  /// A call of the server's to a participant.
  func call(
    _ request: Livekit_PerformRpcRequest, to participant: Participant, _ completion: @escaping ServerCalls.Completion
  ) throws(RoomError) {
    guard participant.endpoint == nil, participant.receiving != nil else {
      throw RoomError(.failedPrecondition, "the participant has no data channels")
    }
    deliver(try calls.begin(request, to: participant, completion), from: nil)
  }

  func left(_ participant: Participant) { calls.left(participant) }

  private func deliver(_ packet: Livekit_DataPacket, from sender: Participant?) {
    let bytes = packet.bytes
    let label: DataChannelLabel = packet.kind == .reliable ? .reliable : .lossy
    let named = Set(packet.destinationIdentities)
    if case .sipDtmf(let dtmf) = packet.value { deliver(dtmf, to: named, from: sender) }
    var isMetrics = false
    if case .metrics = packet.value { isMetrics = true }
    let receivers = room.present.filter { receiver in
      // WHIP, WHEP and telephones have no data channels.
      guard receiver !== sender, receiver.endpoint == nil else { return false }
      if isMetrics { return receiver.permission.canSubscribeMetrics }
      return named.isEmpty || named.contains(receiver.identity)
    }
    let peers = receivers.compactMap { $0.receiving?.id }
    if !peers.isEmpty { room.order(.sendData(peers, label, bytes)) }
    if label == .reliable, packet.sequence > 0, let sender, !isMetrics {
      cache.append(
        ReplayCache.Entry(
          time: room.context.now, senderSID: sender.sid, sequence: packet.sequence,
          destinations: packet.destinationIdentities, bytes: bytes))
    }
  }

  /// What a participant missed while its path was broken.
  func replay(to participant: Participant, lastSequences: [String: UInt32]) {
    guard let peer = participant.receiving?.id else { return }
    var last = lastSequences
    last[participant.sid] = nil
    for bytes in cache.missed(by: participant.identity, lastSequences: last, now: room.context.now) {
      room.order(.sendData([peer], .reliable, bytes))
    }
  }
}
