import ArgumentParser
import Core
import Foundation
import Recording

extension RecordingsCommand {
  struct Decrypt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write the plain file of an encrypted recording (.enc), with recordings.encryption-key.")
    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The encrypted file.") var file: String
    @Argument(help: "Where the plain file goes.") var output: String

    func run() async throws {
      guard let key = try options.load().storage.keyBytes else {
        throw ValidationError("recordings.encryption-key is not configured.")
      }
      let reader = try DecryptingReader(path: file, key: key)
      guard FileManager.default.createFile(atPath: output, contents: nil),
        let handle = FileHandle(forWritingAtPath: output)
      else { throw ValidationError("\(output) cannot be written.") }
      defer { try? handle.close() }
      var offset = 0
      while offset < reader.size {
        let bytes = try reader.read(offset..<min(reader.size, offset + (1 << 20)))
        try handle.write(contentsOf: bytes)
        offset += bytes.count
      }
      print("\(output): \(reader.size) bytes")
    }
  }
}
