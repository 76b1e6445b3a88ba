import Synchronization

/// Names the process's metrics and writes them in the Prometheus text format (version 0.0.4).
///
/// Metrics are registered once, when things are built; the returned object is kept and counted on. Registering the same
/// name with the same labels again returns the same object.
package final class MetricsRegistry: Sendable {
  private enum Source: Sendable {
    case counter(Counter)
    case gauge(Gauge)
    case histogram(Histogram)
    case reading(@Sendable () -> Double)
  }

  private struct Family {
    let kind: String
    let help: String
    var series: [(labels: String, source: Source)] = []
  }

  private struct State {
    var families: [String: Family] = [:]
  }

  private let state = Mutex(State())

  package init() {}

  /// A count, such as `parley_sip_requests_total`. Prometheus wants the suffix `_total`.
  package func counter(_ name: String, _ help: String, labels: [(String, String)] = []) -> Counter {
    let source = register(name, "counter", help, labels) { .counter(Counter()) }
    // A name that was registered as another kind keeps that kind; what is counted here is then not shown.
    if case .counter(let counter) = source { return counter }
    return Counter()
  }

  package func gauge(_ name: String, _ help: String, labels: [(String, String)] = []) -> Gauge {
    let source = register(name, "gauge", help, labels) { .gauge(Gauge()) }
    if case .gauge(let gauge) = source { return gauge }
    return Gauge()
  }

  package func histogram(
    _ name: String, _ help: String, bounds: [Double] = Histogram.seconds, labels: [(String, String)] = []
  ) -> Histogram {
    let source = register(name, "histogram", help, labels) { .histogram(Histogram(bounds: bounds)) }
    if case .histogram(let histogram) = source { return histogram }
    return Histogram(bounds: bounds)
  }

  /// A value that is read when the metrics are asked for. `read` must be quick and must not ask for the metrics itself.
  package func reading(
    _ name: String, _ help: String, kind: ReadingKind = .gauge, labels: [(String, String)] = [],
    _ read: @escaping @Sendable () -> Double
  ) {
    _ = register(name, kind.rawValue, help, labels) { .reading(read) }
  }

  package enum ReadingKind: String, Sendable { case gauge, counter }

  private func register(
    _ name: String, _ kind: String, _ help: String, _ labels: [(String, String)], _ make: () -> Source
  ) -> Source {
    precondition(MetricsRegistry.isName(name), "\(name) is no metric name")
    let text = labels.map { "\($0.0)=\"\(MetricsRegistry.escape($0.1, quotes: true))\"" }.joined(separator: ",")
    return state.withLock { state in
      var family = state.families[name] ?? Family(kind: kind, help: help)
      if let known = family.series.first(where: { $0.labels == text }) { return known.source }
      let source = make()
      if family.kind == kind { family.series.append((text, source)) }
      state.families[name] = family
      return source
    }
  }

  /// All metrics, sorted by name.
  package func prometheusText() -> String {
    let families = state.withLock { $0.families }
    var out = ""
    for (name, family) in families.sorted(by: { $0.key < $1.key }) where !family.series.isEmpty {
      out += "# HELP \(name) \(MetricsRegistry.escape(family.help, quotes: false))\n# TYPE \(name) \(family.kind)\n"
      for (labels, source) in family.series.sorted(by: { $0.labels < $1.labels }) {
        let braces = labels.isEmpty ? "" : "{\(labels)}"
        switch source {
        case .counter(let counter): out += "\(name)\(braces) \(counter.value)\n"
        case .gauge(let gauge): out += "\(name)\(braces) \(gauge.value)\n"
        case .reading(let read): out += "\(name)\(braces) \(MetricsRegistry.number(read()))\n"
        case .histogram(let histogram):
          let counts = histogram.cumulativeCounts
          let prefix = labels.isEmpty ? "" : labels + ","
          for (bound, count) in zip(histogram.bounds, counts) {
            out += "\(name)_bucket{\(prefix)le=\"\(MetricsRegistry.number(bound))\"} \(count)\n"
          }
          let total = counts.last ?? 0
          out += "\(name)_bucket{\(prefix)le=\"+Inf\"} \(total)\n"
          out += "\(name)_sum\(braces) \(MetricsRegistry.number(histogram.sum))\n\(name)_count\(braces) \(total)\n"
        }
      }
    }
    return out
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value) { return String(whole) }
    return String(value)
  }

  /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
  private static func isName(_ name: String) -> Bool {
    !name.isEmpty
      && name.utf8.enumerated().allSatisfy { index, c in
        switch c {
        case 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: ":"): true
        case 0x30...0x39: index > 0
        default: false
        }
      }
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\"" where quotes: out += "\\\""
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
