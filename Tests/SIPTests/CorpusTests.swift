import Foundation
import SIP
import Testing

/// Everything that the fuzzer starts from or has found, as unit tests.
@Suite struct CorpusTests {
  static let files: [String] = {
    let directory = packageDirectory.appendingPathComponent("Tests/Fuzz/Corpus/sip").path
    return ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
  }()

  @Test func isThere() {
    #expect(Self.files.count >= 55)
  }

  @Test(arguments: files) func comesThrough(_ file: String) throws {
    let bytes = try contents("Tests/Fuzz/Corpus/sip/\(file)")
    guard let message = try? SIPParser.parse(datagram: bytes) else { return }
    exercise(message)
  }
}
