import CAVFormat

/// A rectangle of pixels with even corners, as chroma needs them.
struct Tile: Hashable {
  var x: Int
  var y: Int
  var width: Int
  var height: Int

  init(x: Int, y: Int, width: Int, height: Int) {
    self.x = x & ~1
    self.y = y & ~1
    self.width = max(2, width & ~1)
    self.height = max(2, height & ~1)
  }
}

/// A colour in limited-range BT.601.
struct YUV: Hashable {
  var y: UInt8
  var u: UInt8
  var v: UInt8

  static let black = YUV(y: 16, u: 128, v: 128)
  static let slate = YUV(y: 44, u: 134, v: 124)
  static let white = YUV(y: 235, u: 128, v: 128)
  static let green = YUV(y: 145, u: 54, v: 34)
}

/// One I420 picture that is drawn on. Used on one thread.
final class Canvas {
  let width: Int
  let height: Int
  /// Three planes, one behind the other, without padding.
  let memory: UnsafeMutablePointer<UInt8>
  var byteCount: Int { width * height * 3 / 2 }
  private var scalers: [Tile: OpaquePointer] = [:]

  /// Even numbers of pixels.
  init(width: Int, height: Int) {
    self.width = max(2, width & ~1)
    self.height = max(2, height & ~1)
    memory = .allocate(capacity: self.width * self.height * 3 / 2)
    fill(Tile(x: 0, y: 0, width: self.width, height: self.height), .black)
  }

  deinit {
    for scaler in scalers.values { sws_freeContext(scaler) }
    memory.deallocate()
  }

  var u: UnsafeMutablePointer<UInt8> { memory + width * height }
  var v: UnsafeMutablePointer<UInt8> { memory + width * height * 5 / 4 }

  func clip(_ tile: Tile) -> Tile? {
    let x = max(0, tile.x)
    let y = max(0, tile.y)
    let right = min(width, tile.x + tile.width)
    let bottom = min(height, tile.y + tile.height)
    guard right - x >= 2, bottom - y >= 2 else { return nil }
    return Tile(x: x, y: y, width: right - x, height: bottom - y)
  }

  func fill(_ tile: Tile, _ color: YUV) {
    guard let tile = clip(tile) else { return }
    for row in tile.y..<(tile.y + tile.height) {
      (memory + row * width + tile.x).update(repeating: color.y, count: tile.width)
    }
    for row in (tile.y / 2)..<((tile.y + tile.height) / 2) {
      (u + row * (width / 2) + tile.x / 2).update(repeating: color.u, count: tile.width / 2)
      (v + row * (width / 2) + tile.x / 2).update(repeating: color.v, count: tile.width / 2)
    }
  }

  /// The whole picture, as large as it fits.
  func draw(_ frame: UnsafeMutablePointer<AVFrame>, in tile: Tile) {
    guard let tile = clip(tile) else { return }
    let (w, h) = (Int(frame.pointee.width), Int(frame.pointee.height))
    guard w > 0, h > 0 else { return }
    var fitted = tile
    if w * tile.height > h * tile.width {
      fitted.height = max(2, tile.width * h / w & ~1)
    } else {
      fitted.width = max(2, tile.height * w / h & ~1)
    }
    fitted = Tile(
      x: tile.x + (tile.width - fitted.width) / 2, y: tile.y + (tile.height - fitted.height) / 2, width: fitted.width,
      height: fitted.height)
    if fitted != tile { fill(tile, .black) }
    // The context is kept: libswscale makes another where something changed.
    let scaler = sws_getCachedContext(
      scalers[tile], Int32(w), Int32(h), AVPixelFormat(frame.pointee.format), Int32(fitted.width),
      Int32(fitted.height), AV_PIX_FMT_YUV420P, SWS_BILINEAR, nil, nil, nil)
    scalers[tile] = scaler
    guard let scaler else { return }
    var targets: [UnsafeMutablePointer<UInt8>?] = [
      memory + fitted.y * width + fitted.x, u + (fitted.y / 2) * (width / 2) + fitted.x / 2,
      v + (fitted.y / 2) * (width / 2) + fitted.x / 2, nil,
    ]
    let strides: [Int32] = [Int32(width), Int32(width / 2), Int32(width / 2), 0]
    withUnsafePointer(to: &frame.pointee.data) { data in
      data.withMemoryRebound(to: UnsafePointer<UInt8>?.self, capacity: 8) { planes in
        withUnsafePointer(to: &frame.pointee.linesize) { sizes in
          sizes.withMemoryRebound(to: Int32.self, capacity: 8) { lines in
            _ = sws_scale(scaler, planes, lines, 0, Int32(h), &targets, strides)
          }
        }
      }
    }
  }

  /// A frame around a tile, on its inside.
  func outline(_ tile: Tile, _ color: YUV, thickness: Int) {
    let t = max(2, thickness & ~1)
    fill(Tile(x: tile.x, y: tile.y, width: tile.width, height: t), color)
    fill(Tile(x: tile.x, y: tile.y + tile.height - t, width: tile.width, height: t), color)
    fill(Tile(x: tile.x, y: tile.y, width: t, height: tile.height), color)
    fill(Tile(x: tile.x + tile.width - t, y: tile.y, width: t, height: tile.height), color)
  }

  /// One line of text; what does not fit is left out.
  func write(_ text: String, x: Int, y: Int, scale: Int, _ color: YUV = .white) {
    var left = x
    for glyph in BitmapFont.glyphs(of: text) {
      guard left >= 0, y >= 0, left + 5 * scale <= width, y + 7 * scale <= height else { return }
      for row in 0..<7 {
        for column in 0..<5 where glyph[row] >> UInt8(4 - column) & 1 == 1 {
          for line in 0..<scale {
            (memory + (y + row * scale + line) * width + left + column * scale).update(repeating: color.y, count: scale)
          }
        }
      }
      left += 6 * scale
    }
  }
}
