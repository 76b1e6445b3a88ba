import Core
import Testing
import TestSupport

@testable import Transport

extension LiveTests {
  @Suite(.serialized, .timeLimit(.minutes(1)))
  struct PlainTransportTests {
    static func allocator() -> PortAllocator { PortAllocator(range: 37_000...37_399, reuseDelay: .zero) }

    @Test(arguments: ["127.0.0.1", "::1"])
    func twoTransportsExchangeRTPAndRTCP(ip: String) async throws {
      let (a, b) = (Bench("a"), Bench("b"))
      let ports = Self.allocator()
      let ip = try #require(IPAddress(ip))
      let left = try await a.makePlain(ports, bind: ip)
      let right = try await b.makePlain(ports, bind: ip)
      #expect(left.rtp % 2 == 0 && left.rtcp == left.rtp + 1)
      await a.setPlainRemote(0, rtp: SocketAddress(ip: ip, port: right.rtp))
      await b.setPlainRemote(0, rtp: SocketAddress(ip: ip, port: left.rtp))
      let packets = (0..<50).map { Sample.rtp(sequence: 65_500 &+ UInt16($0), payloadType: 0, payload: 160) }
      await a.sendPlain(0, rtp: packets)
      await a.sendPlain(0, rtcp: Sample.rtcp())
      await b.sendPlain(0, rtp: packets)
      #expect(await b.wait { $0.plainReceived(0).rtp.count == 50 && $0.plainReceived(0).rtcp.count == 1 })
      #expect(await a.wait { $0.plainReceived(0).rtp.count == 50 })
      #expect(await b.plainReceived(0).rtp == packets)
      #expect(await b.plainReceived(0).rtcp == [Sample.rtcp()])
      #expect(await b.lockedSource(0) == SocketAddress(ip: ip, port: left.rtp))
      await a.finish()
      await b.finish()
      #expect(ports.inUse == 0)
    }

    @Test func multiplexedRTCPUsesTheRTPPort() async throws {
      let bench = Bench()
      let peer = try TestSocket()
      let made = try await bench.makePlain(Self.allocator())
      await bench.setPlainRemote(0, rtp: peer.address, muxed: true)
      await bench.sendPlain(0, rtcp: Sample.rtcp())
      let got = try #require(peer.receive())
      #expect(got.bytes == Sample.rtcp())
      #expect(got.from.port == made.rtp)
      peer.send(Sample.rtcp(ssrc: 5), to: SocketAddress(ip: Bench.loopback, port: made.rtp))
      #expect(await bench.wait { $0.plainReceived(0).rtcp == [Sample.rtcp(ssrc: 5)] })
      await bench.finish()
    }

    @Test func learnsTheSourceBehindNATAndSendsThere() async throws {
      let bench = Bench()
      let announced = SocketAddress(ip: IPAddress(v4: 0x7F00_0002), port: 9)
      let (nat, stranger) = (try TestSocket(), try TestSocket())
      let made = try await bench.makePlain(Self.allocator())
      let target = SocketAddress(ip: Bench.loopback, port: made.rtp)
      await bench.setPlainRemote(0, rtp: announced)
      nat.send(Sample.rtp(sequence: 10), to: target)
      nat.send(Sample.rtp(sequence: 11), to: target)
      #expect(await bench.wait { $0.lockedSource(0) == nat.address })
      #expect(await bench.plainReceived(0).rtp == [Sample.rtp(sequence: 11)])
      for sequence in 0..<10 { stranger.send(Sample.rtp(sequence: UInt16(sequence), ssrc: 666), to: target) }
      #expect(await bench.wait { $0.plainStatistics(0).rejected.foreign == 10 })
      nat.send(Sample.rtp(sequence: 12), to: target)
      #expect(await bench.wait { $0.plainReceived(0).rtp.count == 2 })
      await bench.sendPlain(0, rtp: [Sample.rtp(sequence: 1, ssrc: 1)])
      #expect(nat.receive()?.bytes == Sample.rtp(sequence: 1, ssrc: 1))
      // The same address in a re-INVITE keeps the lock; another one opens learning.
      await bench.setPlainRemote(0, rtp: announced)
      #expect(await bench.lockedSource(0) == nat.address)
      await bench.setPlainRemote(0, rtp: stranger.address)
      #expect(await bench.lockedSource(0) == nil)
      stranger.send(Sample.rtp(sequence: 1, ssrc: 666), to: target)
      #expect(await bench.wait { $0.lockedSource(0) == stranger.address })
      await bench.finish()
    }

    @Test func deliversNothingBeforeThePeerIsKnown() async throws {
      let bench = Bench()
      let peer = try TestSocket()
      let made = try await bench.makePlain(Self.allocator())
      for sequence in 0..<5 {
        peer.send(Sample.rtp(sequence: UInt16(sequence)), to: SocketAddress(ip: Bench.loopback, port: made.rtp))
      }
      peer.send(Sample.rtcp(), to: SocketAddress(ip: Bench.loopback, port: made.rtcp))
      #expect(await bench.wait { $0.plainStatistics(0).rejected.foreign == 6 })
      #expect(await bench.plainReceived(0).rtp.isEmpty)
      await bench.sendPlain(0, rtp: [Sample.rtp(sequence: 0)])
      #expect(await bench.plainStatistics(0).packetsNotSent == 1)
      await bench.finish()
    }

