package import Core
package import RTP

/// Where each packet belongs in a recording: from its RTP timestamp, not from when it happened to arrive.
///
/// A source's timestamps count its own audio or video clock, which runs off ours by some parts in a million and is seen
/// through a network that delays. So in two steps:
///
/// 1. Timestamps become the sender's wall clock by its sender reports (RFC 3550 §6.4.1); streams with the same `clock`
///    share that clock, and are aligned by it to the sample. Without usable reports, timestamps are taken at their nominal
///    rate.
/// 2. That clock becomes ours: over windows of some seconds, the packet that was delayed least tells how far the two are
///    apart; between windows it is interpolated, so that a drift is followed and jitter is not.
///
/// Made in one pass over a spool (`Builder`), used in a second.
package struct RecordingTimeline: Sendable {
  /// A stretch of one stream's timestamps without a jump.
  struct Segment: Sendable {
    let stream: UInt16
    let ssrc: SSRC
    let clockRate: Double
    /// Of the first packet: extended timestamp, and arrival in seconds from the recording's beginning.
    let firstTimestamp: Int64
    let firstArrival: Double
    /// The sender's clock by its reports, rising; fewer than two: none.
    var reports: [(timestamp: Int64, seconds: Double)] = []
    /// Which clock this becomes in step 2.
    var clock: Int
  }

  /// A clock of a sender against ours.
  struct Clock: Sendable {
    /// By the sender's time, rising: what to add to get ours, in seconds.
    var offsets: [(time: Double, offset: Double)] = []

    func offset(at time: Double) -> Double {
      guard let first = offsets.first, let last = offsets.last else { return 0 }
      if time <= first.time { return first.offset }
      if time >= last.time { return last.offset }
      var low = 0
      var high = offsets.count - 1
      while high - low > 1 {
        let middle = (low + high) / 2
        if offsets[middle].time <= time { low = middle } else { high = middle }
      }
      let (a, b) = (offsets[low], offsets[high])
      guard b.time > a.time else { return a.offset }
      return a.offset + (b.offset - a.offset) * (time - a.time) / (b.time - a.time)
    }
  }

  struct Key: Hashable, Sendable {
    let stream: UInt16
    let ssrc: SSRC
  }

  let began: Instant
  /// In order of arrival.
  let segments: [Key: [Segment]]
  let clocks: [Clock]

  /// Where a packet belongs, in seconds from the recording's beginning; nil for a source that the builder never saw.
  package func position(stream: UInt16, ssrc: SSRC, timestamp: UInt32, arrival: Instant) -> Double? {
    guard let candidates = segments[Key(stream: stream, ssrc: ssrc)] else { return nil }
    let at = (arrival - began).inSeconds
    guard let segment = candidates.last(where: { $0.firstArrival <= at + 0.000_001 }) ?? candidates.first else {
      return nil
    }
    let expected = segment.firstTimestamp &+ Int64((at - segment.firstArrival) * segment.clockRate)
    let extended = expected &+ Int64(Int32(bitPattern: timestamp &- UInt32(truncatingIfNeeded: expected)))
    let time = segment.senderTime(extended)
    return time + (clocks.indices.contains(segment.clock) ? clocks[segment.clock].offset(at: time) : 0)
  }
}

extension RecordingTimeline.Segment {
  /// Many senders stamp their reports to the packet, not to the sample: the line through some minutes of them is meant.
  mutating func smoothReports() {
    guard reports.count >= 3, let base = reports.first else { return }
    let points = reports.map { report in
      let media = Double(report.timestamp - base.timestamp) / clockRate
      return (time: media, offset: report.seconds - base.seconds - media)
    }
    for i in reports.indices {
      let near = points[max(0, i - 12)...min(points.count - 1, i + 12)]
      let time = points[i].time
      reports[i].seconds =
        base.seconds + time + RecordingTimeline.LocalLine.value(through: Array(near), at: time, rounds: 1)
    }
  }

