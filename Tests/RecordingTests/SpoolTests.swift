import Core
import Glibc
import Testing

@testable import Recording

/// A directory that goes away with the test.
final class ScratchDirectory {
  let path: String
  init() {
    var random = SystemRandomNumberGenerator()
    path = "/tmp/parley-recording-" + RandomToken.hex(bytes: 8, using: &random)
    mkdir(path, 0o700)
  }
  deinit {
    if getenv("PARLEY_KEEP_FILES") != nil { return }
    if let listing = opendir(path) {
      while let entry = readdir(listing) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { unlink(path + "/" + name) }
      }
      closedir(listing)
    }
    rmdir(path)
  }
}

/// Waits until it is true, ten seconds at most.
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<1_000 {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(10))
  }
  return condition()
}

@Suite struct SpoolTests {
  let scratch = ScratchDirectory()
  let began = Instant(nanoseconds: 5_000_000_000)

  private func header() -> SpoolHeader {
    SpoolHeader(
      id: "r1", began: began, beganAt: WallTime(milliseconds: 1_700_000_000_000), attributes: ["call": "c1", "é": ""])
  }

  private func stream(_ name: String) -> SpoolStream {
    SpoolStream(
      name: name, media: .audio,
      codecs: [PayloadType(111): .init(name: "opus", clockRate: 48_000, channels: 2, parameters: "useinbandfec=1")],
      clock: "cname", attributes: ["leg": "1"])
  }

  private func tap(_ ring: SpoolRing, _ bytes: [UInt8], at milliseconds: Int64) {
    bytes.withUnsafeBytes { ring.tap(rtp: $0, arrival: began + .milliseconds(milliseconds)) }
  }

  private func records(_ path: String) throws -> (records: [SpoolRecord], reader: SpoolReader) {
    let reader = try SpoolReader(path: path)
    var all: [SpoolRecord] = []
    while let record = try reader.next() { all.append(record) }
    return (all, reader)
  }

  @Test func `what is tapped and noted is read again, in the order of each stream`() async throws {
    let writer = SpoolWriter()
    let spool = try writer.begin(header(), path: scratch.path + "/a.spool")
    let agent = try #require(spool.addStream(stream("agent"), at: began))
    let caller = try #require(spool.addStream(stream("caller"), at: began))
    for i in 0..<100 {
      tap(agent.ring, [UInt8](repeating: UInt8(i), count: 20 + i), at: Int64(i) * 20)
      tap(caller.ring, [UInt8](repeating: UInt8(200 - i), count: 172), at: Int64(i) * 20 + 7)
    }
    [UInt8](repeating: 9, count: 28).withUnsafeBytes { agent.ring.tap(rtcp: $0, arrival: began + .seconds(3)) }
    spool.note(.hold, stream: caller.id, at: began + .seconds(1))
    let summary = await spool.finish(reason: "hung up", at: began + .seconds(4))
    writer.stop()
    #expect(summary.packets == 200)
    #expect(summary.failure == nil)

    let (all, reader) = try records(summary.path)
    #expect(reader.header == header())
    #expect(reader.endReason == "hung up")
    #expect(reader.bytesIgnored == 0)
    #expect(reader.streams[agent.id]?.codecs == stream("agent").codecs)
    #expect(reader.streams[caller.id]?.name == "caller")
    let packets = all.filter { $0.stream == agent.id }.compactMap {
      if case .rtp(let bytes) = $0.content { ($0.time, bytes) } else { nil }
    }
    #expect(packets.count == 100)
    for (i, packet) in packets.enumerated() {
      #expect(packet.0 == began + .milliseconds(Int64(i) * 20))
      #expect(packet.1 == [UInt8](repeating: UInt8(i), count: 20 + i))
    }
    #expect(all.contains { $0.content == .rtcp([UInt8](repeating: 9, count: 28)) })
    #expect(all.contains { $0.content == .event(.hold) && $0.stream == caller.id })
    #expect(summary.bytes == reader.size)
  }

