import Core
import Glibc

/// The files of a recorded call.
package enum CallFiles {
  package enum Format: String, Sendable, Hashable, CaseIterable {
    case ogg
    case wav

    package var contentType: String { self == .ogg ? "audio/ogg" : "audio/wav" }
  }

  /// A renderer for the catalogue.
  package static func renderer(format: Format) -> RecordingCatalog.Renderer {
    { recording, spool, catalog, progress throws(RecordingError) in
      let location = try catalog.location(of: recording, suffix: "." + format.rawValue)
      let path = catalog.path(of: location)
      let ogg = path + (format == .ogg ? ".part" : ".ogg.part")
      do throws(RecordingError) {
        let rendered = try StereoCallRenderer.render(
          spool: spool, to: ogg, tags: tags(recording), progress: { progress($0 * (format == .ogg ? 1 : 0.7)) })
        if format == .wav {
          try exportWAV(ogg, to: path + ".part")
          unlink(ogg)
        }
        try write(peaks: rendered.peaks, to: String(path.dropLast(format.rawValue.utf8.count)) + "peaks")
        guard rename(path + ".part", path) == 0 else { throw RecordingError(errno, path: path) }
        try FileSync.sync(path)
        return [
          RenderedFile(
            name: "audio", location: location, format: format.rawValue, contentType: format.contentType,
            duration: rendered.duration)
        ]
      } catch {
        unlink(ogg)
        unlink(path + ".part")
        throw error
      }
    }
  }

  private static func tags(_ recording: RecordingRecord) -> [(String, String)] {
    var tags = [("DATE", recording.startedAt.rfc3339), ("ENCODER", "Parley")]
    let from = recording.attributes["from"] ?? ""
    let to = recording.attributes["to"] ?? ""
    if !from.isEmpty || !to.isEmpty { tags.append(("TITLE", "\(from) \u{2192} \(to)")) }
    if let call = recording.call { tags.append(("DESCRIPTION", "call \(call)")) }
    return tags
  }

  /// Decodes a file of ours to 16-bit PCM at 16 kHz.
  package static func exportWAV(_ ogg: String, to path: String) throws(RecordingError) {
    let decoder = try OggOpusDecoder(path: ogg)
    let writer = try WAVWriter(path: path, channels: decoder.reader.channels, sampleRate: decoder.sampleRate)
    while let samples = try decoder.nextInterleaved() {
      var failure: RecordingError?
      samples.withUnsafeBufferPointer { buffer in
        do throws(RecordingError) { try writer.write(buffer) } catch { failure = error }
      }
      if let failure { throw failure }
    }
    try writer.finish()
  }

  /// `channels(1) bytes`: for each 100 ms one byte a channel.
  private static func write(peaks: [[UInt8]], to path: String) throws(RecordingError) {
    var bytes = [UInt8(clamping: peaks.count)]
    for index in 0..<(peaks.map(\.count).min() ?? 0) { for channel in peaks { bytes.append(channel[index]) } }
    guard let file = fopen(path, "wbe") else { throw RecordingError(errno, path: path) }
    let written = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, written == bytes.count else { throw RecordingError(errno, path: path) }
  }

  /// The loudest sample of every 100 ms of each channel, 0…255; nil where there is no such file.
  package static func peaks(of location: String, in catalog: RecordingCatalog) -> [[UInt8]]? {
    guard let dot = location.lastIndex(of: "."),
      let file = fopen(catalog.path(of: String(location[..<dot]) + ".peaks"), "rbe")
    else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&room, 1, room.count, file)
      if count == 0 { break }
      bytes += room[0..<count]
    }
    guard let channels = bytes.first.map(Int.init), (1...8).contains(channels) else { return nil }
    var peaks = [[UInt8]](repeating: [], count: channels)
    for (index, byte) in bytes.dropFirst().enumerated() { peaks[index % channels].append(byte) }
    return peaks
  }
}
