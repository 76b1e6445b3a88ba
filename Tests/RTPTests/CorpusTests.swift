import Foundation
import Testing

/// Everything that the fuzzer found worth keeping, its crashes included, through the same functions as there.
@Suite struct CorpusTests {
  private func inputs(_ name: String) throws -> [[UInt8]] {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let directory = tests.appendingPathComponent("Fuzz/Corpus/\(name)")
    let files = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
    return try files.map { Array(try Data(contentsOf: $0)) }
  }

  @Test func everyPacketAndScriptOfTheFuzzerIsTakenWithoutATrap() throws {
    let all = try inputs("rtp")
    #expect(all.count > 100)
    for bytes in all { fuzzRTP(bytes) }
  }

  @Test func everyCompoundOfTheFuzzerIsTakenWithoutATrap() throws {
    let all = try inputs("rtcp")
    #expect(all.count > 100)
    for bytes in all { fuzzRTCP(bytes) }
  }

  @Test func everyPayloadOfTheFuzzerIsTakenWithoutATrap() throws {
    let all = try inputs("payload")
    #expect(all.count > 100)
    for bytes in all { fuzzPayload(bytes) }
  }

  @Test func everyRowOfPacketsOfTheFuzzerIsTakenWithoutATrap() throws {
    let all = try inputs("frames")
    #expect(all.count > 100)
    for bytes in all { fuzzFrames(bytes) }
  }
}
