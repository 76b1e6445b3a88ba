import Core
import Testing
import TestSupport

@testable import Transport

extension LiveTests {
  /// Against libnice's full agent, over loopback.
  @Suite(.serialized, .timeLimit(.minutes(2)))
  struct SinglePortTests {
    @Test(arguments: [SRTPProfile.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA1_80])
    func carriesRTPAndRTCPBothWays(profile: SRTPProfile) async throws {
      let world = try PortWorld(profiles: [profile])
      let (peer, agent) = try await world.connect(profiles: [profile])
      let bench = world.benches[0]
      #expect(await bench.waitConnected(peer))
      #expect(await world.agents.waitConnected(agent))
      #expect(await bench.events[peer].contains(.connected(profile: profile)))
      let forth = (0..<20).map { Sample.rtp(sequence: 65_530 &+ UInt16($0), payload: 20 + Int($0) % 3) }
      let back = (0..<20).map { Sample.rtp(sequence: UInt16($0), ssrc: 7) }
      await bench.send(peer, rtp: forth)
      await bench.send(peer, rtcp: Sample.rtcp())
      await world.agents.send(agent, rtp: back)
      await world.agents.send(agent, rtcp: Sample.rtcp(ssrc: 7))
      #expect(await bench.wait { $0.received(peer).rtp.count == 20 && $0.received(peer).rtcp.count == 1 })
      #expect(await world.agents.wait { $0.received(agent).rtp.count == 20 && $0.received(agent).rtcp.count == 1 })
      #expect(await world.agents.received(agent).rtp == forth)
      #expect(await bench.received(peer).rtp == back)
      #expect(await bench.statistics(peer).rejected.total == 0)
      #expect(await bench.selectedPair(peer)?.local == world.server.description)
      await world.finish()
    }

    @Test func dtlsRolesMayBeSwapped() async throws {
      let world = try PortWorld()
      let (peer, agent) = try await world.connect(role: .client)
      #expect(await world.benches[0].waitConnected(peer))
      #expect(await world.agents.waitConnected(agent))
      await world.finish()
    }

    @Test func peersOfAllWorkersShareThePort() async throws {
      // Some of these peers' datagrams arrive at a socket of another worker than their own.
      let world = try PortWorld(workers: 3)
      var peers: [(lane: Int, peer: Int, agent: Int)] = []
      for lane in 0..<3 {
        for _ in 0..<4 {
          let (peer, agent) = try await world.connect(lane: lane)
          peers.append((lane, peer, agent))
        }
      }
      for (lane, peer, agent) in peers {
        #expect(await world.benches[lane].waitConnected(peer))
        #expect(await world.agents.waitConnected(agent))
      }
      let packets = (0..<50).map { Sample.rtp(sequence: UInt16($0)) }
      for (lane, peer, agent) in peers {
        await world.agents.send(agent, rtp: packets)
        await world.benches[lane].send(peer, rtp: packets)
      }
      for (lane, peer, agent) in peers {
        #expect(await world.benches[lane].wait { $0.received(peer).rtp.count == 50 })
        #expect(await world.benches[lane].received(peer).rtp == packets)
        #expect(await world.agents.wait { $0.received(agent).rtp.count == 50 })
      }
      var all = SinglePortStatistics()
      for bench in world.benches {
        let one = await bench.statistics(of: world.port)
        all.handedOver += one.handedOver
        all.takenOver += one.takenOver
        all.handOverDropped += one.handOverDropped
        all.peers += one.peers
      }
      #expect(all.peers == 12)
      #expect(all.handedOver > 0)
      #expect(all.handedOver == all.takenOver)
      #expect(all.handOverDropped == 0)
      await world.finish()
    }

