import Core
import Foundation
import Testing
import TestSupport

@testable import Transport

struct SRTPTests {
  /// A file of `Tests/Vectors/srtp` as its named numbers.
  static func vector(_ name: String) throws -> [String: [UInt8]] {
    let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: directory.appendingPathComponent("Vectors/srtp/\(name).txt"), encoding: .utf8)
    var values: [String: [UInt8]] = [:]
    var last = ""
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      var words = line.split(separator: " ").map(String.init)
      if !line.hasPrefix(" ") { last = words.removeFirst() }
      values[last, default: []] += try #require(Hex.decode(words.joined()))
    }
    return values
  }

  static func protect(_ sender: inout SRTPSender, rtp packet: [UInt8]) -> [UInt8]? {
    var bytes = packet + [UInt8](repeating: 0xEE, count: 20)
    let length = bytes.withUnsafeMutableBytes { raw in
      raw.baseAddress.flatMap { sender.protect(rtp: $0, length: packet.count) }
    }
    return length.map { Array(bytes.prefix($0)) }
  }

  static func protect(_ sender: inout SRTPSender, rtcp packet: [UInt8]) -> [UInt8]? {
    var bytes = packet + [UInt8](repeating: 0xEE, count: 20)
    let length = bytes.withUnsafeMutableBytes { raw in
      raw.baseAddress.flatMap { sender.protect(rtcp: $0, length: packet.count) }
    }
    return length.map { Array(bytes.prefix($0)) }
  }

  static func master(_ profile: SRTPProfile, seed: UInt64) -> SRTPMasterKey {
    var random = SeededRandom(seed: seed)
    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
    return SRTPMasterKey(key: bytes(profile.keyLength), salt: bytes(profile.saltLength))
  }

  // MARK: Published vectors

  @Test func derivesTheKeysOfRFC3711() throws {
    let vector = try Self.vector("rfc3711-b3")
    let master = SRTPMasterKey(key: try #require(vector["master-key"]), salt: try #require(vector["master-salt"]))
    let keys = try SRTPSessionKeys(.rtp, profile: .aes128CMSHA1_80, master: master)
    #expect(keys.cipherKey == vector["cipher-key"])
    #expect(keys.salt == vector["cipher-salt"])
    let long = try #require(vector["auth-key"])
    #expect(long.count == 94)
    #expect(keys.authenticationKey == Array(long.prefix(20)))
    #expect(try SRTPSessionKeys.derive(1, 94, master) == long)
  }

  @Test func countsTheKeyStreamOfRFC3711() throws {
    let vector = try Self.vector("rfc3711-b2")
    let keys = SRTPSessionKeys(
      cipherKey: try #require(vector["key"]), salt: try #require(vector["salt"]),
      authenticationKey: [UInt8](repeating: 0, count: 20))
    var sender = try SRTPSender(profile: .aes128CMSHA1_80, rtp: keys, rtcp: keys)
    let stream = try #require(vector["stream"])
    // Zeros under SSRC 0 and index 0 come out as the key stream.
    let packet = Sample.rtp(sequence: 0, ssrc: 0, payload: 0) + [UInt8](repeating: 0, count: stream.count)
    let protected = try #require(Self.protect(&sender, rtp: packet))
    #expect(Array(protected[12..<(12 + stream.count)]) == stream)
  }

  @Test(arguments: [("rfc7714-16.1.1", SRTPProfile.aeadAES128GCM), ("rfc7714-16.2.1", .aeadAES256GCM)])
  func sealsThePacketsOfRFC7714(file: String, profile: SRTPProfile) throws {
    let vector = try Self.vector(file)
    let keys = SRTPSessionKeys(cipherKey: try #require(vector["key"]), salt: try #require(vector["salt"]))
    var sender = try SRTPSender(profile: profile, rtp: keys, rtcp: keys)
    #expect(Self.protect(&sender, rtp: try #require(vector["plain"])) == vector["protected"])
  }

  @Test func sealsTheControlPacketOfRFC7714() throws {
    let vector = try Self.vector("rfc7714-17.1")
    let keys = SRTPSessionKeys(cipherKey: try #require(vector["key"]), salt: try #require(vector["salt"]))
    let plain = try #require(vector["plain"])
    let index = try #require(vector["index"]).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let cipher = try SRTPCipher(profile: .aeadAES128GCM, keys: keys)
    var bytes = plain + [UInt8](repeating: 0, count: 20)
    let length = bytes.withUnsafeMutableBytes { raw in
      cipher.protect(rtcp: raw.baseAddress!, length: plain.count, ssrc: 0x4D61_7273, index: index)
    }
    #expect(length.map { Array(bytes.prefix($0)) } == vector["protected"])
  }

  // MARK: Against libsrtp2

  @Test(arguments: SRTPProfile.allCases, [1, 2] as [UInt64])
  func equalsLibsrtpByteForByte(profile: SRTPProfile, seed: UInt64) throws {
    let master = Self.master(profile, seed: seed)
    var ours = try SRTPSender(profile: profile, master: master)
    let theirs = try SRTPSession(profile: profile, master: master, direction: .outbound)
    var random = SeededRandom(seed: seed)
    var sequence: [UInt16] = [65_000, 100]
    for round in 0..<5_000 {
      let stream = Int.random(in: 0...1, using: &random)
      // Gaps, and now and then an old packet again, on both sides of the wrap.
      if Int.random(in: 0..<10, using: &random) > 0 { sequence[stream] &+= UInt16.random(in: 1...40, using: &random) }
      let back = Int.random(in: 0..<20, using: &random) == 0 ? UInt16.random(in: 0...200, using: &random) : 0
      guard round > 200 || back == 0 else { continue }
      var packet = Sample.rtp(
        sequence: sequence[stream] &- back, ssrc: UInt32(stream + 1), timestamp: UInt32(round), payload: 0)
      let sources = Int.random(in: 0...3, using: &random)
      packet[0] |= UInt8(sources)
      packet += [UInt8](repeating: 9, count: 4 * sources)
      if Bool.random(using: &random) {
        packet[0] |= 0x10
        let words = Int.random(in: 0...4, using: &random)
        packet += [0xBE, 0xDE, 0, UInt8(words)] + [UInt8](repeating: 7, count: 4 * words)
      }
      packet += (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      var copy = packet + [UInt8](repeating: 0, count: 20)
      let result = copy.withUnsafeMutableBytes { theirs.protect(rtp: $0.baseAddress!, length: packet.count) }
      let mine = Self.protect(&ours, rtp: packet)
      guard case .done(let length) = result else {
        Issue.record("libsrtp2 refused packet \(round): \(result)")
        return
      }
      try #require(mine == Array(copy.prefix(length)), "packet \(round)")
      if round % 10 == 0 {
        let report =
          Sample.rtcp(ssrc: UInt32(stream + 1)) + [UInt8](repeating: UInt8(round & 255), count: 4 * (round % 7))
        var copy = report + [UInt8](repeating: 0, count: 20)
        let result = copy.withUnsafeMutableBytes { theirs.protect(rtcp: $0.baseAddress!, length: report.count) }
        guard case .done(let length) = result else {
          Issue.record("libsrtp2 refused report \(round): \(result)")
          return
        }
        try #require(Self.protect(&ours, rtcp: report) == Array(copy.prefix(length)), "report \(round)")
      }
    }
  }

  @Test(arguments: SRTPProfile.allCases)
  func receiverTakesWhatTheSenderMade(profile: SRTPProfile) throws {
    let master = Self.master(profile, seed: 3)
    var sender = try SRTPSender(profile: profile, master: master)
    var receiver = try SRTPReceiver(profile: profile, master: master)
    for step in 0..<8_000 {
      let packet = Sample.rtp(sequence: UInt16(truncatingIfNeeded: 60_000 + step), payload: 20)
      var wire = try #require(Self.protect(&sender, rtp: packet))
      let result = wire.withUnsafeMutableBytes { receiver.unprotect(rtp: $0) }
      try #require(result == .done(packet.count))
      try #require(Array(wire.prefix(packet.count)) == packet)
    }
    var wire = try #require(Self.protect(&sender, rtcp: Sample.rtcp()))
    #expect(wire.withUnsafeMutableBytes { receiver.unprotect(rtcp: $0) } == .done(8))
    wire = try #require(Self.protect(&sender, rtcp: Sample.rtcp()))
    wire[wire.count - 1] ^= 1
    #expect(wire.withUnsafeMutableBytes { receiver.unprotect(rtcp: $0) } == .authenticationFailed)
  }

  @Test(arguments: SRTPProfile.allCases, [1, 2, 3] as [UInt64])
  func judgesAndDecryptsAsLibsrtpDoes(profile: SRTPProfile, seed: UInt64) throws {
    let master = Self.master(profile, seed: seed)
    let sender = try SRTPSession(profile: profile, master: master, direction: .outbound)
    let theirs = try SRTPSession(profile: profile, master: master, direction: .inbound)
    var ours = try SRTPReceiver(profile: profile, master: master)
    var random = SeededRandom(seed: seed)
    var sequence: [UInt16] = [65_000, 30_000, 5]
    var kept: [(bytes: [UInt8], isRTCP: Bool)] = []
    var outcomes: [String: Int] = [:]

    func compare(_ wire: [UInt8], isRTCP: Bool, isDamaged: Bool, _ step: Int) throws {
      var mine = wire
      var other = wire
      let result = mine.withUnsafeMutableBytes { isRTCP ? ours.unprotect(rtcp: $0) : ours.unprotect(rtp: $0) }
      let judged = other.withUnsafeMutableBytes { raw -> SRTPResult in
        guard let base = raw.baseAddress else { return .malformed }
        return isRTCP
          ? theirs.unprotect(rtcp: base, length: raw.count) : theirs.unprotect(rtp: base, length: raw.count)
      }
      outcomes["\(judged)".prefix(4).description, default: 0] += 1
      if case .done(let length) = judged {
        try #require(result == judged, "step \(step): \(String(describing: result)) instead of \(judged)")
        try #require(mine.prefix(length) == other.prefix(length), "step \(step)")
      } else if isDamaged {
        // Which check finds the damage first may differ; that it is found may not.
        if case .done = result { Issue.record("step \(step): taken, libsrtp2 says \(judged)") }
      } else {
        try #require(result == judged, "step \(step): \(String(describing: result)) instead of \(judged)")
      }
    }

    for step in 0..<6_000 {
      let stream = Int.random(in: 0..<3, using: &random)
      // Mostly the next packet; at times a long gap, beyond the window too.
      sequence[stream] &+= Int.random(in: 0..<40, using: &random) == 0 ? .random(in: 500...3_000, using: &random) : 1
      var packet = Sample.rtp(sequence: sequence[stream], ssrc: UInt32(stream + 1), timestamp: UInt32(step), payload: 0)
      if Bool.random(using: &random) {
        packet[0] |= 0x10
        packet += [0xBE, 0xDE, 0, 1, 1, 2, 3, 4]
      }
      packet += (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      let isRTCP = step % 9 == 0
      if isRTCP { packet = Sample.rtcp(ssrc: UInt32(stream + 1)) + [UInt8](repeating: 1, count: 4 * (step % 5)) }
      var wire = packet + [UInt8](repeating: 0, count: 20)
      let made = wire.withUnsafeMutableBytes {
        isRTCP
          ? sender.protect(rtcp: $0.baseAddress!, length: packet.count)
          : sender.protect(rtp: $0.baseAddress!, length: packet.count)
      }
      guard case .done(let length) = made else { continue }
      kept.append((Array(wire.prefix(length)), isRTCP))
      // Lost, late, early, again, damaged, cut.
      switch Int.random(in: 0..<12, using: &random) {
      case 0: break
      case 1, 2:
        let index = max(
          0, kept.count - 1 - Int.random(in: 0...(Bool.random(using: &random) ? 40 : 2500), using: &random))
        try compare(kept[index].bytes, isRTCP: kept[index].isRTCP, isDamaged: false, step)
      case 3:
        var damaged = kept[kept.count - 1]
        damaged.bytes[Int.random(in: 8..<damaged.bytes.count, using: &random)] ^=
          1 << UInt8.random(in: 0...7, using: &random)
        try compare(damaged.bytes, isRTCP: damaged.isRTCP, isDamaged: true, step)
        try compare(kept[kept.count - 1].bytes, isRTCP: isRTCP, isDamaged: false, step)
      case 4:
        let last = kept[kept.count - 1]
        // libsrtp2 itself must not be given less than a header.
        let cut = Int.random(in: 20..<max(21, last.bytes.count), using: &random)
        if last.bytes[0] & 0x10 == 0, cut < last.bytes.count {
          try compare(Array(last.bytes.prefix(cut)), isRTCP: isRTCP, isDamaged: true, step)
        }
      default: try compare(kept[kept.count - 1].bytes, isRTCP: isRTCP, isDamaged: false, step)
      }
    }
    #expect(outcomes["done", default: 0] > 3_000)
    #expect(outcomes["repl", default: 0] > 200)
    #expect(outcomes["auth", default: 0] > 100)
  }

  @Test(arguments: [("rfc7714-16.1.1", SRTPProfile.aeadAES128GCM), ("rfc7714-16.2.1", .aeadAES256GCM)])
  func opensThePacketsOfRFC7714(file: String, profile: SRTPProfile) throws {
    let vector = try Self.vector(file)
    let keys = SRTPSessionKeys(cipherKey: try #require(vector["key"]), salt: try #require(vector["salt"]))
    var receiver = try SRTPReceiver(profile: profile, rtp: keys, rtcp: keys)
    var wire = try #require(vector["protected"])
    let plain = try #require(vector["plain"])
    #expect(wire.withUnsafeMutableBytes { receiver.unprotect(rtp: $0) } == .done(plain.count))
    #expect(Array(wire.prefix(plain.count)) == plain)
  }

  @Test func refusesControlPacketsThatSayTheyAreNotEncrypted() throws {
    // An authenticated packet with the E flag clear: only a peer that holds the keys can make one, and none should.
    let master = Self.master(.aes128CMSHA1_80, seed: 8)
    var receiver = try SRTPReceiver(profile: .aes128CMSHA1_80, master: master)
    var wire = Sample.rtcp() + [0, 0, 0, 1] + [UInt8](repeating: 0, count: 10)
    #expect(wire.withUnsafeMutableBytes { receiver.unprotect(rtcp: $0) } == .malformed)
  }

  @Test func theWindowTakesEachPacketOnce() {
    var window = ReplayWindow()
    #expect(window.accepts(70_000))
    window.take(70_000)
    #expect(!window.accepts(70_000))
    #expect(window.accepts(70_000 - 1023))
    #expect(!window.accepts(70_000 - 1024))
    window.take(70_010)
    for index in 70_001..<70_010 as Range<UInt64> { #expect(window.accepts(index)) }
    // A jump of more than the window forgets everything in it.
    window.take(90_000)
    for index in (90_000 - 1023)..<90_000 as Range<UInt64> { #expect(window.accepts(index)) }
    // A late packet does not move the window back.
    window.take(89_000)
    #expect(!window.accepts(90_000))
    #expect(!window.accepts(89_000))
    #expect(window.accepts(90_001))
  }

  @Test func theControlWindowTakesEachPacketOnce() {
    var window = ControlReplayWindow()
    for index in [1, 2, 500, 499, 373] as [UInt32] {
      #expect(window.accepts(index))
      window.take(index)
      #expect(!window.accepts(index))
    }
    #expect(!window.accepts(372))
    #expect(window.accepts(501))
    window.take(0x7FFF_FFFF)
    #expect(!window.accepts(500))
  }

  @Test(arguments: SRTPProfile.allCases)
  func junkIsNeverTakenForMedia(profile: SRTPProfile) throws {
    var receiver = try SRTPReceiver(profile: profile, master: Self.master(profile, seed: 4))
    var random = SeededRandom(seed: 5)
    for _ in 0..<5_000 {
      let length = Int.random(in: 0...120, using: &random)
      var packet = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
      if length > 0 { packet[0] = 0x80 | (packet[0] & 0x3F) }
      let isRTCP = Bool.random(using: &random)
      let result = packet.withUnsafeMutableBytes {
        isRTCP ? receiver.unprotect(rtcp: $0) : receiver.unprotect(rtp: $0)
      }
      switch result {
      case .authenticationFailed, .malformed, .replayed: break
      case .done, nil: Issue.record("junk gave \(String(describing: result))")
      }
    }
  }

  @Test func refusesWhatIsNoRTPPacket() throws {
    var sender = try SRTPSender(profile: .aeadAES128GCM, master: Self.master(.aeadAES128GCM, seed: 6))
    #expect(Self.protect(&sender, rtp: [0x80]) == nil)
    #expect(Self.protect(&sender, rtp: [0x8F] + [UInt8](repeating: 0, count: 30)) == nil)
    #expect(Self.protect(&sender, rtp: [0x90] + [UInt8](repeating: 0xFF, count: 30)) == nil)
    #expect(Self.protect(&sender, rtcp: [0x80, 200, 0]) == nil)
  }

  @Test func rollOverCounterFollowsTheNearestIndex() {
    var counter = RollOverCounter()
    #expect(counter.advance(to: 65_534) == 0)
    #expect(counter.advance(to: 1) == 1)
    #expect(counter.advance(to: 65_535) == 0)
    #expect(counter.advance(to: 2) == 1)
    for cycle in 1...3 as ClosedRange<UInt32> {
      #expect(counter.advance(to: 30_000) == cycle)
      #expect(counter.advance(to: 60_000) == cycle)
      #expect(counter.advance(to: 5) == cycle + 1)
      #expect(counter.advance(to: 60_001) == cycle)
    }
  }
}