    @Test(arguments: [
      nil, SocketAddress(ip: IPAddress(v4: 0), port: 5000), SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 0),
    ])
    func sendsNothingToAHeldPeer(address: SocketAddress?) async throws {
      let bench = Bench()
      let peer = try TestSocket()
      _ = try await bench.makePlain(Self.allocator())
      await bench.setPlainRemote(0, rtp: peer.address)
      await bench.setPlainRemote(0, rtp: address)
      await bench.sendPlain(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(peer.receive(50) == nil)
      await bench.setPlainRemote(0, rtp: peer.address)
      await bench.sendPlain(0, rtp: [Sample.rtp(sequence: 2)])
      #expect(peer.receive()?.bytes == Sample.rtp(sequence: 2))
      await bench.finish()
    }

    @Test func refusesRTCPOfStrangers() async throws {
      let bench = Bench()
      let peer = try TestSocket()
      let stranger = try TestSocket(IPAddress(v4: 0x7F00_0003))
      let made = try await bench.makePlain(Self.allocator())
      let rtcp = SocketAddress(ip: Bench.loopback, port: made.rtcp)
      await bench.setPlainRemote(0, rtp: peer.address)
      stranger.send(Sample.rtcp(ssrc: 1), to: rtcp)
      #expect(await bench.wait { $0.plainStatistics(0).rejected.foreign == 1 })
      peer.send(Sample.rtcp(ssrc: 2), to: rtcp)
      #expect(await bench.wait { $0.plainReceived(0).rtcp == [Sample.rtcp(ssrc: 2)] })
      // Another port of the same host no longer counts.
      let other = try TestSocket()
      other.send(Sample.rtcp(ssrc: 3), to: rtcp)
      #expect(await bench.wait { $0.plainStatistics(0).rejected.foreign == 2 })
      await bench.sendPlain(0, rtcp: Sample.rtcp(ssrc: 4))
      #expect(peer.receive()?.bytes == Sample.rtcp(ssrc: 4))
      await bench.finish()
    }

    @Test func randomDatagramsDoNotTrap() async throws {
      let bench = Bench()
      let peer = try TestSocket()
      let made = try await bench.makePlain(Self.allocator())
      await bench.setPlainRemote(0, rtp: peer.address)
      var random = SeededRandom(seed: 11)
      for _ in 0..<2000 {
        let length = Int.random(in: 0...100, using: &random)
        let datagram = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
        peer.send(
          datagram, to: SocketAddress(ip: Bench.loopback, port: Bool.random(using: &random) ? made.rtp : made.rtcp))
      }
      // Longer than any buffer of ours.
      peer.send([0x80, 0] + [UInt8](repeating: 1, count: 9000), to: SocketAddress(ip: Bench.loopback, port: made.rtp))
      // The burst may have filled the socket's buffer: the good packet is sent until it finds room.
      let good = Sample.rtp(sequence: 9, ssrc: 0xABCD)
      var isThere = false
      for _ in 0..<50 where !isThere {
        peer.send(good, to: SocketAddress(ip: Bench.loopback, port: made.rtp))
        isThere = await bench.wait(.milliseconds(200)) { $0.plainReceived(0).rtp.last == good }
      }
      #expect(isThere)
      await bench.finish()
    }

    @Test func givesPortsAndDescriptorsBack() async throws {
      let bench = Bench()
      let ports = Self.allocator()
      let before = TestSocket.openDescriptors
      for _ in 0..<4 {
        for _ in 0..<25 { _ = try await bench.makePlain(ports) }
        #expect(ports.inUse == 25)
        // The kernel gives ports of this range to others as well, so a few more may be there; and its table, read while
        // others close sockets, may lack a few.
        #expect(TestSocket.bound(in: ports.range) > 35)
        await bench.closeAll()
        #expect(ports.inUse == 0)
        #expect(TestSocket.bound(in: ports.range) < 25)
      }
      // 200 sockets were made and closed; what other suites have open differs by a few.
      #expect(TestSocket.openDescriptors < before + 100)
      await bench.finish()
    }

    @Test func passesOverPortsOfOthers() async throws {
      let bench = Bench()
      let range: ClosedRange<UInt16> = 37_600...37_603
      let blocker = try TestSocket(port: 37_601)
      let ports = PortAllocator(range: range, reuseDelay: .seconds(60), start: 0)
      let made = try await bench.makePlain(ports)
      #expect(made.rtp == 37_602)
      await #expect(throws: TransportError.self) { try await bench.makePlain(ports) }
      _ = blocker
      await bench.finish()
    }

    @Test func sendsRunsOfEqualSizeInOneCall() async throws {
      let bench = Bench()
      let peer = try TestSocket()
      _ = try await bench.makePlain(Self.allocator())
      await bench.setPlainRemote(0, rtp: peer.address)
      let before = await bench.on { $0.worker.statistics.sendCalls }
      let packets = (0..<40).map { Sample.rtp(sequence: UInt16($0), payload: $0 == 39 ? 100 : 1000) }
      await bench.sendPlain(0, rtp: packets)
      for packet in packets { #expect(peer.receive()?.bytes == packet) }
      #expect(await bench.on { $0.worker.statistics.sendCalls } == before + 1)
      // Sizes that differ go one by one, in order.
      let mixed = (0..<6).map { Sample.rtp(sequence: UInt16($0), payload: 100 + 10 * $0) }
      await bench.sendPlain(0, rtp: mixed)
      for packet in mixed { #expect(peer.receive()?.bytes == packet) }
      await bench.finish()
    }
  }
}
