/// How well a connection works, from loss and round trip: 1 (as good as lost) … 5 (excellent).
///
/// A simple reading of ITU-T G.107: what is left of 93 after delay and loss, turned into an opinion score and stretched to
/// the whole scale. Loss is counted before retransmission mends it, so it weighs less than G.107 has it.
enum ConnectionScore {
  /// - Parameters:
  ///   - loss: 0…1.
  ///   - roundTrip: Seconds.
  static func score(loss: Double, roundTrip: Double) -> Float {
    let delay = min(max(roundTrip, 0), 3) * 500
    var rating = 93.2 - 0.024 * delay
    if delay > 177.3 { rating -= 0.11 * (delay - 177.3) }
    // The impairment of Opus-like codecs under random loss: fast at first, then level.
    let percent = min(max(loss, 0), 1) * 100
    rating -= 95 * percent / (percent + 14)
    let r = min(max(rating, 0), 93.2)
    // G.107 annex B.
    let opinion = 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)
    return Float(min(5, max(1, 1 + (opinion - 1) * 4 / 3.41)))
  }
}
