import Audio
import Core

/// 20 ms of one channel.
struct ChannelPiece {
  var frames: OpusFrames
  /// The loudest sample, 0…255.
  var peak: UInt8
}

/// Turns one channel's packets, each at its place in time, into an unbroken row of 20 ms of Opus.
///
/// Opus packets are passed on as they are. What is late or early by less than a piece stays where it is; beyond that a
/// piece is left out or made up, which keeps the channel within 20 ms of its place. G.711 and G.722 are decoded, placed to
/// the sample, and encoded once.
final class ChannelTrack {
  private(set) var pieces: [ChannelPiece] = []
  /// Samples at 48 kHz that were given out.
  private(set) var cursor = 0
  /// In seconds: what lies in these is silent, and not made up.
  var silences: [Range<Double>] = []
  private(set) var piecesCopied = 0
  private(set) var piecesEncoded = 0

  private var last: OpusFrames?
  private var isPausing = false
  /// Decoded samples that are no whole piece yet.
  private var samples: [Int16] = []
  private var rate = 0
  private var encoders: [Int: OpusEncoder] = [:]
  private var g722: G722Decoder?
  /// For the peaks.
  private let meter: OpusDecoder
  /// For packets that cannot be cut into pieces.
  private var decoder: OpusDecoder?
  private var frame = [Int16](repeating: 0, count: 5_760)
  private var packet = [UInt8](repeating: 0, count: 1_500)

  private static let piece = 960

  init() throws(AudioError) { meter = try OpusDecoder(sampleRate: 8_000) }

  /// Gives out what is ready and forgets it.
  func take(_ count: Int) -> [ChannelPiece] {
    defer { pieces.removeFirst(min(count, pieces.count)) }
    return Array(pieces.prefix(count))
  }

  // MARK: Placing

  /// - Parameter position: Seconds from the recording's beginning.
  func place(_ payload: ArraySlice<UInt8>, codec: AudioCodec, at position: Double) throws(AudioError) {
    guard position.isFinite, position > -1, position < 1e6 else { return }
    if isSilenced(position) { return }
    let target = Int((position * 48_000).rounded())
    switch codec {
    case .opus: try placeOpus(payload, at: target)
    case .pcmu, .pcma:
      guard let law = codec.law else { return }
      let count = min(payload.count, frame.count)
      frame.withUnsafeMutableBufferPointer { room in
        payload.withUnsafeBytes { _ = G711.decode(law, from: $0, into: Samples(rebasing: room[0..<count])) }
      }
      try placeSamples(count, rate: 8_000, at: target)
    case .g722:
      if g722 == nil { g722 = try G722Decoder(sampleRate: 16_000) }
      var count = 0
      frame.withUnsafeMutableBufferPointer { room in
        payload.withUnsafeBytes { count = g722?.decode($0, into: room) ?? 0 }
      }
      try placeSamples(count, rate: 16_000, at: target)
    }
  }

  private func isSilenced(_ position: Double) -> Bool { silences.contains { $0.contains(position) } }

  private func placeOpus(_ payload: ArraySlice<UInt8>, at target: Int) throws(AudioError) {
    guard let frames = OpusFrames(parsing: payload) else { return }
    guard let cut = frames.pieces else {
      // Frames of 40 or 60 ms, or odd lengths: no piece of 20 ms can be made without decoding.
      if decoder == nil { decoder = try OpusDecoder(sampleRate: 48_000) }
      var count = 0
      frame.withUnsafeMutableBufferPointer { room in
        payload.withUnsafeBytes { bytes in count = (try? decoder?.decode(bytes, into: room)) ?? 0 }
      }
      try placeSamples(count, rate: 48_000, at: target)
      return
    }
    try endSamples()
    var target = target
    for piece in cut {
      let early = target - cursor
      if early >= Self.piece { try fill((early + Self.piece / 2) / Self.piece) }
      if early > -Self.piece {
        emit(piece, peak: peak(of: piece))
        piecesCopied += 1
        last = piece
        // RFC 6716 §2.1.9: nothing but the head, or a byte more.
        isPausing = piece.frames.allSatisfy { $0.count <= 1 }
      }
      target += Self.piece
    }
  }

