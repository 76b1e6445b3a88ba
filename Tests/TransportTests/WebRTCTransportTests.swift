import Core
import Testing
import TestSupport

@testable import Transport

extension LiveTests {
  @Suite(.serialized, .timeLimit(.minutes(2)))
  struct WebRTCTransportTests {
    @Test(arguments: [SRTPProfile.aeadAES128GCM, .aeadAES256GCM, .aes128CMSHA1_80])
    func carriesRTPAndRTCPBothWays(profile: SRTPProfile) async throws {
      let pair = try Pair()
      try await pair.connect(profiles: [profile])
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      #expect(await pair.a.events[0].contains(.connected(profile: profile)))
      let forth = (0..<20).map { Sample.rtp(sequence: 65_530 &+ UInt16($0), payload: 20 + Int($0) % 3) }
      let back = (0..<20).map { Sample.rtp(sequence: UInt16($0), ssrc: 7) }
      await pair.a.send(0, rtp: forth)
      await pair.a.send(0, rtcp: Sample.rtcp())
      await pair.b.send(0, rtp: back)
      await pair.b.send(0, rtcp: Sample.rtcp(ssrc: 7))
      #expect(await pair.a.wait { $0.received(0).rtp.count == 20 && $0.received(0).rtcp.count == 1 })
      #expect(await pair.b.wait { $0.received(0).rtp.count == 20 && $0.received(0).rtcp.count == 1 })
      #expect(await pair.b.received(0).rtp == forth)
      #expect(await pair.a.received(0).rtp == back)
      #expect(await pair.b.received(0).rtcp == [Sample.rtcp()])
      #expect(await pair.a.statistics(0).packetsSent == 21)
      #expect(await pair.a.statistics(0).packetsNotSent == 0)
      // A handshake's datagram may come before the pair works; nothing else is refused.
      var rejected = await pair.b.statistics(0).rejected
      rejected.early = 0
      #expect(rejected == RejectedPackets())
      await pair.finish()
    }

    @Test func dtlsRolesMayBeSwapped() async throws {
      let pair = try Pair()
      try await pair.connect(role: .server)
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.b.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.a.wait { $0.received(0).rtp == [Sample.rtp(sequence: 1)] })
      await pair.finish()
    }

