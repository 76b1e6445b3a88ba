import Core

/// When to ask a publisher for a key frame of one stream: at most once an interval whatever the number of subscribers
/// that need one, again while none comes. A value.
struct KeyFrameRequests {
  enum Action: Equatable {
    case none
    case pictureLossIndication
    /// RFC 5104 §4.3.1, for peers that did not answer PLI. With the request's sequence number.
    case fullIntraRequest(UInt8)
  }

  /// Requests without an answer before FIR is tried.
  private static let lossIndications = 3
  /// Nobody answers: leave it to the subscribers to ask again.
  private static let maximumTries = 6

  let interval: Duration
  private var lastSent: Instant?
  /// Since when a key frame is wanted that has not come.
  private var wantedSince: Instant?
  private var tries = 0
  private var intraSequence: UInt8 = 0
  private(set) var sent = 0

  init(interval: Duration) { self.interval = interval }

  var isOutstanding: Bool { wantedSince != nil }

  /// A subscriber needs a key frame.
  mutating func request(now: Instant) -> Action {
    want(now: now)
    return poll(now: now)
  }

  /// A key frame is needed, to be asked for at the next `poll`.
  mutating func want(now: Instant) {
    guard wantedSince == nil else { return }
    wantedSince = now
    tries = 0
  }

  /// A key frame's first packet came.
  mutating func keyFrameStarted() {
    wantedSince = nil
    tries = 0
  }

  /// What is due now.
  mutating func poll(now: Instant) -> Action {
    guard wantedSince != nil else { return .none }
    if let lastSent {
      // What was asked for is still under way for a while; an unanswered request is repeated more slowly.
      let pause = tries == 0 ? interval : interval * min(tries + 1, 4)
      guard now - lastSent >= pause else { return .none }
    }
    guard tries < Self.maximumTries else {
      wantedSince = nil
      return .none
    }
    tries += 1
    sent += 1
    lastSent = now
    guard tries > Self.lossIndications else { return .pictureLossIndication }
    intraSequence &+= 1
    return .fullIntraRequest(intraSequence)
  }
}
