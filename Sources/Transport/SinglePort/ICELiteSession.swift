package import Core

/// The state of an ICE-lite agent towards one peer (RFC 8445 §2.5): which paths the peer's checks have proved, which one
/// it nominated, and whether it still consents (RFC 7675, by its own checks and media). A pure value.
///
/// Drive rule: authenticate a check with `password(for:)`, give it to `receive`, and carry out the changes in order; call
/// `advance` about once a second.
package struct ICELiteSession {
  package enum Change: Equatable {
    /// Packets are taken from there from now on.
    case added(PeerPath)
    case removed(PeerPath)
    /// Packets go there from now on.
    case selected(PeerPath)
    /// This generation's ufrag no longer counts.
    case retired(UInt64)
    /// No check for `disconnectedAfter`.
    case disconnected
    /// Checks came again behind `disconnected`.
    case reconnected
    /// No check for `consentLifetime`: nothing may be sent any more.
    case consentLost
    /// No path was proved in time, or none of a restarted generation was nominated.
    case failed
  }

  package struct Path: Equatable {
    package let path: PeerPath
    /// The peer's PRIORITY of its candidate; higher is better.
    package fileprivate(set) var priority: UInt32
    package fileprivate(set) var lastCheck: Instant
    package fileprivate(set) var lastNomination: Instant?
  }

  private struct Generation {
    let credentials: ICECredentials
    var remoteUfrag: String?
    var isProved = false
  }

  /// A browser with many interfaces towards a server with several addresses has some twenty.
  package static let maximumPaths = 32
  package static let disconnectedAfter = Duration.seconds(15)
  /// RFC 7675 §5.1.
  package static let consentLifetime = Duration.seconds(30)
  /// A nominated path of less priority takes over once the selected one was not nominated for so long.
  package static let nominationLifetime = Duration.milliseconds(300)
  /// A selected path that is not checked for so long yields to one that is: browsers check theirs every 2.5 s.
  package static let selectionLifetime = Duration.seconds(6)

  private var current: Generation
  /// Before a restart; works until a path of the new one is nominated (RFC 8445 §9).
  private var previous: Generation?
  package private(set) var paths: [Path] = []
  package private(set) var selected: PeerPath?
  private var isDisconnected = false
  private var deadline: Instant?

  package init(credentials: ICECredentials) { current = Generation(credentials: credentials) }

  package var credentials: ICECredentials { current.credentials }

  /// Of the generations that count.
  package var keys: [UInt64] { [current.credentials.key] + (previous.map { [$0.credentials.key] } ?? []) }

  /// Whether a restart of ours waits for the peer's part of it.
  package var isRestartPending: Bool { previous != nil && current.remoteUfrag == nil }

  /// The password that a check for this generation is signed with; nil for a generation that does not count.
  package func password(for key: UInt64) -> [UInt8]? {
    if key == current.credentials.key { return current.credentials.passwordBytes }
    if let previous, key == previous.credentials.key { return previous.credentials.passwordBytes }
    return nil
  }

  /// The peer's description came: from here on only its ufrag may stand behind ours.
  package mutating func setRemote(ufrag: String, deadline: Instant) {
    current.remoteUfrag = ufrag
    if selected == nil || !current.isProved { self.deadline = deadline }
  }

  /// New credentials; the old ones work until the new ones are used.
  package mutating func restart(_ credentials: ICECredentials) -> [Change] {
    var changes: [Change] = []
    if current.isProved || previous == nil {
      if let previous { changes.append(.retired(previous.credentials.key)) }
      previous = current
    } else {
      changes.append(.retired(current.credentials.key))
    }
    current = Generation(credentials: credentials)
    return changes
  }

  // MARK: Checks

  /// Takes a check whose MESSAGE-INTEGRITY was right.
  /// - Parameters:
  ///   - key: Of the generation that it is for.
  ///   - theirs: The part of USERNAME behind the colon.
  package mutating func receive(
    _ check: STUNMessage, key: UInt64, theirs: UnsafeRawBufferPointer, from path: PeerPath, now: Instant
  ) -> (answer: STUNAnswer, changes: [Change]) {
    let isCurrent = key == current.credentials.key
    let known = isCurrent ? current.remoteUfrag : previous?.remoteUfrag
    if let known, !ICELiteSession.isSame(known, theirs) { return (.unauthenticated, []) }
    guard check.unknown.isEmpty else { return (.unknownAttributes(check.unknown), []) }
    guard check.controlled == nil else { return (.roleConflict, []) }
    guard let priority = check.priority else { return (.badRequest, []) }

    var changes: [Change] = []
    if isCurrent { current.isProved = true }
    if isDisconnected {
      isDisconnected = false
      changes.append(.reconnected)
    }
    let index = prove(path, priority: priority, now: now, &changes)
    if check.useCandidate {
      paths[index].lastNomination = now
      if isCurrent {
        deadline = nil
        if let old = previous {
          previous = nil
          changes.append(.retired(old.credentials.key))
          // The restart's whole point: what the new generation nominates counts.
          select(path, &changes)
        }
      }
      if takesOver(paths[index], now: now) { select(path, &changes) }
    } else if selected == nil {
      // Packets may go over any proved path until one is nominated (RFC 8445 §12.1).
      select(path, &changes)
    }
    return (.success, changes)
  }

  private static func isSame(_ ufrag: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count == ufrag.utf8.count && bytes.elementsEqual(ufrag.utf8)
  }

  /// The index of the path, which is added unless it is known. The least recently checked one goes for it.
  private mutating func prove(
    _ path: PeerPath, priority: UInt32, now: Instant, _ changes: inout [Change]
  ) -> Int {
    for i in paths.indices where paths[i].path == path {
      paths[i].lastCheck = now
      paths[i].priority = priority
      return i
    }
    if paths.count >= ICELiteSession.maximumPaths {
      let oldest = paths.indices.filter { paths[$0].path != selected }.min { paths[$0].lastCheck < paths[$1].lastCheck }
      if let oldest { changes.append(.removed(paths.remove(at: oldest).path)) }
    }
    paths.append(Path(path: path, priority: priority, lastCheck: now))
    changes.append(.added(path))
    return paths.count - 1
  }

  /// Whether a nominated path becomes the selected one. Peers with aggressive nomination nominate all: the best counts.
  /// Peers that change their mind nominate only the new one.
  private func takesOver(_ candidate: Path, now: Instant) -> Bool {
    guard let selected, candidate.path != selected, let holder = paths.first(where: { $0.path == selected }),
      let nomination = holder.lastNomination
    else { return true }
    return candidate.priority > holder.priority || nomination + ICELiteSession.nominationLifetime < now
  }

  private mutating func select(_ path: PeerPath, _ changes: inout [Change]) {
    guard selected != path else { return }
    selected = path
    changes.append(.selected(path))
  }

  // MARK: Time

  package mutating func advance(to now: Instant) -> [Change] {
    var changes: [Change] = []
    if let deadline, deadline <= now {
      self.deadline = nil
      changes.append(.failed)
    }
    guard let latest = paths.lazy.map(\.lastCheck).max() else { return changes }
    if latest + ICELiteSession.consentLifetime <= now {
      for path in paths { changes.append(.removed(path.path)) }
      paths = []
      selected = nil
      isDisconnected = false
      changes.append(.consentLost)
      return changes
    }
    for path in paths where path.path != selected && path.lastCheck + ICELiteSession.consentLifetime <= now {
      changes.append(.removed(path.path))
    }
    paths.removeAll { $0.path != selected && $0.lastCheck + ICELiteSession.consentLifetime <= now }
    if let holder = paths.first(where: { $0.path == selected }),
      holder.lastCheck + ICELiteSession.selectionLifetime <= now,
      let heir = paths.max(by: { ($0.lastCheck, $0.priority) < ($1.lastCheck, $1.priority) }),
      heir.lastCheck + ICELiteSession.selectionLifetime > now
    {
      select(heir.path, &changes)
    }
    if !isDisconnected, latest + ICELiteSession.disconnectedAfter <= now {
      isDisconnected = true
      changes.append(.disconnected)
    }
    return changes
  }

  /// Something came over a proved path that is not the selected one. Before nomination the peer sends only where it got
  /// our answers, so packets go there too; a path may work one way only.
  package mutating func prefer(_ path: PeerPath) -> [Change] {
    guard let index = paths.firstIndex(where: { $0.path == path }), paths[index].path != selected,
      !paths.contains(where: { $0.path == selected && $0.lastNomination != nil })
    else { return [] }
    var changes: [Change] = []
    select(path, &changes)
    return changes
  }

  /// Authenticated media came over the selected path: a sign of life of peers that keep their mapping alive by
  /// indications instead of checks.
  package mutating func hear(at now: Instant) -> [Change] {
    guard let index = paths.firstIndex(where: { $0.path == selected }) else { return [] }
    paths[index].lastCheck = max(paths[index].lastCheck, now)
    guard isDisconnected else { return [] }
    isDisconnected = false
    return [.reconnected]
  }

  /// The path is gone for good, as a closed connection is.
  package mutating func lose(_ path: PeerPath) -> [Change] {
    guard let index = paths.firstIndex(where: { $0.path == path }) else { return [] }
    paths.remove(at: index)
    var changes = [Change.removed(path)]
    guard selected == path else { return changes }
    selected = nil
    if let heir = paths.max(by: { ($0.lastCheck, $0.priority) < ($1.lastCheck, $1.priority) }) {
      select(heir.path, &changes)
    } else {
      isDisconnected = true
      changes.append(.disconnected)
    }
    return changes
  }
}
