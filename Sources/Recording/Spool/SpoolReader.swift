import Core
import Glibc

/// Reads a spool file from its beginning: also one that is still being written, and one whose writer was killed.
///
/// Reading ends at the first record that is not whole or whose checksum is wrong; what lies behind it is counted
/// (`bytesIgnored`), never guessed at. Used on one thread.
package final class SpoolReader {
  package let path: String
  package let header: SpoolHeader
  /// The streams declared so far, by identifier.
  package private(set) var streams: [UInt16: SpoolStream] = [:]
  /// The end record's reason; nil while none was read: the writer lives, or was killed.
  package private(set) var endReason: String?
  /// Bytes behind the last whole record, known once `next` has returned nil.
  package private(set) var bytesIgnored = 0
  /// Bytes of the file up to the last record read.
  package private(set) var position = 0
  /// Bytes in the file when it was opened.
  package let size: Int

  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var offset = 0
  private var isAtEnd = false

  package init(path: String) throws(RecordingError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RecordingError(errno, path: path) }
    self.descriptor = descriptor
    var status = stat()
    size = fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
    var start = SpoolBytes([])
    do throws(RecordingError) {
      let bytes = try Self.read(descriptor, path, 12)
      guard bytes.count == 12, Array(bytes[0..<8]) == SpoolFormat.magic else {
        throw RecordingError.notASpool(path: path, why: "it does not begin like one")
      }
      start = SpoolBytes(Array(bytes[8...]))
      guard let version = start.u32(), version == SpoolFormat.version else {
        throw RecordingError.notASpool(path: path, why: "another version")
      }
      let first = try Self.read(descriptor, path, SpoolFormat.recordHead)
      var head = SpoolBytes(first)
      guard let length = head.u32(), length <= SpoolFormat.longestBody else {
        throw RecordingError.notASpool(path: path, why: "the header is not whole")
      }
      let body = try Self.read(descriptor, path, Int(length))
      guard let record = SpoolRaw(head: first, body: body), record.kind == .header,
        let header = SpoolHeader(parsing: body, began: record.time)
      else { throw RecordingError.notASpool(path: path, why: "the header is not whole") }
      self.header = header
      position = 12 + SpoolFormat.recordHead + body.count
    } catch {
      close(descriptor)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// The next record; nil at the end of what is whole. After nil a further call may find what was written since.
  package func next() throws(RecordingError) -> SpoolRecord? {
    while true {
      guard let raw = try nextRaw() else { return nil }
      // A kind of a later version is passed over.
      if let record = content(of: raw) { return record }
    }
  }

  private func nextRaw() throws(RecordingError) -> SpoolRaw? {
    try fill(SpoolFormat.recordHead)
    guard buffer.count - offset >= SpoolFormat.recordHead else { return ended() }
    let head = Array(buffer[offset..<(offset + SpoolFormat.recordHead)])
    var cursor = SpoolBytes(head)
    guard let length = cursor.u32().map(Int.init), length <= SpoolFormat.longestBody else { return ended() }
    let whole = SpoolFormat.recordHead + length
    try fill(whole)
    guard buffer.count - offset >= whole else { return ended() }
    let body = Array(buffer[(offset + SpoolFormat.recordHead)..<(offset + whole)])
    guard let raw = SpoolRaw(head: head, body: body) else { return ended() }
    offset += whole
    position += whole
    return raw
  }

  private func ended() -> SpoolRaw? {
    bytesIgnored = buffer.count - offset
    return nil
  }

  private func fill(_ count: Int) throws(RecordingError) {
    guard buffer.count - offset < count else { return }
    if offset > 0 {
      buffer.removeFirst(offset)
      offset = 0
    }
    while buffer.count < count {
      let more = try Self.read(descriptor, path, max(256 * 1024, count - buffer.count))
      if more.isEmpty { return }
      buffer += more
    }
  }

  private func content(of raw: SpoolRaw) -> SpoolRecord? {
    var bytes = SpoolBytes(raw.body)
    let content: SpoolRecord.Content
    switch raw.kind {
    case .rtp: content = .rtp(raw.body)
    case .rtcp: content = .rtcp(raw.body)
    case .gap:
      guard let count = bytes.u32(), bytes.u32() != nil, let since = bytes.u64() else { return nil }
      content = .gap(packets: Int(count), since: Instant(nanoseconds: Int64(bitPattern: since)))
    case .stream:
      guard let stream = SpoolStream(parsing: raw.body, id: raw.stream) else { return nil }
      streams[raw.stream] = stream
      content = .stream(stream)
    case .streamEnd: content = .streamEnd
    case .event:
      guard let event = SpoolEvent(text: String(decoding: raw.body, as: UTF8.self)) else { return nil }
      content = .event(event)
    case .end:
      let reason = String(decoding: raw.body, as: UTF8.self)
      endReason = reason
      content = .end(reason)
    case .header, nil: return nil
    }
    return SpoolRecord(stream: raw.stream, time: raw.time, content: content)
  }

  private static func read(
    _ descriptor: Int32, _ path: String, _ count: Int
  ) throws(RecordingError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var have = 0
    while have < count {
      let got = bytes.withUnsafeMutableBytes { room in
        Glibc.read(descriptor, room.baseAddress.map { $0 + have }, count - have)
      }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw RecordingError(errno, path: path) }
      if got == 0 { break }
      have += got
    }
    bytes.removeLast(count - have)
    return bytes
  }
}