  @Test func `a full ring drops, counts, and says so in the file`() async throws {
    let ring = SpoolRing(capacity: 16 * 1024)
    // 64 bytes an entry.
    for i in 0..<300 { tap(ring, [UInt8](repeating: 1, count: 48), at: Int64(i)) }
    #expect(ring.packetsDropped == 300 - 256)
    var kinds: [SpoolRing.Kind] = []
    ring.drain { kind, _, _ in kinds.append(kind) }
    #expect(kinds == [SpoolRing.Kind](repeating: .rtp, count: 256))
    tap(ring, [2], at: 400)
    var gap: (count: UInt32, since: Int64, until: Int64)?
    ring.drain { kind, time, body in
      if kind == .gap {
        gap = (
          body.loadUnaligned(as: UInt32.self), body.loadUnaligned(fromByteOffset: 8, as: Int64.self), time.nanoseconds
        )
      }
    }
    #expect(gap?.count == 44)
    #expect(gap?.since == (began + .milliseconds(256)).nanoseconds)
    #expect(gap?.until == (began + .milliseconds(400)).nanoseconds)
  }

  @Test func `packets that wrap round the ring come out whole`() {
    let ring = SpoolRing(capacity: 16 * 1024)
    var random = SeededRandom(seed: 7)
    var expected: [[UInt8]] = []
    var found: [[UInt8]] = []
    for i in 0..<5_000 {
      let packet = (0..<Int.random(in: 0...1_500, using: &random)).map { UInt8(truncatingIfNeeded: $0 &* i) }
      expected.append(packet)
      tap(ring, packet, at: Int64(i))
      if i % 7 == 0 { ring.drain { _, _, body in found.append(Array(body)) } }
    }
    ring.drain { _, _, body in found.append(Array(body)) }
    #expect(ring.packetsDropped == 0)
    #expect(found == expected)
  }

  @Test func `packets tapped on one thread arrive whole on another`() {
    let ring = SpoolRing(capacity: 16 * 1024)
    let producer = SlowThread()
    producer.start(name: "tap") {
      for i in 0..<20_000 {
        let packet = [UInt8](repeating: UInt8(truncatingIfNeeded: i), count: 1 + i % 200)
        packet.withUnsafeBytes { ring.tap(rtp: $0, arrival: Instant(nanoseconds: Int64(i))) }
        if i % 50 == 0 { usleep(50) }
      }
    }
    var got = 0
    var gaps = 0
    var isRight = true
    var last = -1
    while last < 19_999, gaps + got < 20_000 || last < 0 {
      ring.drain { kind, time, body in
        let i = Int(time.nanoseconds)
        if kind == .gap {
          gaps += Int(body.loadUnaligned(as: UInt32.self))
        } else {
          got += 1
          isRight = isRight && body.count == 1 + i % 200 && body.allSatisfy { $0 == UInt8(truncatingIfNeeded: i) }
          isRight = isRight && i > last
          last = i
        }
      }
      if got + ring.packetsDropped >= 20_000 { break }
    }
    producer.join()
    ring.drain { _, _, _ in got += 1 }
    #expect(isRight)
    #expect(got + ring.packetsDropped >= 20_000)
  }

  @Test func `a file cut anywhere is readable up to its last whole record`() async throws {
    let writer = SpoolWriter()
    let spool = try writer.begin(header(), path: scratch.path + "/a.spool")
    let agent = try #require(spool.addStream(stream("agent"), at: began))
    for i in 0..<20 { tap(agent.ring, [UInt8](repeating: UInt8(i), count: 40), at: Int64(i)) }
    let summary = await spool.finish(reason: "", at: began)
    writer.stop()
    let (whole, reader) = try records(summary.path)
    let size = reader.size
    for cut in stride(from: size - 1, to: size - 700, by: -1) {
      let path = scratch.path + "/cut.spool"
      try copy(summary.path, to: path, bytes: cut)
      let (some, cutReader) = try records(path)
      #expect(whole.starts(with: some))
      #expect(cutReader.position + cutReader.bytesIgnored == cut)
      #expect(cutReader.endReason == nil)
      // Never more than the record that was cut is lost.
      #expect(cutReader.bytesIgnored < 20 + 40)
    }
  }

