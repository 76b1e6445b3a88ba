import Foundation
import Testing

/// Everything that the fuzzer found worth keeping, its crashes included, through the same function as there.
@Suite struct CorpusTests {
  @Test func everyInputOfTheFuzzerIsTakenWithoutATrap() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let directory = tests.appendingPathComponent("Fuzz/Corpus/signal")
    let files = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
    #expect(files.count > 60)
    for file in files { fuzzSignal(Array(try Data(contentsOf: file))) }
  }
}
