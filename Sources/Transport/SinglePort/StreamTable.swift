internal import Core

/// The ICE-TCP connections of one worker, with the bounds that strangers must keep.
final class StreamTable {
  /// Connections without a right check: of all strangers, and of one address.
  static let maximumUnproved = 512
  static let maximumUnprovedFromOneAddress = 32
  /// A connection whose checks are not right by then is closed.
  static let proofLimit = Duration.seconds(10)

  private var connections: [UInt32: StreamConnection] = [:]
  private var last: UInt32 = 0
  private let backlog: Int
  private(set) var refused: UInt64 = 0

  init(backlog: Int) { self.backlog = backlog }

  var count: Int { connections.count }

  subscript(base: UInt32) -> StreamConnection? { connections[base] }

  var all: [StreamConnection] { Array(connections.values) }

  /// Takes a connected descriptor over; nil, and closed, when too many strangers are connected.
  func add(_ descriptor: Int32, from remote: SocketAddress, now: Instant) -> StreamConnection? {
    repeat { last = (last &+ 1) & ~PeerPath.streamFlag } while connections[last | PeerPath.streamFlag] != nil
    let path = PeerPath(base: last | PeerPath.streamFlag, remote: remote)
    let connection = StreamConnection(descriptor: descriptor, path: path, accepted: now, backlog: backlog)
    var strangers = 0
    var same = 0
    for other in connections.values where !other.isProved {
      strangers += 1
      if other.path.remote.ip == remote.ip { same += 1 }
    }
    guard strangers < StreamTable.maximumUnproved, same < StreamTable.maximumUnprovedFromOneAddress else {
      refused &+= 1
      connection.close()
      return nil
    }
    connections[path.base] = connection
    return connection
  }

  func close(_ base: UInt32, _ poll: DescriptorPoll) {
    guard let connection = connections.removeValue(forKey: base) else { return }
    poll.remove(connection.watch)
    connection.close()
  }

  /// Out of the table, with its descriptor still open.
  func remove(_ base: UInt32, _ poll: DescriptorPoll) {
    guard let connection = connections.removeValue(forKey: base) else { return }
    poll.remove(connection.watch)
  }

  func refuse() { refused &+= 1 }

  func send(_ frame: UnsafeRawBufferPointer, on base: UInt32, _ poll: DescriptorPoll) -> Bool {
    guard let connection = connections[base] else { return false }
    let wasBlocked = connection.isBlocked
    let isTaken = connection.send(frame)
    if connection.isBlocked, !wasBlocked {
      poll.update(connection.watch, events: DescriptorPoll.readable | DescriptorPoll.writable, isUrgent: false)
    }
    return isTaken
  }

  /// Closes strangers that have had their time.
  func expire(now: Instant, _ poll: DescriptorPoll) {
    for connection in all where !connection.isProved && connection.accepted + StreamTable.proofLimit <= now {
      refused &+= 1
      close(connection.path.base, poll)
    }
  }

  func closeAll(_ poll: DescriptorPoll) {
    for connection in all { close(connection.path.base, poll) }
  }
}
