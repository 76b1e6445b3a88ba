import Core
import Foundation
import RTP
import Testing

@testable import Recording

/// A camera: VP8 of one colour, packet by packet.
final class ColourSender {
  let ssrc: SSRC
  let encoder: VP8Encoder
  let canvas: Canvas
  private let fps: Int
  private(set) var count = 0
  private var sequence: UInt16
  private let firstTimestamp: UInt32

  init(ssrc: UInt32, width: Int = 320, height: Int = 180, fps: Int = 10, firstTimestamp: UInt32 = .max - 45_000) throws
  {
    self.ssrc = SSRC(ssrc)
    self.fps = fps
    self.firstTimestamp = firstTimestamp
    sequence = 65_530
    var plan = RenderPlan(keepsTracks: true)
    (plan.width, plan.height, plan.framerate, plan.videoBitrate) = (width, height, fps, 400)
    encoder = try VP8Encoder(plan)
    canvas = Canvas(width: width, height: height)
  }

  /// The next picture, in packets of at most 500 octets (RFC 7741).
  func next(luma: UInt8, isKey: Bool = false) throws -> (time: Double, packets: [[UInt8]]) {
    // A moving line: no picture is like the one before.
    canvas.fill(Tile(x: 0, y: 0, width: canvas.width, height: canvas.height), YUV(y: luma, u: 128, v: 128))
    canvas.fill(Tile(x: (count * 8) % (canvas.width - 8), y: canvas.height - 8, width: 8, height: 8), .white)
    let time = Double(count) / Double(fps)
    let frames = try encoder.encode(canvas, at: Int64(time * 1_000), forcesKeyFrame: isKey || count == 0)
    let timestamp = firstTimestamp &+ UInt32(truncatingIfNeeded: count * 90_000 / fps)
    count += 1
    var packets: [[UInt8]] = []
    for frame in frames {
      let pieces = stride(from: 0, to: frame.bytes.count, by: 500).map {
        Array(frame.bytes[$0..<min($0 + 500, frame.bytes.count)])
      }
      for (index, piece) in pieces.enumerated() {
        let header = RTPHeader(
          payloadType: PayloadType(96), sequence: sequence, timestamp: timestamp, ssrc: ssrc,
          marker: index == pieces.count - 1)
        sequence &+= 1
        packets.append(header.serialized(payload: [index == 0 ? 0x10 : 0x00] + piece))
      }
    }
    return (time, packets)
  }
}

extension SpoolScript {
  mutating func video(
    _ id: UInt16, name: String, codec: String = "VP8", source: String = "camera", at seconds: Double = 0
  ) {
    let stream = SpoolStream(
      name: name, media: .video, codecs: [PayloadType(96): .init(name: codec, clockRate: 90_000)],
      clock: name, attributes: ["source": source, "name": name])
    add(.stream, id, seconds, stream.body)
  }

  mutating func audio(_ id: UInt16, name: String, at seconds: Double = 0) {
    let stream = SpoolStream(
      name: name, media: .audio, codecs: [PayloadType(111): .init(name: "opus", clockRate: 48_000, channels: 2)],
      clock: name, attributes: ["source": "microphone", "name": name])
    add(.stream, id, seconds, stream.body)
  }
}

/// What ffprobe and ffmpeg say of a file.
enum Probe {
  static func run(_ tool: String, _ arguments: [String]) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(tool) \(arguments)")
    return data
  }

  /// `vp8,320,180` and the like, a line a stream.
  static func streams(_ path: String) throws -> [String] {
    let data = try run(
      "ffprobe",
      ["-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", path])
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Times of the packets of `v` or `a`, in seconds.
  static func times(_ path: String, _ kind: String) throws -> [Double] {
    let data = try run(
      "ffprobe",
      ["-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", path])
    return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap {
      Double($0.filter { $0 != "," })
    }
  }

  /// The mean luma of the picture at a time, of a part of it.
  static func luma(_ path: String, at seconds: Double, crop: String = "iw:ih:0:0") throws -> Double {
    let data = try run(
      "ffmpeg",
      [
        "-v", "error", "-i", path, "-vf", "trim=start=\(seconds),crop=\(crop)", "-frames:v", "1", "-f", "rawvideo",
        "-pix_fmt", "gray", "-",
      ])
    // ffmpeg's gray is of full range.
    return data.isEmpty ? -1 : data.reduce(0.0) { $0 + Double($1) } / Double(data.count) * 219 / 255 + 16
  }

  /// All sound at 8 kHz, gaps filled.
  static func samples(_ path: String) throws -> [Int16] {
    let data = try run(
      "ffmpeg",
      [
        "-v", "error", "-i", path, "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", "8000", "-f", "s16le",
        "-",
      ])
    return stride(from: 0, to: data.count - 1, by: 2).map {
      Int16(bitPattern: UInt16(data[$0]) | UInt16(data[$0 + 1]) << 8)
    }
  }
}
