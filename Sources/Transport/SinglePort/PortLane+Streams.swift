// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

// ICE-TCP: a connection is accepted by any worker; its first check tells whose it is, and then it moves there.
extension PortLane {
  private static let acceptedPerTurn = 32
  private static let readsPerTurn = 8

  func acceptStreams(_ listener: Int32, _ now: Instant) {
    for _ in 0..<PortLane.acceptedPerTurn {
      var name = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let descriptor = withUnsafeMutablePointer(to: &name) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          clinux_accept4(listener, $0, &length, Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue))
        }
      }
      guard descriptor >= 0 else { return }
      guard let remote = withUnsafePointer(to: &name, { SocketAddress(kernel: UnsafeRawPointer($0)) }) else {
        Glibc.close(descriptor)
        continue
      }
      // One packet is one frame: waiting for more would only delay it.
      var on: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
      _ = open(descriptor, from: remote, now: now)
    }
  }

  private func open(_ descriptor: Int32, from remote: SocketAddress, now: Instant) -> StreamConnection? {
    guard let connection = streams.add(descriptor, from: remote, now: now) else { return nil }
    let base = connection.path.base
    let watch = LaneWatch { [unowned self] now in self.serveStream(base, now) }
    do throws(TransportError) {
      connection.watch = try worker.poll.add(descriptor, isUrgent: false, handler: watch)
    } catch {
      streams.close(base, worker.poll)
      return nil
    }
    return connection
  }

  /// A connection that another worker accepted for a peer of ours, with the bytes that it has read.
  private func adopt(_ descriptor: Int32, from remote: SocketAddress, _ bytes: [UInt8]) {
    guard !isClosed, let connection = open(descriptor, from: remote, now: worker.now) else {
      // `open` has closed it; a closed lane has not.
      if isClosed { Glibc.close(descriptor) }
      return
    }
    let now = worker.now
    let reading = connection.feed(bytes) { self.receive(frame: $0, all: $1, on: connection, isAdopted: true, now: now) }
    if reading == .ended { endStream(connection) }
  }

  private func serveStream(_ base: UInt32, _ now: Instant) -> Bool {
    guard let connection = streams[base] else { return false }
    if connection.isBlocked {
      guard connection.flush() else {
        endStream(connection)
        return false
      }
      if !connection.isBlocked {
        worker.poll.update(connection.watch, events: DescriptorPoll.readable, isUrgent: false)
      }
    }
    for _ in 0..<PortLane.readsPerTurn {
      let reading = connection.read(into: streamBuffer) {
        self.receive(frame: $0, all: $1, on: connection, isAdopted: false, now: now)
      }
      switch reading {
      case .goesOn: return true
      case .limited: continue
      case .ended:
        endStream(connection)
        return true
      }
    }
    worker.hasBacklog = true
    return true
  }

  /// One frame. False when the connection is no longer ours.
  private func receive(
    frame: UnsafeMutableRawBufferPointer, all: UnsafeRawBufferPointer, on connection: StreamConnection,
    isAdopted: Bool, now: Instant
  ) -> Bool {
    guard let first = frame.first else { return true }
    let path = connection.path
    guard first < 4 else {
      if let peer = peer(on: path) { peer.receive(frame, from: path, now: now) } else { countStranger() }
      return !isClosed && streams[path.base] === connection
    }
    switch check(UnsafeRawBufferPointer(frame), path: path, arrival: index, now: now) {
    case .done: break
    case .answer(let answer, let password):
      if answer == .success { connection.isProved = true }
      respond(answer, to: UnsafeRawBufferPointer(frame), path: path, password: password)
    case .elsewhere(let lane):
      guard !isAdopted, !connection.isProved, let owner = self.lane(lane) else { break }
      streams.remove(path.base, worker.poll)
      let (descriptor, bytes) = connection.release(unused: all)
      owner.worker.perform { owner.adopt(descriptor, from: path.remote, bytes) }
      return false
    }
    return !isClosed && streams[path.base] === connection
  }

  private func endStream(_ connection: StreamConnection) {
    if !connection.isProved { streams.refuse() }
    streams.close(connection.path.base, worker.poll)
    peer(on: connection.path)?.streamEnded(connection.path)
  }
}
