import Audio

/// The reading end of one direction of a port: an even stream of frames from what another thread writes on its own clock.
///
/// What is missing is made up, which moves the reader back by as much; what has waited for a second without need is taken
/// out, a pitch period at a time. So the two clocks may differ and jitter, and the delay stays at what that takes.
final class PortReader {
  private let ring: SampleRing
  private let playout: PlayoutBuffer
  private let sampleRate: Int
  /// Made up in a row; silent after 60 ms.
  private var madeUp = 0
  private var isPlaying = false
  /// The least that was left over by the pulls of the running window.
  private var leastLeft = Int.max
  private var pulls = 0
  /// To be taken out, as soon as it cannot be heard.
  private var excess = 0

  /// Pulls that found too little although the other side was talking.
  private(set) var underflows = 0
  /// Samples thrown away after the reading thread stood still.
  private(set) var samplesDropped = 0

  /// - Parameter sampleRate: Of the ring, in hertz.
  init(_ ring: SampleRing, sampleRate: Int) {
    self.ring = ring
    self.sampleRate = sampleRate
    playout = PlayoutBuffer(sampleRate: sampleRate)
  }

  /// Fills a frame. False when nobody has written for a while: then it is silent.
  func pull(_ frame: Samples) -> Bool {
    collect(frame)
    guard isPlaying || playout.count >= frame.count else {
      frame.update(repeating: 0)
      return false
    }
    isPlaying = true
    shorten(frame.count)
    let missing = frame.count - playout.count
    if missing > 0 {
      if madeUp == 0 { underflows &+= 1 }
      madeUp += missing
      if madeUp > sampleRate * 60 / 1_000 {
        // The other side has stopped; it begins anew some time.
        stop()
        frame.update(repeating: 0)
        return false
      }
      playout.conceal(missing)
    }
    _ = playout.take(into: frame)
    watch(frame.count)
    return true
  }

  /// Samples that wait: the delay of this end.
  var waiting: Int { ring.count + playout.count }

  /// Takes what was written. After a stall of this thread the oldest goes.
  private func collect(_ frame: Samples) {
    let limit = max(sampleRate / 10, 2 * frame.count)
    var count = ring.count
    while count > limit {
      let dropped = ring.read(into: frame.part(from: 0, count: count - limit))
      guard dropped > 0 else { break }
      samplesDropped &+= dropped
      count -= dropped
    }
    guard count > 0 else { return }
    let room = max(0, 2 * limit - playout.count)
    guard playout.append(min(count, room), decode: { self.ring.read(into: $0) }) > 0 else { return }
    madeUp = 0
  }

  private func shorten(_ needed: Int) {
    guard excess > 0, !playout.isConcealing, playout.count >= needed + playout.scaler.longestLag else { return }
    excess = max(0, excess - playout.accelerate(similarity: 0.5))
  }

  private func watch(_ needed: Int) {
    leastLeft = min(leastLeft, playout.count)
    pulls += 1
    guard pulls >= 50 else { return }
    // 4 ms of reserve are left alone.
    excess = max(0, leastLeft - sampleRate * 4 / 1_000)
    leastLeft = .max
    pulls = 0
  }

  private func stop() {
    playout.clear()
    isPlaying = false
    madeUp = 0
    leastLeft = .max
    pulls = 0
    excess = 0
  }
}
