package import Core

extension AudioCodec {
  /// The rate in hertz at which the codec samples: what is lost below it cannot be had back.
  package var nativeSampleRate: Int {
    switch self {
    case .pcmu, .pcma: 8_000
    case .g722: 16_000
    case .opus: 48_000
    }
  }

  /// The companding law, for G.711.
  package var law: G711.Law? {
    switch self {
    case .pcmu: .mu
    case .pcma: .a
    case .g722, .opus: nil
    }
  }
}