/// A record whose checksum is right.
struct SpoolRaw {
  /// Nil: of a later version.
  let kind: SpoolRecord.Kind?
  let stream: UInt16
  let time: Instant
  let body: [UInt8]

  init?(head: [UInt8], body: [UInt8]) {
    var cursor = SpoolBytes(head)
    guard head.count == SpoolFormat.recordHead, let length = cursor.u32(), Int(length) == body.count,
      let crc = cursor.u32(), let kind = cursor.u8(), cursor.u8() != nil, let stream = cursor.u16(),
      let time = cursor.u64()
    else { return nil }
    let found = (Array(head[8...]) + body).withUnsafeBytes { CRC32.checksum($0) }
    guard found == crc else { return nil }
    self.kind = SpoolRecord.Kind(rawValue: kind)
    self.stream = stream
    self.time = Instant(nanoseconds: Int64(bitPattern: time))
    self.body = body
  }
}

/// Little-endian reads with their bounds.
struct SpoolBytes {
  private let bytes: [UInt8]
  private var offset = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private mutating func number(_ count: Int) -> UInt64? {
    guard bytes.count - offset >= count else { return nil }
    var value: UInt64 = 0
    for i in 0..<count { value |= UInt64(bytes[offset + i]) << (8 * UInt64(i)) }
    offset += count
    return value
  }

  mutating func u8() -> UInt8? { number(1).map { UInt8(truncatingIfNeeded: $0) } }
  mutating func u16() -> UInt16? { number(2).map { UInt16(truncatingIfNeeded: $0) } }
  mutating func u32() -> UInt32? { number(4).map { UInt32(truncatingIfNeeded: $0) } }
  mutating func u64() -> UInt64? { number(8) }

  mutating func text() -> String? {
    guard let count = u16().map(Int.init), bytes.count - offset >= count else { return nil }
    defer { offset += count }
    return String(decoding: bytes[offset..<(offset + count)], as: UTF8.self)
  }

  mutating func attributes() -> [String: String]? {
    guard let count = u16() else { return nil }
    var result: [String: String] = [:]
    for _ in 0..<count {
      guard let key = text(), let value = text() else { return nil }
      result[key] = value
    }
    return result
  }
}

extension SpoolHeader {
  init?(parsing body: [UInt8], began: Instant) {
    var bytes = SpoolBytes(body)
    guard let id = bytes.text(), let wall = bytes.u64(), let attributes = bytes.attributes() else { return nil }
    self.init(
      id: id, began: began, beganAt: WallTime(milliseconds: Int64(bitPattern: wall)), attributes: attributes)
  }
}

extension SpoolStream {
  init?(parsing body: [UInt8], id: UInt16) {
    var bytes = SpoolBytes(body)
    guard let media = bytes.u8().flatMap(Media.init(rawValue:)), let name = bytes.text(), let clock = bytes.text(),
      let count = bytes.u8()
    else { return nil }
    var codecs: [PayloadType: Codec] = [:]
    for _ in 0..<count {
      guard let type = bytes.u8(), let name = bytes.text(), let rate = bytes.u32(), let channels = bytes.u8(),
        let parameters = bytes.text()
      else { return nil }
      codecs[PayloadType(type)] = Codec(
        name: name, clockRate: max(1, Int(rate)), channels: Int(channels), parameters: parameters)
    }
    guard let attributes = bytes.attributes() else { return nil }
    self.init(name: name, media: media, codecs: codecs, clock: clock, attributes: attributes)
    self.id = id
  }
}
