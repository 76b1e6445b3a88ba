package import Core

/// What we want of session timers (RFC 4028). All in seconds.
package struct SessionTimerPolicy: Hashable, Sendable {
  package var interval: UInt32
  /// At least 90 (RFC 4028 §4). JsSIP asks for 90 and does not try again after 422.
  package var minimum: UInt32
  /// Who refreshes when the peer leaves it open.
  package var prefersLocalRefresh: Bool

  package init(interval: UInt32 = 1800, minimum: UInt32 = 90, prefersLocalRefresh: Bool = true) {
    self.minimum = max(minimum, 90)
    self.interval = max(interval, self.minimum)
    self.prefersLocalRefresh = prefersLocalRefresh
  }

  /// How a UAS answers.
  package enum Answer: Hashable, Sendable {
    /// 422 with this Min-SE.
    case tooSmall(minimum: UInt32)
    /// Put these into the 2xx.
    case accept(SessionExpires, requiresTimer: Bool)
  }

  /// Asks for a timer in an INVITE or UPDATE of ours (RFC 4028 §7.1).
  package func offer(in request: inout SIPRequest) {
    if !request.headers.supports("timer") { request.headers.append(.supported, "timer") }
    request.headers.sessionExpires = SessionExpires(seconds: interval)
    if minimum > 90 { request.headers.minSE = minimum }
  }

  /// The policy to try again with after a 422 (RFC 4028 §7.3); nil when that would not help.
  package func adapted(to response: SIPResponse) -> SessionTimerPolicy? {
    guard response.status == 422, let wanted = response.headers.minSE, wanted > interval else { return nil }
    return SessionTimerPolicy(interval: wanted, minimum: wanted, prefersLocalRefresh: prefersLocalRefresh)
  }

  /// Decides on a peer's INVITE or UPDATE (RFC 4028 §9, table 2).
  package func answer(to request: SIPRequest) -> Answer {
    let peerSupports = request.headers.supports("timer")
    let wanted = request.headers.sessionExpires
    let peerMinimum = max(request.headers.minSE ?? 90, 90)
    if let wanted, wanted.seconds < minimum, peerSupports { return .tooSmall(minimum: minimum) }
    var seconds = min(wanted?.seconds ?? interval, interval)
    seconds = max(seconds, peerMinimum, minimum)
    // A longer interval than the peer's is not ours to give, except up to its own minimum.
    if let wanted { seconds = min(seconds, max(wanted.seconds, peerMinimum)) }
    guard peerSupports else {
      return .accept(SessionExpires(seconds: seconds, refresher: .uas), requiresTimer: false)
    }
    let refresher = wanted?.refresher ?? (prefersLocalRefresh ? .uas : .uac)
    return .accept(SessionExpires(seconds: seconds, refresher: refresher), requiresTimer: refresher == .uac)
  }
}

extension SessionTimerPolicy.Answer {
  /// Puts the decision into a 2xx.
  package func apply(to response: inout SIPResponse) {
    guard case .accept(let expires, let requiresTimer) = self else { return }
    response.headers.sessionExpires = expires
    if requiresTimer, !response.headers.require.contains(where: { $0.equalsIgnoringCase("timer") }) {
      response.headers.append(.require, "timer")
    }
  }
}

/// The running timer of one session (RFC 4028 §10). Every 2xx to INVITE or UPDATE makes a new one.
package struct SessionTimer: Hashable, Sendable {
  package enum Event: Hashable, Sendable {
    /// Send UPDATE or re-INVITE with `offer(in:)`.
    case refresh
    /// The session is over: send BYE.
    case expired
  }

  /// Seconds.
  package let interval: UInt32
  package let isLocalRefresher: Bool
  private var refreshAt: Instant?
  private let expiresAt: Instant

  /// - Parameter interval: seconds.
  package init(interval: UInt32, isLocalRefresher: Bool, now: Instant) {
    self.interval = interval
    self.isLocalRefresher = isLocalRefresher
    let whole = Duration.seconds(Int64(interval))
    if isLocalRefresher {
      refreshAt = now + whole / 2
      expiresAt = now + whole
    } else {
      // The side that does not refresh ends the session a little early, lest BYEs cross (RFC 4028 §10).
      refreshAt = nil
      expiresAt = now + whole - .seconds(Int64(min(32, interval / 3)))
    }
  }

  /// From the 2xx that we received; nil when the peer wants no timer.
  package init?(received response: SIPResponse, now: Instant) {
    guard response.isSuccess, let expires = response.headers.sessionExpires, expires.seconds > 0 else { return nil }
    self.init(interval: max(expires.seconds, 90), isLocalRefresher: expires.refresher != .uas, now: now)
  }

  /// From the 2xx that we sent.
  package init?(sent response: SIPResponse, now: Instant) {
    guard response.isSuccess, let expires = response.headers.sessionExpires else { return nil }
    self.init(interval: expires.seconds, isLocalRefresher: expires.refresher != .uac, now: now)
  }

  package var nextDeadline: Instant { refreshAt.map { min($0, expiresAt) } ?? expiresAt }

  /// What is due; a refresh is told once.
  package mutating func advance(to now: Instant) -> Event? {
    if now >= expiresAt { return .expired }
    if let refreshAt, now >= refreshAt {
      self.refreshAt = nil
      return .refresh
    }
    return nil
  }

  /// Keeps interval and roles in a refresh request of ours, which makes us its UAC.
  package func offer(in request: inout SIPRequest, minimum: UInt32 = 90) {
    if !request.headers.supports("timer") { request.headers.append(.supported, "timer") }
    request.headers.sessionExpires = SessionExpires(seconds: interval, refresher: isLocalRefresher ? .uac : .uas)
    if minimum > 90 { request.headers.minSE = minimum }
  }
}
