import Core
import SFU
import Testing

@testable import Rooms

@Suite struct RoomPlacementTests {
  private let room = MediaRoomID(rawValue: 1)
  private let track = ProducerID(rawValue: 50)

  private func peer(_ number: UInt64) -> PeerID { PeerID(rawValue: number) }

  private func open(_ peer: PeerID) -> RoomMediaCommand {
    .openPeer(peer, room: room, towards: IPAddress(v4: 0x7F00_0001), isControlling: true)
  }

  private func consume(_ consumer: UInt64, by peer: PeerID) -> RoomMediaCommand {
    .addConsumer(
      ConsumerID(rawValue: consumer), of: track, peer: peer,
      ConsumerParameters(
        mid: "0", ssrc: SSRC(UInt32(consumer)), retransmissionSSRC: nil, codecs: [], extensions: HeaderExtensionMap(),
        cname: "c"))
  }

  private func routed(_ placement: inout RoomPlacement, _ command: RoomMediaCommand) -> [(String, Int)] {
    var sent: [(String, Int)] = []
    placement.route(command) { sent.append((String(describing: $0).prefix { $0 != "(" }.description, $1)) }
    return sent
  }

  @Test func aSmallRoomStaysAtHome() {
    var placement = RoomPlacement(room: room, home: 1, workers: 4, limit: 3)
    for number in 1...3 as ClosedRange<UInt64> {
      placement.place(peer(number))
      #expect(placement.worker(of: peer(number)) == 1)
      #expect(routed(&placement, open(peer(number))).map(\.1) == [1])
    }
    #expect(routed(&placement, consume(7, by: peer(2))).map(\.1) == [1])
    #expect(placement.all == [1])
  }

  @Test func receiversBeyondTheLimitLiveElsewhere() {
    var placement = RoomPlacement(room: room, home: 1, workers: 3, limit: 2)
    let workers = (1...8 as ClosedRange<UInt64>).map { number in
      placement.place(peer(number))
      return placement.worker(of: peer(number))
    }
    #expect(workers.prefix(6) == [1, 1, 2, 2, 0, 0])
    // All are full: whoever has the fewest.
    #expect(Set(workers.suffix(2)).count == 2)
    #expect(Set(placement.all) == [0, 1, 2])
  }

  @Test func noLimitKeepsEverybodyAtHome() {
    var placement = RoomPlacement(room: room, home: 0, workers: 2, limit: 0)
    for number in 1...50 as ClosedRange<UInt64> { placement.place(peer(number)) }
    #expect(placement.all == [0])
  }

  @Test func aReplicaIsOpenedBeforeItsFirstPeerAndGetsEachTrackOnce() {
    var placement = RoomPlacement(room: room, home: 0, workers: 2, limit: 1)
    placement.place(peer(1))
    placement.place(peer(2))
    let opened = routed(&placement, open(peer(2)))
    #expect(opened.map(\.0) == ["openReplica", "openPeer"])
    #expect(opened.map(\.1) == [1, 1])
    placement.place(peer(3))
    placement.place(peer(4))
    let more = (3...4 as ClosedRange<UInt64>).flatMap { routed(&placement, open(peer($0))) }
    #expect(more.map(\.0) == ["openPeer", "openPeer"])

    let first = routed(&placement, consume(7, by: peer(2)))
    #expect(first.map(\.0) == ["addConsumer", "addPipe"])
    #expect(first.map(\.1) == [1, 0])
    let elsewhere = [3, 4].first { placement.worker(of: peer($0)) == 1 }.map { peer($0) }
    let second = routed(&placement, consume(8, by: elsewhere ?? peer(0)))
    #expect(second.map(\.0) == ["addConsumer"])
    #expect(second.map(\.1) == [1])

    let change = RoomMediaCommand.updateConsumer(ConsumerID(rawValue: 7), room: room, ConsumerPreferences())
    #expect(routed(&placement, change).map(\.1) == [1])
    let removal = RoomMediaCommand.removeConsumer(ConsumerID(rawValue: 7), room: room)
    #expect(routed(&placement, removal).map(\.1) == [1])
    // It is known no more.
    #expect(routed(&placement, removal).map(\.1) == [0])
  }

  @Test func dataGoesToEachWorkerOnce() {
    var placement = RoomPlacement(room: room, home: 0, workers: 2, limit: 1)
    for number in 1...4 as ClosedRange<UInt64> { placement.place(peer(number)) }
    var groups: [Int: Set<PeerID>] = [:]
    placement.route(.sendData((1...5).map { peer($0) }, .reliable, [1])) { command, worker in
      guard case .sendData(let peers, .reliable, [1]) = command else { return }
      #expect(groups[worker] == nil)
      groups[worker] = Set(peers)
    }
    #expect(groups.values.reduce(Set()) { $0.union($1) } == Set((1...5).map { peer($0) }))
    // Who publishes, too, lives at home.
    #expect(groups[0]?.contains(peer(5)) == true)
    #expect(groups[1]?.count == 2)
  }

  @Test func placesOfThoseWhoLeftAreGivenAgain() {
    var placement = RoomPlacement(room: room, home: 0, workers: 2, limit: 2)
    for number in 1...3 as ClosedRange<UInt64> { placement.place(peer(number)) }
    #expect(placement.worker(of: peer(3)) == 1)
    #expect(routed(&placement, .closePeer(peer(1))).map(\.1) == [0])
    placement.place(peer(4))
    #expect(placement.worker(of: peer(4)) == 0)
    #expect(Set(routed(&placement, .closeRoom(room)).map(\.1)) == [0, 1])
  }

  @Test func theHighestDemandOfAllWorkersCounts() {
    var demand = LayerDemand()
    #expect(demand.set(1, worker: 0) == 1)
    #expect(demand.set(2, worker: 1) == 2)
    #expect(demand.set(nil, worker: 1) == 1)
    #expect(demand.set(nil, worker: 0) == nil)
  }
}

@Suite struct LoadGateTests {
  @Test func closesAfterThreeBusyPeriodsAndOpensAfterOneQuiet() {
    var gate = LoadGate()
    for _ in 0..<2 { gate.update(0.95, limit: 0.9) }
    #expect(gate.isOpen)
    gate.update(0.97, limit: 0.9)
    #expect(!gate.isOpen)
    gate.update(0.5, limit: 0.9)
    #expect(gate.isOpen)
    for _ in 0..<2 { gate.update(1, limit: 0.9) }
    #expect(gate.isOpen)
  }

  @Test func shareIsOfTheLastSecond() {
    var load = WorkerLoad()
    let start = Instant(nanoseconds: 1_000)
    #expect(load.update(busy: { .seconds(5) }, now: start) == nil)
    #expect(load.update(busy: { .seconds(6) }, now: start + .milliseconds(500)) == nil)
    #expect(load.update(busy: { .milliseconds(5_500) }, now: start + .seconds(1)) == 0.5)
    #expect(load.update(busy: { .milliseconds(5_500) }, now: start + .seconds(2)) == 0)
  }
}