    @Test func busyPeersGetSocketsOfTheirOwn() async throws {
      let world = try PortWorld(workers: 2)
      var peers: [(lane: Int, peer: Int, agent: Int)] = []
      for lane in 0..<2 {
        for _ in 0..<3 {
          let (peer, agent) = try await world.connect(lane: lane)
          peers.append((lane, peer, agent))
        }
      }
      let idle = try await world.connect(lane: 0)
      for (lane, peer, agent) in peers + [(0, idle.peer, idle.agent)] {
        #expect(await world.benches[lane].waitConnected(peer))
        #expect(await world.agents.waitConnected(agent))
      }
      func all() async -> SinglePortStatistics {
        var all = SinglePortStatistics()
        for bench in world.benches { all += await bench.statistics(of: world.port) }
        return all
      }
      var sequence: UInt16 = 0
      let end = Instant.now() + .seconds(10)
      while await all().connectedSockets < 6, Instant.now() < end {
        for (lane, peer, _) in peers {
          await world.benches[lane].send(peer, rtp: (0..<25).map { Sample.rtp(sequence: sequence &+ $0) })
        }
        sequence &+= 25
        try await Task.sleep(for: .milliseconds(200))
      }
      #expect(await all().connectedSockets >= 6)
      // What came before the sockets were there.
      try await Task.sleep(for: .milliseconds(50))
      let handedOver = await all().handedOver
      let packets = (0..<50).map { Sample.rtp(sequence: UInt16($0), ssrc: 9) }
      for (lane, peer, agent) in peers {
        await world.agents.send(agent, rtp: packets)
        await world.benches[lane].send(peer, rtp: (0..<50).map { Sample.rtp(sequence: sequence &+ $0) })
        #expect(await world.benches[lane].wait { $0.received(peer).rtp.count == 50 })
        #expect(await world.benches[lane].received(peer).rtp == packets)
        let sent = Int(sequence) + 50
        #expect(await world.agents.wait { $0.received(agent).rtp.count == sent })
      }
      // The idle peer's checks may still take the long way.
      #expect(await all().handedOver - handedOver < 10)
      for bench in world.benches { await bench.closeAll() }
      #expect(await world.benches[0].wait { $0.statistics(of: world.port).connectedSockets == 0 })
      await world.finish()
    }

    @Test func connectsOverIPv6() async throws {
      let loopback = try #require(IPAddress("::1"))
      let world = try PortWorld(addresses: [Bench.loopback, loopback])
      let bench = world.benches[0]
      let peer = try await bench.make(world.port, towards: loopback)
      let agent = try await world.agents.make(world.agentCertificate, controlling: true, addresses: [loopback])
      let offer = try await world.agents.gather(agent)
      try await bench.setRemote(peer, offer, role: .server)
      let answer = try await bench.gather(peer)
      #expect(answer.candidates.contains { $0.contains(" udp ") && $0.contains(" ::1 ") })
      try await world.agents.setRemote(agent, answer, role: .client, isLite: true)
      #expect(await bench.waitConnected(peer))
      await world.agents.send(agent, rtp: [Sample.rtp(sequence: 1)])
      #expect(await bench.wait { $0.received(peer).rtp.count == 1 })
      #expect(await bench.selectedPair(peer)?.remote.hasPrefix("[::1]:") == true)
      await world.finish()
    }

    @Test func checksMayComeBeforeThePeersDescription() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let peer = try await bench.make(world.port)
      let agent = try await world.agents.make(world.agentCertificate, controlling: true)
      let offer = try await world.agents.gather(agent)
      try await world.agents.setRemote(agent, try await bench.gather(peer), role: .client, isLite: true)
      #expect(await bench.wait { $0.selectedPair(peer) != nil })
      // Its ClientHello waits for the fingerprint.
      _ = await bench.wait(.milliseconds(100)) { _ in false }
      let start = Instant.now()
      try await bench.setRemote(peer, offer, role: .server)
      #expect(await bench.waitConnected(peer))
      #expect(start.duration(to: .now()) < .seconds(1))
      await world.finish()
    }

