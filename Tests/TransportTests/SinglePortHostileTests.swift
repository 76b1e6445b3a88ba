import Core
import Testing
import TestSupport

@testable import Transport

extension LiveTests {
  /// What strangers, broken peers and moving peers do to the port.
  @Suite(.serialized, .timeLimit(.minutes(3)))
  struct SinglePortHostileTests {
    // MARK: Answers to checks

    @Test func aCheckIsAnsweredWithItsSource() async throws {
      let world = try PortWorld()
      let (_, browser) = try await world.synthetic()
      guard case .datagrams(let socket) = browser.way else { return }
      #expect(browser.check() == socket.address)
      await world.finish()
    }

    @Test func refusesChecksAsTheRFCSays() async throws {
      let world = try PortWorld()
      let (peer, browser) = try await world.synthetic()
      let cases: [([UInt8], Int)] = [
        (browser.makeCheck(withoutIntegrity: true), 400),
        (browser.makeCheck(password: "not the password of this"), 401),
        (browser.makeCheck(username: "AAAAAAAAAAAA:brow"), 401),
        (browser.makeCheck(username: "nobody"), 401),
        (browser.makeCheck(username: "\(browser.remote.ufrag):other"), 401),
        (browser.makeCheck(unknown: true), 420),
        (browser.makeCheck(controlled: true), 487),
      ]
      for (check, code) in cases {
        let before = browser.answers.count
        browser.send(check)
        #expect(browser.run(until: { $0.answers.count > before }))
        #expect(browser.answers.last?.code == code)
      }
      // None of them proved the path.
      #expect(await world.benches[0].selectedPair(peer) == nil)
      #expect(browser.check() != nil)
      await world.finish()
    }

    @Test func aDamagedFingerprintIsNotAnswered() async throws {
      let world = try PortWorld()
      let (_, browser) = try await world.synthetic()
      var check = browser.makeCheck()
      check[check.count - 1] ^= 1
      browser.send(check)
      #expect(!browser.run(200, until: { !$0.answers.isEmpty }))
      await world.finish()
    }

    @Test func strangersAreAnsweredABoundedNumberOfTimes() async throws {
      let world = try PortWorld()
      let (_, browser) = try await world.synthetic()
      for _ in 0..<1000 { browser.send(browser.makeCheck(password: "wrong")) }
      browser.run(500)
      #expect(browser.answers.count < 250)
      #expect(browser.answers.allSatisfy { $0.code == 401 })
      // A right check is answered all the same.
      #expect(browser.check() != nil)
      await world.finish()
    }

    // MARK: Early and spoofed packets

