import Core
import LiveKitProtocol
import SwiftProtobuf
import Testing

@Suite struct GzipTests {
  /// Python's zlib at level 9, over texts that need stored, fixed and dynamic blocks.
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let compressed: [UInt8]
    let text: [UInt8]
    var testDescription: String { name }
  }

  static let vectors: [Vector] = {
    let lines = String(decoding: (try? Vectors.bytes("gzip.tsv")) ?? [], as: UTF8.self).split(separator: "\n")
    return lines.compactMap { line in
      let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
      guard parts.count == 3, let compressed = Base64.decode(parts[1]), let text = Base64.decode(parts[2]) else {
        return nil
      }
      return Vector(name: String(parts[0]), compressed: compressed, text: text)
    }
  }()

  @Test(arguments: vectors) func decompresses(_ vector: Vector) throws {
    #expect(try Gzip.decompress(vector.compressed, limit: vector.text.count) == vector.text)
  }

  @Test(arguments: vectors.filter { !$0.text.isEmpty }) func staysBelowItsLimit(_ vector: Vector) {
    #expect(throws: Inflate.Failure.larger(limit: vector.text.count - 1)) {
      try Gzip.decompress(vector.compressed, limit: vector.text.count - 1)
    }
  }

  @Test func haveVectors() { #expect(Self.vectors.count >= 6) }

  @Test func readsTheJoinRequestOfTheVectors() throws {
    let vector = try #require(MessageTests.vectors.first { $0.name == "join-gzip" })
    let plain = try #require(MessageTests.vectors.first { $0.name == "join-plain" })
    let inner = try Gzip.decompress(
      Array(try Livekit_WrappedJoinRequest(serializedBytes: vector.binary).joinRequest), limit: 1 << 20)
    #expect(try inner == Array(Livekit_WrappedJoinRequest(serializedBytes: plain.binary).joinRequest))
  }

  @Test(arguments: vectors) func refusesEveryTruncation(_ vector: Vector) {
    for length in stride(from: 0, to: vector.compressed.count, by: max(1, vector.compressed.count / 40)) {
      #expect(throws: Inflate.Failure.self) {
        try Gzip.decompress(Array(vector.compressed[..<length]), limit: 1 << 20)
      }
    }
  }

  @Test(arguments: vectors) func noticesAChangedBit(_ vector: Vector) {
    var random = SeededRandom(seed: 7)
    for _ in 0..<40 {
      var bytes = vector.compressed
      // Behind the header, whose time and system are not covered by the checksum.
      let index = Int.random(in: 10..<bytes.count, using: &random)
      bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      if let result = try? Gzip.decompress(bytes, limit: 1 << 20) { #expect(result == vector.text) }
    }
  }

  @Test func survivesNoise() {
    var random = SeededRandom(seed: 11)
    for _ in 0..<3000 {
      let noise = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = try? Inflate.inflate(noise, limit: 10_000)
      _ = try? Gzip.decompress([0x1F, 0x8B, 8, noise.first ?? 0, 0, 0, 0, 0, 0, 0] + noise, limit: 10_000)
    }
  }
}