  /// Seconds of the sender's clock.
  func senderTime(_ timestamp: Int64) -> Double {
    guard reports.count >= 2, let first = reports.first, let last = reports.last else {
      return Double(timestamp - firstTimestamp) / clockRate
    }
    // Outside of what the reports span: at the rate that they show over the whole.
    if timestamp <= first.timestamp || timestamp >= last.timestamp {
      let rate = (last.seconds - first.seconds) / Double(last.timestamp - first.timestamp)
      let base = timestamp <= first.timestamp ? first : last
      return base.seconds + Double(timestamp - base.timestamp) * rate
    }
    var low = 0
    var high = reports.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if reports[middle].timestamp <= timestamp { low = middle } else { high = middle }
    }
    let (a, b) = (reports[low], reports[high])
    return a.seconds + (b.seconds - a.seconds) * Double(timestamp - a.timestamp) / Double(b.timestamp - a.timestamp)
  }
}

extension RecordingTimeline {
  /// Gathers what the first pass sees.
  package struct Builder: Sendable {
    /// The least delayed packet of a window.
    struct Window: Sendable {
      var index: Int
      var timestamp: Int64
      var arrival: Double
      var excess: Double
    }

    struct Source: Sendable {
      var segment: Segment
      var lastTimestamp: Int64
      var lastArrival: Double
      var windows: [Window] = []
    }

    let began: Instant
    private var sources: [Source] = []
    /// The latest of each.
    private var current: [Key: Int] = [:]
    private var names: [UInt16: String] = [:]

    /// Seconds over which the least delayed packet is looked for.
    private static let window = 4.0
    /// Seconds by which timestamps and arrivals may come apart before it is taken for a new count.
    private static let jump = 2.0

    package init(began: Instant) { self.began = began }

    /// Streams of the same non-empty name share the sender's clock.
    package mutating func setClock(_ name: String, of stream: UInt16) { names[stream] = name }

    package mutating func add(stream: UInt16, ssrc: SSRC, timestamp: UInt32, clockRate: Int, arrival: Instant) {
      let at = (arrival - began).inSeconds
      let key = Key(stream: stream, ssrc: ssrc)
      let rate = Double(max(1, clockRate))
      if let index = current[key], sources[index].segment.clockRate == rate,
        sources[index].add(timestamp, at: at, window: Int(at / Self.window), jump: Self.jump)
      {
        return
      }
      let first = Int64(timestamp) + (1 << 32)
      let segment = Segment(
        stream: stream, ssrc: ssrc, clockRate: rate, firstTimestamp: first, firstArrival: at, clock: 0)
      current[key] = sources.count
      sources.append(
        Source(
          segment: segment, lastTimestamp: first, lastArrival: at,
          windows: [Window(index: Int(at / Self.window), timestamp: first, arrival: at, excess: 0)]))
    }

    /// Takes the sender reports of a compound packet.
    package mutating func add(stream: UInt16, reports packets: [RTCPPacket], arrival: Instant) {
      for case .senderReport(let report) in packets {
        // Zero: the sender has no wall clock (RFC 3550 §6.4.1).
        guard report.ntp.rawValue != 0, let index = current[Key(stream: stream, ssrc: report.sender)] else { continue }
        sources[index].add(report)
      }
    }

    package func build() -> RecordingTimeline {
      var clocks: [Clock] = []
      var shared: [String: Int] = [:]
      var samples: [[(time: Double, offset: Double)]] = []
      var segments: [Key: [Segment]] = [:]
      for source in sources {
        var segment = source.segment
        segment.smoothReports()
        let name = names[segment.stream] ?? ""
        if segment.reports.count >= 2, !name.isEmpty, let index = shared[name] {
          segment.clock = index
        } else {
          segment.clock = samples.count
          samples.append([])
          if segment.reports.count >= 2, !name.isEmpty { shared[name] = segment.clock }
        }
        for window in source.windows {
          let time = segment.senderTime(window.timestamp)
          samples[segment.clock].append((time, window.arrival - time))
        }
        segments[Key(stream: segment.stream, ssrc: segment.ssrc), default: []].append(segment)
      }
      for list in samples { clocks.append(Clock(offsets: Self.smooth(list))) }
      return RecordingTimeline(began: began, segments: segments, clocks: clocks)
    }

    /// Lines through the samples around each: a drift stays, what single windows were delayed more goes.
    private static func smooth(_ list: [(time: Double, offset: Double)]) -> [(time: Double, offset: Double)] {
      let sorted = list.sorted { $0.time < $1.time }
      guard sorted.count >= 3 else {
        // Too little for a line: the least delay of all.
        guard let least = sorted.map(\.offset).min(), let first = sorted.first else { return [] }
        return [(first.time, least)]
      }
      return sorted.indices.map { i in
        let near = sorted[max(0, i - 12)...min(sorted.count - 1, i + 12)]
        return (sorted[i].time, LocalLine.value(through: Array(near), at: sorted[i].time, rounds: 3))
      }
    }
  }

