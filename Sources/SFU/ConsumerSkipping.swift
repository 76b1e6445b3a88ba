import Core

extension Consumer {
  /// A packet of the source came and is forwarded to nobody: what follows goes on without a gap.
  func skip(_ extendedSequence: Int64, from stream: ProducerStream, now: Instant) {
    guard !isPaused, !mustJoin, stream.index == (kind == .audio ? audioStream : selector.stream) else { return }
    counters.dropped &+= 1
    _ = munger.drop(sequence: extendedSequence)
  }
}
