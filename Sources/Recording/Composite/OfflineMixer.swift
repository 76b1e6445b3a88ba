import Audio
import Core

/// Mixes audio tracks, each packet at its place in time, to one Opus track: 48 kHz, mono. Used on one thread.
final class OfflineMixer {
  private final class Source {
    let decoder: OpusDecoder
    /// Where the next sample goes; nil before the first.
    var next: Int?
    init() throws(AudioError) { decoder = try OpusDecoder(sampleRate: 48_000) }
  }

  private var sources: [UInt16: Source] = [:]
  /// Sums from `start` on.
  private var sums: [Int32] = []
  private var start = 0
  private let encoder: OpusEncoder
  private var samples = [Int16](repeating: 0, count: 5_760)
  private var packet = [UInt8](repeating: 0, count: 1_500)
  private static let frame = 960
  /// Between where a packet belongs and where the last one ended: less is jitter and drift, more is a gap. 20 ms.
  private static let tolerance = 960

  init(bitrate: Int) throws(RecordingError) {
    var settings = OpusEncoder.Settings()
    settings.bitrate = bitrate * 1_000
    settings.isMusic = true
    do throws(AudioError) {
      encoder = try OpusEncoder(sampleRate: 48_000, settings: settings)
    } catch {
      throw .codec("\(error)")
    }
  }

  /// - Parameter time: Nanoseconds; packets come by rising times.
  func add(_ bytes: [UInt8], of stream: UInt16, at time: Int64) throws(RecordingError) {
    let source: Source
    if let known = sources[stream] {
      source = known
    } else {
      do throws(AudioError) { source = try Source() } catch { throw .codec("\(error)") }
      sources[stream] = source
    }
    let target = Int(time / 1_000 * 48 / 1_000)
    let count = samples.withUnsafeMutableBufferPointer { room in
      (try? bytes.withUnsafeBytes { try source.decoder.decode($0, into: room) }) ?? 0
    }
    guard count > 0 else { return }
    var position = source.next ?? target
    var length = count
    let distance = target - position
    if abs(distance) > Self.tolerance {
      position = target
    } else if distance > 48 {
      // Behind: one sample twice; ahead: one left out. 1 in 960 is not heard, and is 20 times what clocks drift.
      samples.withUnsafeMutableBufferPointer { if count < $0.count { $0[count] = $0[count - 1] } }
      length = min(count + 1, samples.count)
    } else if distance < -48 {
      length = max(1, count - 1)
    }
    mix(length, at: position)
    source.next = position + length
  }

  private func mix(_ count: Int, at position: Int) {
    // What came too late for its place is lost.
    let skipped = max(0, start - position)
    guard skipped < count else { return }
    let offset = position + skipped - start
    let end = offset + count - skipped
    if sums.count < end { sums.append(contentsOf: repeatElement(0, count: end - sums.count)) }
    sums.withUnsafeMutableBufferPointer { sums in
      samples.withUnsafeBufferPointer { samples in
        for i in 0..<(count - skipped) { sums[offset + i] &+= Int32(samples[skipped + i]) }
      }
    }
  }

  func end(of stream: UInt16) { sources[stream] = nil }

  /// Gives out whole frames up to a time; nothing is mixed in front of it afterwards.
  func drain(
    upTo time: Int64, _ body: (_ packet: [UInt8], _ nanoseconds: Int64) throws(RecordingError) -> Void
  ) throws(RecordingError) {
    let limit = Int(time / 1_000 * 48 / 1_000)
    var done = 0
    while start + Self.frame <= limit {
      if sums.count - done < Self.frame {
        sums.append(contentsOf: repeatElement(0, count: Self.frame - (sums.count - done)))
      }
      for i in 0..<Self.frame { samples[i] = Self.limited(sums[done + i]) }
      let length: Int
      do throws(AudioError) {
        length = try encode()
      } catch {
        throw .codec("\(error)")
      }
      try body(Array(packet[..<length]), Int64(start) * 1_000_000 / 48 / 1_000 * 1_000)
      done += Self.frame
      start += Self.frame
    }
    sums.removeFirst(min(done, sums.count))
  }

  private func encode() throws(AudioError) -> Int {
    let (encoder, frame) = (encoder, Self.frame)
    let result: Result<Int, AudioError> = samples.withUnsafeMutableBufferPointer { room in
      packet.withUnsafeMutableBytes { packet in
        do throws(AudioError) {
          return .success(try encoder.encode(Samples(rebasing: room[..<frame]), into: packet))
        } catch {
          return .failure(error)
        }
      }
    }
    return try result.get()
  }

  /// Straight up to three quarters, then ever flatter: many talkers do not clip.
  static func limited(_ value: Int32) -> Int16 {
    let knee = 24_576.0
    let x = Double(value)
    let magnitude = abs(x)
    guard magnitude > knee else { return Int16(value) }
    let room = 32_767 - knee
    let over = (magnitude - knee) / room
    let y = knee + room * (over / (1 + over))
    return Int16(x < 0 ? -y : y)
  }
}