    @Test func restartsOfEitherSideKeepMediaFlowing() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, agent) = try await world.connect()
      #expect(await bench.waitConnected(peer))
      #expect(await world.agents.waitConnected(agent))
      var sequence: UInt16 = 0
      func exchange() async throws {
        for _ in 0..<10 {
          await bench.send(peer, rtp: [Sample.rtp(sequence: sequence)])
          await world.agents.send(agent, rtp: [Sample.rtp(sequence: sequence, ssrc: 9)])
          sequence += 1
          try await Task.sleep(for: .milliseconds(5))
        }
      }
      try await exchange()
      // The browser's.
      let before = await bench.describe(peer)
      let offer = await world.agents.restartICE(agent)
      try await exchange()
      try await bench.setRemote(peer, offer, role: .server)
      let answer = await bench.describe(peer)
      #expect(answer.ufrag != before.ufrag)
      try await world.agents.setRemote(agent, answer, role: .client, isLite: true)
      try await exchange()
      // Ours.
      let ours = await bench.restartICE(peer)
      #expect(ours.ufrag != answer.ufrag)
      try await exchange()
      try await world.agents.setRemote(agent, ours, role: .client, isLite: true)
      try await bench.setRemote(peer, await world.agents.describe(agent), role: .server)
      try await exchange()
      let sent = Int(sequence)
      #expect(await bench.wait { $0.received(peer).rtp.count == sent })
      #expect(await world.agents.wait { $0.received(agent).rtp.count == sent })
      #expect(await bench.events[peer].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 1)
      await world.finish()
    }

    @Test func sameDescriptionAgainChangesNothing() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, agent) = try await world.connect()
      #expect(await bench.waitConnected(peer))
      let (ours, theirs) = (await bench.describe(peer), await world.agents.describe(agent))
      for _ in 0..<3 { try await bench.setRemote(peer, theirs, role: .server) }
      #expect(await bench.describe(peer) == ours)
      #expect(await bench.events[peer].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 1)
      await world.finish()
    }

    @Test func wrongFingerprintNeverDeliversMedia() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let peer = try await bench.make(world.port)
      let agent = try await world.agents.make(world.agentCertificate, controlling: true)
      var offer = try await world.agents.gather(agent)
      offer.fingerprint = world.certificate.fingerprint
      try await bench.setRemote(peer, offer, role: .server)
      try await world.agents.setRemote(agent, try await bench.gather(peer), role: .client, isLite: true)
      #expect(await bench.wait { $0.events[peer].contains { if case .failed = $0 { true } else { false } } })
      await world.agents.send(agent, rtp: (0..<10).map { Sample.rtp(sequence: UInt16($0)) })
      _ = await bench.wait(.milliseconds(200)) { $0.statistics(peer).rejected.early >= 10 }
      #expect(await bench.received(peer).rtp.isEmpty)
      await bench.send(peer, rtp: [Sample.rtp(sequence: 1)])
      #expect(await bench.statistics(peer).packetsNotSent == 1)
      await world.finish()
    }

    @Test func refusesAPeerThatIsLiteToo() async throws {
      let world = try PortWorld()
      let peer = try await world.benches[0].make(world.port)
      let agent = try await world.agents.make(world.agentCertificate, controlling: true)
      let offer = try await world.agents.gather(agent)
      await #expect(throws: TransportError.self) {
        try await world.benches[0].setRemote(peer, offer, role: .server, isLite: true)
      }
      await world.finish()
    }

    @Test func closingTellsThePeerAndForgetsIt() async throws {
      let world = try PortWorld(workers: 2)
      let bench = world.benches[1]
      let (peer, agent) = try await world.connect(lane: 1)
      #expect(await bench.waitConnected(peer))
      #expect(await world.agents.waitConnected(agent))
      await bench.close(peer)
      #expect(await world.agents.wait { $0.events[agent].contains(.failed(.closedByPeer)) })
      #expect(await bench.statistics(of: world.port).peers == 0)
      await world.finish()
    }

    @Test func thePeersGoodbyeIsHeard() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, agent) = try await world.connect()
      #expect(await bench.waitConnected(peer))
      #expect(await world.agents.waitConnected(agent))
      await world.agents.close(agent)
      #expect(await bench.wait { $0.events[peer].contains(.failed(.closedByPeer)) })
      await world.finish()
    }

    @Test func carriesDataChannels() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, agent) = try await world.connect()
      let ours = await bench.on { ChannelLog($0.transports[peer].openDataChannels()) }
      let theirs = await world.agents.on { ChannelLog($0.transports[agent].openDataChannels()) }
      await world.agents.on { _ in _ = theirs.channels.open(label: "chat") }
      #expect(await world.agents.wait { _ in theirs.opened.count == 1 })
      #expect(await bench.wait { _ in ours.opened.map(\.label) == ["chat"] })
      await world.agents.on { _ in _ = theirs.channels.send(theirs.opened[0].streamID, isBinary: true, [1, 2, 3]) }
      #expect(await bench.wait { _ in ours.messages.count == 1 })
      await world.finish()
    }

    // MARK: Set-up of the port

    @Test func aPortThatIsTakenIsNoticed() async throws {
      let world = try PortWorld(workers: 2)
      let other = MediaWorker(name: "other")
      let configuration = world.port.configuration
      #expect(throws: TransportError.self) { try SinglePort(workers: [other], configuration: configuration) }
      await world.finish()
      other.stop()
    }

    @Test func givesItsDescriptorsBack() async throws {
      _ = try await {
        let world = try PortWorld(workers: 2); await world.finish()
      }()
      let before = TestSocket.openDescriptors
      for _ in 0..<5 {
        let world = try PortWorld(workers: 2)
        let (peer, _) = try await world.connect(lane: 1)
        #expect(await world.benches[1].waitConnected(peer))
        await world.finish()
      }
      #expect(TestSocket.openDescriptors <= before)
    }
  }
}
