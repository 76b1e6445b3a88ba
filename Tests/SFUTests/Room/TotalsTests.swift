import Core
import Testing

@testable import SFU

/// What `/metrics` shows of a room.
@Suite struct TotalsTests {
  @Test func countsGoOnlyUpWhoeverLeaves() {
    var plan = RoomSimulation.Plan()
    plan.participants = 8
    plan.cameras = 3
    plan.feedback = 30
    let room = RoomSimulation(seed: 4, plan: plan)
    room.run(seconds: 2)
    let whole = room.router.totals()
    #expect(whole.packetsReceived > 500 && whole.octetsReceived > whole.packetsReceived * 20)
    #expect(whole.audio.packets > 100 && whole.video.packets > 100 && whole.video.octets > whole.video.packets * 10)
    #expect(whole.keyFrames > 0 && whole.keyFrameRequestsSent > 0)
    let load = room.router.load()
    let statistics = room.router.statistics()
    #expect(load.peers == statistics.peers.count)
    #expect(load.audioTracks + load.videoTracks == statistics.producers.count)
    #expect(load.audioSubscriptions + load.videoSubscriptions == statistics.consumers.count)
    #expect(load.layers.reduce(0, +) == load.videoSubscriptions)
    #expect(load.layers.dropLast().reduce(0, +) > 0)

    for consumer in statistics.consumers.prefix(3) { room.router.removeConsumer(consumer.id) }
    for producer in statistics.producers.prefix(2) { room.router.removeProducer(producer.id) }
    for peer in statistics.peers { room.router.removePeer(peer.id) }
    #expect(room.router.load() == RouterLoad())
    #expect(room.router.totals() == whole)
    var twice = whole
    twice += whole
    #expect(twice.packetsReceived == whole.packetsReceived * 2 && twice.video.octets == whole.video.octets * 2)
  }
}