    @Test func mediaFromAnUnprovedAddressIsDropped() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, browser) = try await world.synthetic()
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      let packet = try #require(browser.protected(Sample.rtp(sequence: 1)))
      let stranger = try TestSocket()
      stranger.send(packet, to: world.server)
      #expect(await bench.wait { $0.statistics(of: world.port).unknownSource == 1 })
      #expect(await bench.received(peer).rtp.isEmpty)
      browser.send(packet)
      #expect(await bench.wait { $0.received(peer).rtp == [Sample.rtp(sequence: 1)] })
      // Recorded and sent again, from the right address too.
      browser.send(packet)
      #expect(await bench.wait { $0.statistics(peer).rejected.replayed == 1 })
      #expect(await bench.received(peer).rtp.count == 1)
      await world.finish()
    }

    @Test func dtlsIsAnsweredOnlyToProvedAddresses() async throws {
      let world = try PortWorld()
      let (_, browser) = try await world.synthetic()
      // No check before: an amplifier would answer a ClientHello with certificate and all.
      #expect(try !browser.shakeHands(400))
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      await world.finish()
    }

    @Test func dtlsIsTakenFromEveryProvedAddressBeforeNomination() async throws {
      let world = try PortWorld()
      let (peer, browser) = try await world.synthetic()
      #expect(browser.check(nominates: false) != nil)
      #expect(try browser.shakeHands())
      #expect(await world.benches[0].waitConnected(peer))
      await world.finish()
    }

    @Test func dtlsIsAnsweredOnThePathThatItCameOn() async throws {
      // A first path that works towards us only: the browser gets no answer there and goes on with the second.
      let world = try PortWorld()
      let (peer, browser) = try await world.synthetic()
      let deaf = try TestSocket()
      deaf.send(browser.makeCheck(nominates: false), to: world.server)
      #expect(await world.benches[0].wait { $0.selectedPair(peer)?.remote == deaf.address.description })
      #expect(browser.check(nominates: false) != nil)
      let start = Instant.now()
      #expect(try browser.shakeHands())
      #expect(start.duration(to: .now()) < .milliseconds(900))
      await world.finish()
    }

    @Test func aCopiedCheckFromAnotherAddressDoesNotTakeMediaAwayForLong() async throws {
      // Who sees a check can send it again from elsewhere: it is valid there. Nomination by the true peer wins it back.
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, browser) = try await world.synthetic()
      let check = browser.makeCheck()
      browser.send(check)
      #expect(await bench.wait { $0.selectedPair(peer) != nil })
      let thief = try TestSocket()
      _ = await bench.wait(.milliseconds(400)) { _ in false }
      thief.send(check, to: world.server)
      #expect(await bench.wait { $0.selectedPair(peer)?.remote == thief.address.description })
      _ = await bench.wait(.milliseconds(400)) { _ in false }
      guard case .datagrams(let socket) = browser.way else { return }
      #expect(browser.check() != nil)
      #expect(await bench.wait { $0.selectedPair(peer)?.remote == socket.address.description })
      await world.finish()
    }

    // MARK: Movement

    @Test func followsAPeerWhoseMappingChanged() async throws {
      let world = try PortWorld(workers: 2)
      for lane in 0..<2 {
        let bench = world.benches[lane]
        let (peer, browser) = try await world.synthetic(lane: lane)
        #expect(browser.check() != nil)
        #expect(try browser.shakeHands())
        #expect(await bench.waitConnected(peer))
        for round in 0..<6 as Range<UInt16> {
          // A NAT that rebinds: another port from one packet to the next.
          let moved = try TestSocket()
          browser.way = .datagrams(moved)
          _ = await bench.wait(.milliseconds(350)) { _ in false }
          browser.send(rtp: Sample.rtp(sequence: 10 * round))
          #expect(browser.check() == moved.address)
          #expect(await bench.wait { $0.selectedPair(peer)?.remote == moved.address.description })
          browser.send(rtp: Sample.rtp(sequence: 10 * round + 1))
          #expect(await bench.wait { $0.received(peer).rtp.last == Sample.rtp(sequence: 10 * round + 1) })
          await bench.send(peer, rtp: [Sample.rtp(sequence: round, ssrc: 5)])
          #expect(browser.run(until: { $0.rtp.last == Sample.rtp(sequence: round, ssrc: 5) }))
        }
        // One association throughout.
        #expect(await bench.events[peer].filter { $0 == .connected(profile: .aeadAES128GCM) }.count == 1)
      }
      await world.finish()
    }

    @Test func anotherPeerMayTakeOverAnAddress() async throws {
      // The same socket, a second session: a page that was loaded anew behind a NAT that kept the mapping.
      let world = try PortWorld(workers: 2)
      // Sockets whose datagrams arrive at the first's worker, at the second's, and both ways round.
      for round in 0..<8 {
        let (old, new) = round % 2 == 0 ? (0, 1) : (1, 0)
        let (first, browser) = try await world.synthetic(lane: old)
        #expect(browser.check() != nil)
        #expect(try browser.shakeHands())
        let (second, other) = try await world.synthetic(lane: new)
        other.way = browser.way
        #expect(other.check() != nil)
        #expect(try other.shakeHands())
        #expect(await world.benches[new].waitConnected(second))
        other.send(rtp: Sample.rtp(sequence: 1))
        #expect(await world.benches[new].wait { $0.received(second).rtp.count == 1 })
        #expect(await world.benches[old].received(first).rtp.isEmpty)
        await world.benches[old].close(first)
        _ = await world.benches[old].wait(.milliseconds(20)) { _ in false }
        other.send(rtp: Sample.rtp(sequence: 2))
        #expect(await world.benches[new].wait { $0.received(second).rtp.count == 2 })
      }
      await world.finish()
    }

    // MARK: Floods

    @Test func halfOpenHandshakesCostOnlyThemselves() async throws {
      let world = try PortWorld { $0.handshakeTimeout = .seconds(1) }
      let bench = world.benches[0]
      var halves: [(Int, SyntheticPeer)] = []
      for _ in 0..<50 {
        let (peer, browser) = try await world.synthetic()
        #expect(browser.check() != nil)
        // One ClientHello and never a word again.
        _ = try browser.shakeHands(1)
        halves.append((peer, browser))
      }
      let (peer, browser) = try await world.synthetic()
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      #expect(await bench.waitConnected(peer))
      for (half, _) in halves {
        #expect(await bench.wait { $0.events[half].contains(.failed(.handshakeTimeout(.seconds(1)))) })
      }
      await world.finish()
    }

    @Test(arguments: [1, 2] as [UInt64])
    func junkFromStrangersAndPeersDoesNotEndACall(seed: UInt64) async throws {
      let world = try PortWorld(workers: 2)
      let bench = world.benches[1]
      let (peer, browser) = try await world.synthetic(lane: 1)
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      var random = SeededRandom(seed: seed)
      let stranger = try TestSocket()
      let check = browser.makeCheck(password: "wrong")
      for round in 0..<6000 {
        let first = [0, 1, 20, 22, 23, 0x40, 0x80, 0x90, 0xFF].randomElement(using: &random)! as UInt8
        let length = Int.random(in: 0...300, using: &random)
        var bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
        if !bytes.isEmpty { bytes[0] = first }
        if bytes.count > 13, 20...23 ~= first {
          // A plausible DTLS record of epoch 0 or 1.
          bytes.replaceSubrange(1..<5, with: [0xFE, 0xFD, 0, UInt8.random(in: 0...1, using: &random)])
          bytes[11] = 0
          bytes[12] = UInt8(clamping: bytes.count - 13)
        }
        if round % 7 == 0 { bytes = check }
        if round % 11 == 0, bytes.count > 24 { bytes[Int.random(in: 20..<bytes.count, using: &random)] ^= 0xFF }
        if Bool.random(using: &random) { stranger.send(bytes, to: world.server) } else { browser.send(bytes) }
      }
      var isThere = false
      for _ in 0..<50 where !isThere {
        browser.send(rtp: Sample.rtp(sequence: 1))
        isThere = await bench.wait(.milliseconds(100)) { $0.received(peer).rtp.count >= 1 }
      }
      #expect(isThere)
      #expect(await bench.received(peer).rtp.allSatisfy { $0 == Sample.rtp(sequence: 1) })
      await world.finish()
    }

    @Test func twoHundredJoinAtOnce() async throws {
      // Spread over the workers; each must be there within the second that browsers wait before they send again.
      let world = try PortWorld(workers: 2)
      var joined: [(lane: Int, peer: Int, browser: SyntheticPeer)] = []
      for index in 0..<200 {
        let (peer, browser) = try await world.synthetic(lane: index % 2)
        joined.append((index % 2, peer, browser))
      }
      let start = Instant.now()
      for (_, _, browser) in joined { browser.send(browser.makeCheck()) }
      for (_, _, browser) in joined {
        #expect(browser.run(until: { !$0.answers.isEmpty }) || browser.check() != nil)
      }
      for (_, _, browser) in joined { #expect(try browser.shakeHands()) }
      for (lane, peer, _) in joined { #expect(await world.benches[lane].waitConnected(peer)) }
      // Both ends' work, in a debug build.
      #expect(start.duration(to: .now()) < .seconds(60))
      for (_, _, browser) in joined { browser.send(rtp: Sample.rtp(sequence: 3)) }
      for (lane, peer, _) in joined { #expect(await world.benches[lane].wait { $0.received(peer).rtp.count == 1 }) }
      await world.finish()
    }

    // MARK: ICE-TCP

    @Test func carriesAPeerOverTCP() async throws {
      let world = try PortWorld(workers: 2)
      var browsers: [SyntheticPeer] = []
      for round in 0..<8 as Range<UInt16> {
        // Whichever worker accepts, the connection ends up with its peer's.
        let lane = Int(round) % 2
        let bench = world.benches[lane]
        let (peer, browser) = try await world.synthetic(lane: lane, overTCP: true)
        browsers.append(browser)
        #expect(browser.check() != nil)
        #expect(try browser.shakeHands())
        #expect(await bench.waitConnected(peer))
        let packets = (0..<100).map { Sample.rtp(sequence: UInt16($0), payload: 1100) }
        for packet in packets { browser.send(rtp: packet) }
        #expect(await bench.wait { $0.received(peer).rtp.count == 100 })
        #expect(await bench.received(peer).rtp == packets)
        await bench.send(peer, rtp: packets)
        #expect(browser.run(until: { $0.rtp.count == 100 }))
        #expect(browser.rtp == packets)
        #expect(await bench.statistics(of: world.port).connections == 1 + Int(round) / 2)
      }
      await world.finish()
    }

    @Test func framesMayComeInAnyPieces() async throws {
      let world = try PortWorld()
      let (peer, browser) = try await world.synthetic(overTCP: true)
      guard case .stream(let stream) = browser.way else { return }
      let check = browser.makeCheck()
      let framed = [UInt8(check.count >> 8), UInt8(check.count & 255)] + check
      for byte in framed {
        stream.send([byte])
        if byte % 16 == 0 { try await Task.sleep(for: .milliseconds(1)) }
      }
      #expect(browser.run(until: { $0.answers.last?.code == 200 }))
      stream.send(framed + framed + framed.prefix(7))
      stream.send(Array(framed.dropFirst(7)))
      #expect(browser.run(until: { $0.answers.count == 4 }))
      #expect(await world.benches[0].selectedPair(peer) != nil)
      await world.finish()
    }

    @Test func aClosedConnectionDisconnectsAndAnotherReconnects() async throws {
      let world = try PortWorld()
      let bench = world.benches[0]
      let (peer, browser) = try await world.synthetic(overTCP: true)
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      browser.way = .datagrams(try TestSocket())
      #expect(await bench.wait { $0.events[peer].contains(.iceDisconnected) })
      #expect(browser.check() != nil)
      browser.send(rtp: Sample.rtp(sequence: 1))
      #expect(await bench.wait { $0.received(peer).rtp.count == 1 })
      #expect(await bench.statistics(of: world.port).connections == 0)
      await world.finish()
    }

    @Test func wrongFramesAndStrangersLoseTheirConnection() async throws {
      let world = try PortWorld()
      let huge = try TestStream(to: world.server)
      huge.send([0xFF, 0xFF, 1, 2, 3])
      #expect(huge.ends(2000))
      let web = try TestStream(to: world.server)
      web.send(Array("GET / HTTP/1.1\r\n\r\n".utf8))
      #expect(web.ends(2000))
      // Silent ones are closed after `proofLimit`; and one address may not hold many.
      var silent: [TestStream] = []
      for _ in 0..<(StreamTable.maximumUnprovedFromOneAddress + 8) { silent.append(try TestStream(to: world.server)) }
      #expect(await world.benches[0].wait { $0.statistics(of: world.port).connectionsRefused >= 10 })
      #expect(
        await world.benches[0].statistics(of: world.port).connections <= StreamTable.maximumUnprovedFromOneAddress)
      #expect(silent[0].ends(13_000))
      await world.finish()
    }

    @Test func aPeerThatDoesNotReadLosesPacketsAndNothingElse() async throws {
      let world = try PortWorld { $0.streamBacklog = 64 * 1024 }
      let bench = world.benches[0]
      let (peer, browser) = try await world.synthetic(overTCP: true)
      #expect(browser.check() != nil)
      #expect(try browser.shakeHands())
      #expect(await bench.waitConnected(peer))
      // The kernel's buffers take some megabytes before ours fills.
      for round in 0..<200 {
        await bench.send(peer, rtp: (0..<50).map { Sample.rtp(sequence: UInt16(round * 50 + $0), payload: 1100) })
      }
      #expect(await bench.statistics(peer).packetsNotSent > 0)
      // What arrives is whole, in order, and goes on.
      #expect(browser.run(5000, until: { $0.rtp.count > 1000 }))
      browser.run(300)
      await bench.send(peer, rtp: [Sample.rtp(sequence: 60_000)])
      #expect(browser.run(until: { $0.rtp.last == Sample.rtp(sequence: 60_000) }))
      await world.finish()
    }
  }
}
