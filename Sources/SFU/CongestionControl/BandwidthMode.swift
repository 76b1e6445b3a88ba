/// How we learn what a peer can receive.
package enum BandwidthMode: Hashable, Sendable {
  /// From the loss in report blocks alone; nothing is paced.
  case none
  /// The receiver estimates (`goog-remb`).
  case remb
  /// We estimate from transport-wide feedback (`transport-cc`); a REMB is a cap.
  case transportCC
}