    @Test func thePeersDescriptionMayComeBeforeOurCandidates() async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: true)
      _ = try await pair.b.make(pair.certificateB, controlling: false)
      let offer = try await pair.a.gather(0)
      try await pair.b.setRemote(0, offer, role: .client)
      let answer = try await pair.b.gather(0)
      try await pair.a.setRemote(0, answer, role: .server)
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.finish()
    }

    @Test func takesTrickledCandidates() async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: true)
      _ = try await pair.b.make(pair.certificateB, controlling: false)
      var offer = try await pair.a.gather(0)
      var answer = try await pair.b.gather(0)
      let late = answer.candidates
      offer.candidates = []
      answer.candidates = []
      try await pair.b.setRemote(0, offer, role: .client)
      try await pair.a.setRemote(0, answer, role: .server)
      await pair.a.on { bench in for line in late { bench.transports[0].addRemoteCandidate("a=" + line) } }
      // b was told nothing: a's checks make its side peer-reflexive, as with a browser's mDNS names.
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.b.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.a.wait { $0.received(0).rtp.count == 1 })
      await pair.finish()
    }

    @Test func mediaBypassesLibnice() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      // The second socket is there on both sides and has libnice's port.
      let isSplit = await pair.a.on { bench in
        bench.transports[0].media?.socket.local.description == bench.transports[0].selectedPair?.local
      }
      #expect(isSplit)
      await pair.finish()
    }

    @Test func firstSharedProfileOfTheServerWins() async throws {
      let pair = try Pair()
      try await pair.connect(profiles: [.aeadAES256GCM, .aeadAES128GCM, .aes128CMSHA1_80])
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.a.events[0].contains(.connected(profile: .aeadAES256GCM)))
      await pair.finish()
    }

    @Test func connectsOverIPv6() async throws {
      let pair = try Pair()
      try await pair.connect(address: IPAddress("::1")!)
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.b.wait { $0.received(0).rtp.count == 1 })
      #expect(await pair.a.selectedPair(0)?.remote.hasPrefix("[::1]:") == true)
      await pair.finish()
    }

    @Test func connectsToAnICELitePeer() async throws {
      let pair = try Pair()
      try await pair.connect(iceLiteB: true)
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.b.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.a.wait { $0.received(0).rtp.count == 1 })
      await pair.finish()
    }

    @Test func wrongFingerprintNeverDeliversMedia() async throws {
      let pair = try Pair()
      let stranger = try DTLSCertificate.make()
      try await pair.connect { $0.fingerprint = stranger.fingerprint }
      // a knows b's true fingerprint and connects; b was told a false one of a.
      #expect(await pair.b.wait { bench in bench.events[0].contains { if case .failed = $0 { true } else { false } } })
      #expect(
        await pair.b.events[0].contains(
          .failed(
            .fingerprintMismatch(
              expected: "sha-256 \(stranger.fingerprint)", actual: "sha-256 \(pair.certificateA.fingerprint)"))))
      _ = await pair.a.waitConnected(0, .seconds(1))
      await pair.a.send(0, rtp: (0..<10).map { Sample.rtp(sequence: UInt16($0)) })
      _ = await pair.b.wait(.milliseconds(300)) { $0.statistics(0).rejected.early >= 10 }
      #expect(await pair.b.received(0).rtp.isEmpty)
      await pair.b.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.b.statistics(0).packetsNotSent == 1)
      await pair.finish()
    }

    @Test(arguments: ["sha-1", "md5", "SHA-224", ""])
    func refusesWeakFingerprints(algorithm: String) async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: false)
      var remote = try await pair.a.gather(0)
      remote.algorithm = algorithm
      await #expect(throws: TransportError.unsupportedFingerprint(algorithm)) {
        try await pair.a.setRemote(0, remote, role: .server)
      }
      await pair.finish()
    }

    @Test(arguments: [
      "", "AB", "zz:" + String(repeating: "00:", count: 30) + "00", String(repeating: "+1:", count: 31) + "+1",
    ])
    func refusesMalformedFingerprints(value: String) async throws {
      #expect(throws: TransportError.self) { try CertificateFingerprint(algorithm: "sha-256", value: value) }
    }

    @Test func acceptsLongerHashesForTheSameCertificate() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      let other = try await pair.a.on { bench in
        let session = try #require(bench.transports[0].association.dtls)
        return session.peerFingerprint(.sha512)?.bytes.count
      }
      #expect(other == 64)
      await pair.finish()
    }

    @Test func iceRestartKeepsMediaFlowing() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      let before = await pair.a.describe(0)
      var sequence: UInt16 = 0
      func exchange() async {
        for _ in 0..<5 {
          await pair.a.send(0, rtp: [Sample.rtp(sequence: sequence)])
          await pair.b.send(0, rtp: [Sample.rtp(sequence: sequence, ssrc: 9)])
          sequence += 1
        }
      }
      for round in 1...2 {
        await exchange()
        let offer = await pair.a.restartICE(0)
        #expect(offer.ufrag != before.ufrag)
        await exchange()
        let oldAnswer = await pair.b.describe(0)
        try await pair.b.setRemote(0, offer, role: .server)
        let answer = await pair.b.describe(0)
        #expect(answer.ufrag != oldAnswer.ufrag)
        await exchange()
        try await pair.a.setRemote(0, answer, role: .client)
        #expect(await pair.a.describe(0).ufrag == offer.ufrag)
        for _ in 0..<20 {
          await exchange()
          try await Task.sleep(for: .milliseconds(10))
        }
        let sent = Int(sequence)
        #expect(await pair.a.wait { $0.received(0).rtp.count == sent }, "round \(round)")
        #expect(await pair.b.wait { $0.received(0).rtp.count == sent }, "round \(round)")
      }
      // The same DTLS association throughout.
      #expect(await pair.a.events[0].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 1)
      #expect(!(await pair.a.events[0].contains(.consentLost)))
      await pair.finish()
    }

    @Test func sameDescriptionAgainChangesNothing() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.b.waitConnected(0))
      #expect(await pair.a.waitConnected(0))
      let (offer, answer) = (await pair.a.describe(0), await pair.b.describe(0))
      for _ in 0..<3 {
        try await pair.b.setRemote(0, offer, role: .server)
        try await pair.a.setRemote(0, answer, role: .client)
      }
      #expect(await pair.a.describe(0) == offer)
      #expect(await pair.b.describe(0) == answer)
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.b.wait { $0.received(0).rtp.count == 1 })
      #expect(await pair.b.events[0].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 1)
      await pair.finish()
    }

    @Test func newFingerprintStartsANewAssociation() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      // The peer behind b is replaced by one with another certificate, as after a transfer.
      let replacement = try DTLSCertificate.make()
      _ = try await pair.b.make(replacement, controlling: false)
      let answer = try await pair.b.gather(1)
      let offer = await pair.a.restartICE(0)
      try await pair.b.setRemote(1, offer, role: .server)
      try await pair.a.setRemote(0, answer, role: .client)
      #expect(await pair.b.waitConnected(1))
      _ = await pair.a.wait { $0.events[0].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 2 }
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.b.wait { $0.received(1).rtp.count == 1 })
      await pair.finish()
    }

    @Test func holdsEarlyDTLSUntilICEAndSDPAreThere() async throws {
      let pair = try Pair()
      try await pair.connect(role: .server)
      // b is the client and its ClientHello may come before a's pair is selected; a lost one would cost a flight timer.
      let start = Instant.now()
      #expect(await pair.a.waitConnected(0))
      #expect(start.duration(to: .now()) < .seconds(1))
      _ = try await pair.a.make(pair.certificateA, controlling: true)
      for _ in 0..<20 { await pair.a.inject(1, [22] + [UInt8](repeating: 0, count: 60)) }
      #expect(await pair.a.statistics(1).rejected.early == 20 - UInt64(SecureAssociation.maximumHeldDTLS))
      await pair.finish()
    }

    @Test func closingTellsThePeer() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.a.close(0)
      #expect(await pair.b.wait { $0.events[0].contains(.failed(.closedByPeer)) })
      await pair.finish()
    }

    @Test func noticesAPeerThatVanishes() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      // Without a word: neither close_notify nor answers to consent checks (RFC 7675 gives it 30 s).
      await pair.b.on { $0.transports[0].ice.close() }
      #expect(await pair.a.wait(.seconds(40)) { $0.events[0].contains(.consentLost) })
      #expect(await pair.a.selectedPair(0) == nil)
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.a.statistics(0).packetsNotSent == 1)
      await pair.finish()
    }

    @Test func countsReplayedAndDamagedMediaAndDeliversNone() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      // What a would have put on the wire.
      let wire = try await pair.a.on { bench in
        try (0..<3).map { sequence in try bench.transports[0].protectForTest(Sample.rtp(sequence: UInt16(sequence))) }
      }
      await pair.b.inject(0, wire[0])
      #expect(await pair.b.received(0).rtp == [Sample.rtp(sequence: 0)])
      await pair.b.inject(0, wire[0])
      #expect(await pair.b.statistics(0).rejected.replayed == 1)
      var damaged = wire[1]
      damaged[20] ^= 1
      await pair.b.inject(0, damaged)
      #expect(await pair.b.statistics(0).rejected.authentication == 1)
      let before = await pair.b.statistics(0).rejected.total
      for length in 0..<wire[1].count { await pair.b.inject(0, Array(wire[1].prefix(length))) }
      // An empty datagram and one of a single byte count too.
      #expect(await pair.b.statistics(0).rejected.total == before + UInt64(wire[1].count))
      await pair.b.inject(0, wire[1])
      #expect(await pair.b.received(0).rtp.count == 2)
      await pair.finish()
    }

    @Test func onePeerUsesABoundedNumberOfSources() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      let packets = (1...200).map { Sample.rtp(sequence: 1, ssrc: UInt32($0)) }
      let wire = try await pair.a.on { bench in try packets.map { try bench.transports[0].protectForTest($0) } }
      for packet in wire { await pair.b.inject(0, packet) }
      #expect(await pair.b.received(0).rtp.count == SRTPReceiver.maximumSources)
      #expect(await pair.b.statistics(0).rejected.foreign == 200 - UInt64(SRTPReceiver.maximumSources))
      await pair.finish()
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func randomDatagramsDoNotTrapOrEndTheCall(seed: UInt64) async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      let accepted = await pair.b.on { bench in
        var random = SeededRandom(seed: seed)
        for _ in 0..<3000 {
          let first = [0, 1, 22, 23, 21, 20, 0x40, 0x80, 0x90, 0xFF].randomElement(using: &random)! as UInt8
          let length = Int.random(in: 0...300, using: &random)
          var datagram = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
          if !datagram.isEmpty { datagram[0] = first }
          // A plausible DTLS record header now and then, so that OpenSSL looks inside.
          if datagram.count > 13, 20...23 ~= first {
            datagram[1] = 0xFE
            datagram[2] = 0xFD
            datagram[3] = 0
            datagram[4] = UInt8.random(in: 0...1, using: &random)
            datagram[11] = 0
            datagram[12] = UInt8(clamping: datagram.count - 13)
          }
          bench.inject(0, datagram)
        }
        return bench.received(0).rtp.count + bench.received(0).rtcp.count
      }
      #expect(accepted == 0)
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 1)])
      #expect(await pair.b.wait { $0.received(0).rtp.count == 1 })
      await pair.finish()
    }

    @Test(arguments: [4, 5] as [UInt64])
    func randomDatagramsOnTheWireDoNotTrap(seed: UInt64) async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: true)
      let offer = try await pair.a.gather(0)
      let port = try #require(offer.candidates.first?.split(separator: " ")[5]).description
      let target = try #require(SocketAddress("127.0.0.1:\(port)"))
      let stranger = try TestSocket()
      var random = SeededRandom(seed: seed)
      for _ in 0..<2000 {
        let length = Int.random(in: 0...200, using: &random)
        var datagram = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
        if length >= 20 {
          // STUN binding request or answer with the magic cookie.
          datagram.replaceSubrange(
            0..<8, with: [UInt8.random(in: 0...1, using: &random), 1, 0, UInt8(length - 20), 0x21, 0x12, 0xA4, 0x42])
        }
        stranger.send(datagram, to: target)
      }
      _ = try await pair.b.make(pair.certificateB, controlling: false)
      let answer = try await pair.b.gather(0)
      try await pair.b.setRemote(0, offer, role: .server)
      try await pair.a.setRemote(0, answer, role: .client)
      #expect(await pair.a.waitConnected(0))
      await pair.finish()
    }

    @Test func ignoresUnusableCandidates() async throws {
      let pair = try Pair()
      try await pair.connect()
      let junk = [
        "", "candidate:", "candidate:1 1 udp", "a=candidate:1 1 UDP 1 host.local 9 typ host",
        "candidate:1 2 UDP 1 127.0.0.1 9 typ host", "candidate:1 1 TCP 1 127.0.0.1 9 typ host tcptype active",
        "candidate:1 1 UDP 1 0.0.0.0 9 typ host", "candidate:1 1 UDP 1 224.0.0.1 9 typ host",
        "candidate:1 1 UDP 1 127.0.0.1 0 typ host", "candidate:1 1 UDP 99999999999999 127.0.0.1 9 typ host",
        "candidate:1 1 UDP 1 127.0.0.1 70000 typ host", String(repeating: "a", count: 5000),
        "candidate:1 1 UDP 1 127.0.0.1 9 typ nonsense", "candidate:1 1 UDP 1 127.0.0.1 9 typ host\0",
        "candidate:" + String(repeating: "f", count: 200) + " 1 UDP 1 127.0.0.1 9 typ host",
        "candidate:1 1 UDP 1 127.0.0.1 9 typ host raddr rport generation",
      ]
      await pair.a.on { bench in for line in junk { bench.transports[0].addRemoteCandidate(line) } }
      #expect(await pair.a.waitConnected(0))
      await pair.finish()
    }

    @Test(arguments: [
      ("", String(repeating: "p", count: 22)), ("ufrag", "short"), ("u\r\nx", String(repeating: "p", count: 22)),
    ])
    func refusesUnusableCredentials(ufrag: String, password: String) async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: false)
      var remote = try await pair.a.gather(0)
      remote.ufrag = ufrag
      remote.password = password
      let bad = remote
      await #expect(throws: TransportError.self) { try await pair.a.setRemote(0, bad, role: .server) }
      await pair.finish()
    }

    @Test func advertisesTheOutsideAddress() {
      let line = "candidate:1 1 UDP 2122317823 10.0.0.5 20000 typ host"
      let outside = IPAddress("198.51.100.7")!
      #expect(
        ICECandidateLine.advertising(outside, in: line) == "candidate:1 1 UDP 2122317823 198.51.100.7 20000 typ host")
      let reflexive = "candidate:2 1 UDP 1 203.0.113.1 20000 typ srflx raddr 10.0.0.5 rport 20000"
      #expect(ICECandidateLine.advertising(outside, in: reflexive) == reflexive)
      #expect(ICECandidateLine.advertising(IPAddress("2001:db8::1")!, in: line) == line)
    }

    @Test func saysSoWhenNoPairWorks() async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: true, iceTimeout: .milliseconds(300))
      var remote = try await pair.a.gather(0)
      remote.ufrag = "nobody"
      remote.candidates = ["candidate:1 1 UDP 2122317823 127.0.0.1 9 typ host"]
      try await pair.a.setRemote(0, remote, role: .client)
      #expect(
        await pair.a.wait { bench in bench.events[0].contains { if case .iceFailed = $0 { true } else { false } } })
      await pair.finish()
    }

    @Test func namesThePortsWhenNoneCanBeBound() async throws {
      let pair = try Pair()
      let blocker = try TestSocket()
      let thrown = await pair.a.on { bench -> String in
        do {
          let configuration = WebRTCTransport.Configuration(
            localAddresses: [Bench.loopback], ports: blocker.port...blocker.port, certificate: pair.certificateA)
          let transport = try WebRTCTransport(worker: bench.worker, configuration: configuration, controlling: true)
          defer { transport.close() }
          try transport.gather { _ in }
          return "nothing was thrown"
        } catch { return "\(error)" }
      }
      #expect(thrown.contains("media.ports \(blocker.port)-\(blocker.port)"), "\(thrown)")
      await pair.finish()
    }

    @Test func givesDescriptorsBackAfterAHundredTransports() async throws {
      let pair = try Pair()
      _ = try await pair.a.make(pair.certificateA, controlling: true)
      _ = try await pair.a.gather(0)
      await pair.a.closeAll()
      _ = await pair.a.wait { $0.worker.pendingCloses == 0 }
      let before = TestSocket.openDescriptors
      for _ in 0..<10 {
        for index in 0..<10 {
          _ = try await pair.a.make(pair.certificateA, controlling: true)
          _ = try await pair.a.gather(index)
        }
        await pair.a.closeAll()
      }
      #expect(await pair.a.wait { $0.worker.pendingCloses == 0 })
      // The kernel gives ports of this range to others as well, so a few may be there.
      #expect(TestSocket.bound(in: Bench.ports) < 50)
      // A descriptor kept by each of the hundred would show; what other suites have open differs by a few.
      #expect(TestSocket.openDescriptors < before + 50)
      await pair.finish()
    }

    @Test func maybeClosedFromInsideAPacket() async throws {
      let pair = try Pair()
      try await pair.connect()
      #expect(await pair.a.waitConnected(0))
      #expect(await pair.b.waitConnected(0))
      await pair.b.closeInsidePacket(0)
      await pair.a.send(0, rtp: (0..<5).map { Sample.rtp(sequence: UInt16($0)) })
      #expect(await pair.b.wait { ($0.closer?.calls ?? 0) > 0 })
      await pair.a.send(0, rtp: [Sample.rtp(sequence: 5)])
      #expect(await pair.b.on { $0.closer?.calls } == 1)
      await pair.finish()
    }
  }
}

extension WebRTCTransport {
  /// The packet as it would leave.
  func protectForTest(_ packet: [UInt8]) throws -> [UInt8] { try association.protectForTest(packet) }
}

extension SecureAssociation {
  func protectForTest(_ packet: [UInt8]) throws -> [UInt8] {
    var bytes = packet + [UInt8](repeating: 0, count: 20)
    let length = bytes.withUnsafeMutableBytes { raw in
      raw.baseAddress.flatMap { sender?.protect(rtp: $0, length: packet.count) }
    }
    return Array(bytes.prefix(try #require(length)))
  }
}
