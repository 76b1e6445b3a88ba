import Foundation
import Testing

/// Everything that the fuzzer found worth keeping, its crashes included, through the same function as there.
@Suite struct CorpusTests {
  @Test func everyScriptOfTheFuzzerIsPlayedWithoutATrap() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let directory = tests.appendingPathComponent("Fuzz/Corpus/router")
    let files = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
    #expect(files.count > 100)
    for file in files { fuzzRouter(Array(try Data(contentsOf: file))) }
  }
}
