import Audio
import Glibc

/// Writes 16-bit PCM into a RIFF WAVE file. Used on one thread.
package final class WAVWriter {
  package let path: String
  package let channels: Int
  package let sampleRate: Int
  private let file: UnsafeMutablePointer<FILE>
  private var bytes = 0
  private var isFinished = false
  package static let headerLength = 44

  package init(path: String, channels: Int, sampleRate: Int) throws(RecordingError) {
    guard let file = fopen(path, "wbe") else { throw RecordingError(errno, path: path) }
    self.path = path
    self.channels = channels
    self.sampleRate = sampleRate
    self.file = file
    try put(Self.header(channels: channels, sampleRate: sampleRate, dataBytes: 0))
  }

  deinit { if !isFinished { fclose(file) } }

  /// The 44 bytes in front of `dataBytes` of samples; sizes beyond 4 GiB are written as the largest possible.
  package static func header(channels: Int, sampleRate: Int, dataBytes: Int) -> [UInt8] {
    var out = Array("RIFF".utf8)
    out.append(little: UInt32(clamping: dataBytes + 36))
    out += Array("WAVEfmt ".utf8)
    out.append(little: UInt32(16))
    out.append(little: UInt16(1))
    out.append(little: UInt16(clamping: channels))
    out.append(little: UInt32(clamping: sampleRate))
    out.append(little: UInt32(clamping: sampleRate * channels * 2))
    out.append(little: UInt16(clamping: channels * 2))
    out.append(little: UInt16(16))
    out += Array("data".utf8)
    out.append(little: UInt32(clamping: dataBytes))
    return out
  }

  /// Interleaved samples.
  package func write(_ samples: UnsafeBufferPointer<Int16>) throws(RecordingError) {
    try put(Array(UnsafeRawBufferPointer(samples)))
    bytes += samples.count * 2
  }

  private func put(_ data: [UInt8]) throws(RecordingError) {
    guard fwrite(data, 1, data.count, file) == data.count else { throw RecordingError(errno, path: path) }
  }

  /// Ends the file; it is whole and on the disk when this returns.
  package func finish() throws(RecordingError) {
    guard !isFinished else { return }
    fseek(file, 0, SEEK_SET)
    try put(Self.header(channels: channels, sampleRate: sampleRate, dataBytes: bytes))
    isFinished = true
    guard fclose(file) == 0 else { throw RecordingError(errno, path: path) }
    try FileSync.sync(path)
  }
}

/// Decodes an Ogg file of ours, a piece at a time.
package final class OggOpusDecoder {
  package let reader: OggOpusReader
  package let sampleRate: Int
  private let decoders: [OpusDecoder]
  private var room: [Int16]

  package init(path: String, sampleRate: Int = 16_000) throws(RecordingError) {
    reader = try OggOpusReader(path: path)
    self.sampleRate = sampleRate
    var decoders: [OpusDecoder] = []
    do {
      for _ in 0..<reader.channels { decoders.append(try OpusDecoder(sampleRate: sampleRate)) }
    } catch {
      throw .codec("\(error)")
    }
    self.decoders = decoders
    room = [Int16](repeating: 0, count: sampleRate * 120 / 1_000)
  }

  /// The next samples of each channel; nil at the end. A packet that cannot be decoded is silence.
  package func next() throws(RecordingError) -> [[Int16]]? {
    guard let pieces = try reader.next() else { return nil }
    return zip(pieces, decoders).map { piece, decoder in
      let packet = piece.packet(selfDelimited: false)
      let expected = piece.samples * sampleRate / 48_000
      let count = room.withUnsafeMutableBufferPointer { room in
        packet.withUnsafeBytes { bytes in (try? decoder.decode(bytes, into: room)) ?? 0 }
      }
      return Array(room[0..<min(count, expected)]) + [Int16](repeating: 0, count: max(0, expected - count))
    }
  }

  /// The next samples, interleaved.
  package func nextInterleaved() throws(RecordingError) -> [Int16]? {
    guard let channels = try next() else { return nil }
    let count = channels.map(\.count).min() ?? 0
    var out: [Int16] = []
    out.reserveCapacity(count * channels.count)
    for index in 0..<count { for channel in channels { out.append(channel[index]) } }
    return out
  }
}
