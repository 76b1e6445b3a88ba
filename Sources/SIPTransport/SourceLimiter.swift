package import Core

/// Connections and message rate of each source address, and which refusals deserve a log line.
///
/// A value: the time is an argument. Memory is bounded by `maximumSources`.
package struct SourceLimiter: Sendable {
  package struct Limits: Sendable {
    package var connections: Int
    package var messagesPerSecond: Double
    package var burst: Double
    package var maximumSources: Int
    package var unlimited: [IPNetwork]

    package init(
      connections: Int, messagesPerSecond: Double = .infinity, burst: Double = .infinity,
      maximumSources: Int = 65_536, unlimited: [IPNetwork] = []
    ) {
      self.connections = connections
      self.messagesPerSecond = messagesPerSecond
      self.burst = burst
      self.maximumSources = maximumSources
      self.unlimited = unlimited
    }
  }

  /// A line to log: the reason's first refusal of this source within a minute.
  package struct Report: Sendable, Equatable {
    /// Refusals of this source since its last line, this one included.
    package let refusals: Int
  }

  private struct Source {
    var connections = 0
    var tokens: Double
    var refilled: Instant
    var lastLine: Instant?
    var unreported = 0
  }

  package var limits: Limits
  private var sources: [IPAddress: Source] = [:]
  /// Stands in for sources beyond `maximumSources`.
  private var overflow: Source

  package init(limits: Limits) {
    self.limits = limits
    overflow = Source(tokens: limits.burst, refilled: .zero)
  }

  package var trackedSources: Int { sources.count }

  /// IPv4 by address, IPv6 by /64: one subscriber owns the whole prefix.
  private static func key(_ ip: IPAddress) -> IPAddress {
    let ip = ip.unmapped
    guard ip.isIPv6 else { return ip }
    return IPAddress(bytes: Array(ip.bytes.prefix(8)) + [UInt8](repeating: 0, count: 8)) ?? ip
  }

  private func isUnlimited(_ ip: IPAddress) -> Bool {
    limits.unlimited.contains { $0.contains(ip) }
  }

  /// Runs `body` on the source's record, which is created when there is room.
  private mutating func with<R>(_ ip: IPAddress, now: Instant, _ body: (inout Source, Limits) -> R) -> R {
    let key = Self.key(ip)
    if sources[key] == nil {
      if sources.count >= limits.maximumSources { forgetIdle(now: now) }
      guard sources.count < limits.maximumSources else { return body(&overflow, limits) }
    }
    return body(&sources[key, default: Source(tokens: limits.burst, refilled: now)], limits)
  }

  /// Counts a connection of `ip`; false when it already has as many as it may.
  package mutating func admitConnection(from ip: IPAddress, now: Instant) -> Bool {
    let unlimited = isUnlimited(ip)
    return with(ip, now: now) { source, limits in
      guard unlimited || source.connections < limits.connections else { return false }
      source.connections += 1
      return true
    }
  }

  package mutating func releaseConnection(from ip: IPAddress) {
    let key = Self.key(ip)
    if sources[key] != nil {
      sources[key]!.connections = max(0, sources[key]!.connections - 1)
    } else {
      overflow.connections = max(0, overflow.connections - 1)
    }
  }

  /// Takes one message from the source's allowance.
  ///
  /// - Parameter debt: how many messages it may overdraw: a stream that has already been read is served, then paused.
  /// - Returns: nil when allowed, else how long until the allowance is positive again.
  package mutating func takeMessage(from ip: IPAddress, now: Instant, debt: Double = 0) -> Duration? {
    guard limits.messagesPerSecond.isFinite else { return nil }
    if !limits.unlimited.isEmpty, isUnlimited(ip) { return nil }
    return with(ip, now: now) { source, limits in
      let elapsed = max(0, source.refilled.duration(to: now).inSeconds)
      source.tokens = min(limits.burst, source.tokens + elapsed * limits.messagesPerSecond)
      source.refilled = now
      if source.tokens >= 1 {
        source.tokens -= 1
        return nil
      }
      if source.tokens - 1 >= -debt { source.tokens -= 1 }
      return .milliseconds(Int((1 - source.tokens) / max(limits.messagesPerSecond, 0.001) * 1_000) + 1)
    }
  }

  /// Notes that something of `ip` was refused.
  ///
  /// - Returns: a report when the source had no line within the last minute.
  package mutating func noteRefusal(of ip: IPAddress, now: Instant) -> Report? {
    with(ip, now: now) { source, _ in
      source.unreported += 1
      if let last = source.lastLine, last.duration(to: now) < .seconds(60) { return nil }
      source.lastLine = now
      defer { source.unreported = 0 }
      return Report(refusals: source.unreported)
    }
  }

  /// Drops the records that say nothing: no connection, a full allowance, no line within the last minute.
  package mutating func forgetIdle(now: Instant) {
    let limits = limits
    sources = sources.filter { _, source in
      let elapsed = max(0, source.refilled.duration(to: now).inSeconds)
      let full =
        !limits.messagesPerSecond.isFinite || source.tokens + elapsed * limits.messagesPerSecond >= limits.burst
      let quiet = source.lastLine.map { $0.duration(to: now) >= .seconds(60) } ?? true
      return source.connections > 0 || !full || !quiet
    }
  }
}