  private func placeSamples(_ count: Int, rate: Int, at target: Int) throws(AudioError) {
    guard count > 0 else { return }
    if rate != self.rate {
      try endSamples()
      self.rate = rate
    }
    last = nil
    let scale = 48_000 / rate
    var start = 0
    let early = target - cursor - samples.count * scale
    if early >= Self.piece {
      // Whole pieces of silence first, then to the sample.
      if early >= 10 * Self.piece {
        try endSamples()
        try fill((target - cursor) / Self.piece)
      }
      let missing = (target - cursor) / scale - samples.count
      if missing > 0 { samples += [Int16](repeating: 0, count: missing) }
    } else if early <= -Self.piece {
      start = min(count, -early / scale)
    }
    samples += frame[start..<count]
    try encode()
  }

  /// Encodes the whole pieces among the samples.
  private func encode() throws(AudioError) {
    let length = rate / 50
    guard length > 0 else { return }
    var offset = 0
    while samples.count - offset >= length {
      let encoder = try encoder(rate)
      var size = 0
      var loudest: Int16 = 0
      samples.withUnsafeMutableBufferPointer { all in
        let part = Samples(rebasing: all[offset..<(offset + length)])
        for sample in part { loudest = max(loudest, sample == .min ? .max : abs(sample)) }
        packet.withUnsafeMutableBytes { room in size = (try? encoder.encode(part, into: room)) ?? 0 }
      }
      let frames = OpusFrames(parsing: packet[0..<size]) ?? .silence
      emit(frames, peak: UInt8(loudest >> 7))
      piecesEncoded += 1
      offset += length
    }
    samples.removeFirst(offset)
  }

  private func encoder(_ rate: Int) throws(AudioError) -> OpusEncoder {
    if let encoder = encoders[rate] { return encoder }
    var settings = OpusEncoder.Settings()
    settings.bitrate = rate >= 16_000 ? 32_000 : 24_000
    let encoder = try OpusEncoder(sampleRate: rate, settings: settings)
    encoders[rate] = encoder
    return encoder
  }

  /// What is left of decoded samples becomes a whole piece.
  private func endSamples() throws(AudioError) {
    guard !samples.isEmpty else { return }
    samples += [Int16](repeating: 0, count: max(0, rate / 50 - samples.count))
    try encode()
  }

  // MARK: Gaps

  /// Up to `end` seconds nothing more comes.
  func fill(to end: Double) throws(AudioError) {
    try endSamples()
    let target = Int(end * 48_000)
    if target - cursor > 0 { try fill((target - cursor + Self.piece - 1) / Self.piece) }
  }

  /// A loss is concealed by the decoder for a while, as in the call; a pause of the sender's by its own noise.
  private func fill(_ count: Int) throws(AudioError) {
    let concealed = isPausing ? 50 : 5
    for index in 0..<max(0, count) {
      if let last, index < concealed, !isSilenced(Double(cursor) / 48_000) {
        let lost = last.lost
        emit(lost, peak: 0)
      } else {
        last = nil
        emit(.silence, peak: 0)
      }
    }
  }

  private func emit(_ frames: OpusFrames, peak: UInt8) {
    pieces.append(ChannelPiece(frames: frames, peak: peak))
    cursor += Self.piece
  }

  private func peak(of piece: OpusFrames) -> UInt8 {
    let packet = piece.packet(selfDelimited: false)
    return frame.withUnsafeMutableBufferPointer { room in
      packet.withUnsafeBytes { bytes in
        let count = (try? meter.decode(bytes, into: room)) ?? 0
        var loudest: Int16 = 0
        for sample in room[0..<count] { loudest = max(loudest, sample == .min ? .max : abs(sample)) }
        return UInt8(loudest >> 7)
      }
    }
  }
}