  @Test func `a damaged record ends the reading and nothing is made up`() async throws {
    let writer = SpoolWriter()
    let spool = try writer.begin(header(), path: scratch.path + "/a.spool")
    let agent = try #require(spool.addStream(stream("agent"), at: began))
    for i in 0..<20 { tap(agent.ring, [UInt8](repeating: UInt8(i), count: 40), at: Int64(i)) }
    let summary = await spool.finish(reason: "", at: began)
    writer.stop()
    let (whole, _) = try records(summary.path)
    var random = SeededRandom(seed: 3)
    for _ in 0..<200 {
      let path = scratch.path + "/bad.spool"
      try copy(summary.path, to: path, bytes: summary.bytes)
      let at = Int.random(in: 0..<summary.bytes, using: &random)
      try flip(path, at: at)
      do {
        let (some, _) = try records(path)
        #expect(whole.starts(with: some))
        #expect(some.count < whole.count)
      } catch let error as RecordingError {
        guard case .notASpool = error else {
          Issue.record("\(error)")
          return
        }
      }
    }
  }

  @Test func `while paused nothing is recorded, and both ends are marked`() async throws {
    let writer = SpoolWriter()
    let spool = try writer.begin(header(), path: scratch.path + "/a.spool")
    let agent = try #require(spool.addStream(stream("agent"), at: began))
    tap(agent.ring, [1], at: 0)
    #expect(spool.pause(at: began + .milliseconds(10)))
    #expect(!spool.pause(at: began + .milliseconds(11)))
    tap(agent.ring, [2], at: 20)
    let late = try #require(spool.addStream(stream("caller"), at: began + .milliseconds(25)))
    tap(late.ring, [3], at: 30)
    #expect(spool.resume(at: began + .milliseconds(40)))
    tap(late.ring, [4], at: 50)
    let summary = await spool.finish(reason: "", at: began)
    writer.stop()
    let (all, _) = try records(summary.path)
    let packets = all.compactMap { if case .rtp(let bytes) = $0.content { bytes } else { nil } }
    #expect(packets == [[1], [4]])
    let events = all.compactMap { if case .event(let event) = $0.content { event } else { nil } }
    #expect(events == [.pause, .resume])
    #expect(summary.packetsDropped == 0)
  }

  @Test func `what was tapped is in the file soon, without any end`() async throws {
    let writer = SpoolWriter()
    let spool = try writer.begin(header(), path: scratch.path + "/a.spool")
    let agent = try #require(spool.addStream(stream("agent"), at: began))
    tap(agent.ring, [7, 7], at: 0)
    let path = spool.path
    #expect(await eventually { (try? records(path).records.contains { $0.content == .rtp([7, 7]) }) == true })
    writer.stop()
    #expect(try records(path).reader.endReason == "the server stopped")
  }

  @Test func `a disk with less than the minimum left ends the recording, and the file stays readable`() async throws {
    var configuration = SpoolWriter.Configuration()
    configuration.syncInterval = .milliseconds(10)
    let writer = SpoolWriter(configuration: configuration)
    defer { writer.stop() }
    // No disk has so much room.
    configuration.minimumFree = 1 << 62
    let poor = SpoolWriter(configuration: configuration)
    defer { poor.stop() }
    do {
      _ = try poor.begin(header(), path: scratch.path + "/b.spool")
      Issue.record("it began")
    } catch let error {
      #expect(error.isDiskFull)
      #expect(access(scratch.path + "/b.spool", F_OK) != 0)
    }
  }

  @Test func `a path that cannot be made is told at once`() {
    let writer = SpoolWriter()
    defer { writer.stop() }
    #expect(throws: RecordingError.self) { try writer.begin(header(), path: scratch.path + "/none/a.spool") }
  }
}

private func copy(_ from: String, to: String, bytes: Int) throws {
  let source = try #require(fopen(from, "rb"))
  let target = try #require(fopen(to, "wb"))
  var memory = [UInt8](repeating: 0, count: bytes)
  let count = fread(&memory, 1, bytes, source)
  fwrite(memory, 1, count, target)
  fclose(source)
  fclose(target)
}

private func flip(_ path: String, at offset: Int) throws {
  let file = try #require(fopen(path, "r+b"))
  fseek(file, offset, SEEK_SET)
  let value = fgetc(file)
  fseek(file, offset, SEEK_SET)
  fputc(value ^ 0x10, file)
  fclose(file)
}