  /// A line through points by least squares.
  enum LocalLine {
    /// - Parameter rounds: After the first, those that lie above the line are left out: what was delayed.
    static func value(
      through points: [(time: Double, offset: Double)], at time: Double, rounds: Int
    ) -> Double {
      var kept = points
      var value = 0.0
      for round in 0..<rounds {
        let count = Double(kept.count)
        let meanTime = kept.reduce(0) { $0 + $1.time } / count
        let meanOffset = kept.reduce(0) { $0 + $1.offset } / count
        var above = 0.0
        var below = 0.0
        for point in kept {
          above += (point.time - meanTime) * (point.offset - meanOffset)
          below += (point.time - meanTime) * (point.time - meanTime)
        }
        // No crystal is off by more than 500 parts in a million.
        let slope = below > 0 ? max(-0.000_5, min(0.000_5, above / below)) : 0
        value = meanOffset + slope * (time - meanTime)
        let under = kept.filter { $0.offset <= meanOffset + slope * ($0.time - meanTime) + 0.001 }
        if round == rounds - 1 || under.count < 3 || under.count == kept.count { break }
        kept = under
      }
      return value
    }
  }
}

extension RecordingTimeline.Builder.Source {
  /// Takes a packet; false where its timestamp begins a new count.
  mutating func add(_ timestamp: UInt32, at: Double, window: Int, jump: Double) -> Bool {
    let extended = extend(timestamp)
    let media = Double(extended - segment.firstTimestamp) / segment.clockRate
    let excess = at - segment.firstArrival - media
    let step = (at - lastArrival) - Double(extended - lastTimestamp) / segment.clockRate
    guard abs(step) < jump else { return false }
    if extended > lastTimestamp {
      lastTimestamp = extended
      lastArrival = at
    }
    let new = RecordingTimeline.Builder.Window(index: window, timestamp: extended, arrival: at, excess: excess)
    if let last = windows.last, last.index >= window {
      if excess < last.excess { windows[windows.count - 1] = new }
    } else {
      windows.append(new)
    }
    return true
  }

  mutating func add(_ report: SenderReport) {
    let extended = extend(report.rtpTimestamp)
    let seconds = Double(report.ntp.rawValue >> 32) + Double(report.ntp.rawValue & 0xFFFF_FFFF) / 4_294_967_296
    if let last = segment.reports.last {
      let media = Double(extended - last.timestamp) / segment.clockRate
      let wall = seconds - last.seconds
      guard media > 0 else { return }
      // A clock that was set, or one that is made up: what was before is no help.
      if wall <= 0 || abs(wall - media) > 0.05 + 0.002 * media { segment.reports = [] }
    }
    segment.reports.append((extended, seconds))
  }

  private func extend(_ timestamp: UInt32) -> Int64 {
    lastTimestamp &+ Int64(Int32(bitPattern: timestamp &- UInt32(truncatingIfNeeded: lastTimestamp)))
  }
}
