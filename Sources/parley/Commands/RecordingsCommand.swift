import ArgumentParser
import Core
import Foundation
import Recording
import Store

struct RecordingsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recordings", abstract: "List, show, export and delete recordings.",
    subcommands: [List.self, Show.self, Export.self, Delete.self, Decrypt.self], defaultSubcommand: List.self)

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List recordings, newest first.")

    @OptionGroup var options: ConfigurationOptions
    @Option(help: "How many to list, 1 to 1000.") var limit = 20
    @Option(help: "Only those of this call.") var call: String?
    @Option(help: "Only those of this room.") var room: String?
    @Option(help: "Only those in this state: recording, rendering, saved or failed.") var state: String?

    func validate() throws {
      if !(1...1000).contains(limit) { throw ValidationError("--limit must be from 1 to 1000.") }
      if let state, RecordingRecord.State(rawValue: state) == nil {
        throw ValidationError("--state must be recording, rendering, saved or failed.")
      }
    }

    func run() async throws {
      let (_, store) = try await options.open()
      var filter = RecordingFilter()
      filter.call = call
      filter.room = room
      filter.state = state.flatMap { RecordingRecord.State(rawValue: $0) }
      let found = try await store.recordings(limit: limit, filter: filter)
      print(
        Terminal.table(
          ["ID", "KIND", "OF", "STARTED", "STATE", "SECONDS", "BYTES"],
          found.map { recording in
            [
              recording.id, recording.kind.rawValue, recording.call ?? recording.room ?? "",
              recording.startedAt.rfc3339, recording.state.rawValue, recording.duration.map { "\(Int($0))" } ?? "",
              "\(recording.bytes)",
            ]
          }))
    }
  }

  struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show one recording and its files.")

    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The recording.") var id: String

    func run() async throws {
      let (_, store) = try await options.open()
      let recording = try await store.find(id)
      let rows = [
        ["Recording", recording.id], ["Kind", recording.kind.rawValue], ["Call", recording.call ?? ""],
        ["Room", recording.room ?? ""], ["State", recording.state.rawValue], ["Reason", recording.reason],
        ["Started", recording.startedAt.rfc3339], ["Ended", recording.endedAt?.rfc3339 ?? ""],
      ].filter { !$0[1].isEmpty }
      print(Terminal.table(["", ""], rows))
      guard !recording.files.isEmpty else { return }
      print("")
      print(
        Terminal.table(
          ["FILE", "FORMAT", "SECONDS", "BYTES", "WHERE", "SHA-256"],
          recording.files.map {
            [$0.name, $0.format, "\(Int($0.duration))", "\($0.bytes)", $0.location, $0.sha256]
          }))
    }
  }

  struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Copy a recording's file, or decode it to WAV.")

    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The recording.") var id: String
    @Argument(help: "The file to write; one that ends in .wav is decoded to 16-bit PCM where the recording is Ogg.")
    var file: String
    @Flag(help: "Replace an existing file.") var force = false

    func run() async throws {
      let (configuration, store) = try await options.open()
      let recording = try await store.find(id)
      guard recording.state == .saved else { throw CommandFailure("The recording is \(recording.state.rawValue).") }
      let wantsWAV = file.lowercased().hasSuffix(".wav")
      let source =
        recording.files.first { wantsWAV == ($0.format == "wav") } ?? recording.files.first
      guard let source, !source.location.contains("://") else {
        throw CommandFailure("The recording has no file on this machine.")
      }
      guard force || !FileManager.default.fileExists(atPath: file) else {
        throw CommandFailure("\(file) exists. With --force it is replaced.")
      }
      let path = configuration.recordingsDirectory + "/" + source.location
      if wantsWAV, source.format == "ogg" {
        try CallFiles.exportWAV(path, to: file)
      } else {
        try? FileManager.default.removeItem(atPath: file)
        try FileManager.default.copyItem(atPath: path, toPath: file)
        let hash = try FileHash.sha256(of: file)
        guard hash.hex == source.sha256 else { throw CommandFailure("\(path) is damaged: its SHA-256 is wrong.") }
      }
      Terminal.note("wrote \(file)")
    }
  }

  struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Delete recordings with their files.")

    @OptionGroup var options: ConfigurationOptions
    @Argument(help: "The recordings.") var ids: [String]

    func run() async throws {
      let (configuration, store) = try await options.open()
      for id in ids {
        let recording = try await store.find(id)
        guard recording.state == .saved || recording.state == .failed else {
          throw CommandFailure("\(id) is not finished.")
        }
        guard !recording.files.contains(where: { $0.location.contains("://") }) else {
          throw CommandFailure("\(id) has files that are not on this machine.")
        }
        try RecordingCatalog.removeFiles(of: recording, in: configuration.recordingsDirectory)
        try await store.removeRecording(id: id)
        Terminal.note("deleted \(id)")
      }
    }
  }
}

extension Store {
  fileprivate func find(_ id: String) async throws -> RecordingRecord {
    guard let recording = try await recording(id: id) else { throw CommandFailure("There is no recording \(id).") }
    return recording
  }
}
