// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// Where one transport's packets go: a socket and an address, or a closure for relays. Worker-confined.
final class DatagramSink {
  /// Borrowed; -1 while there is none.
  var descriptor: Int32 = -1
  var destination = SocketStorage()
  /// `descriptor` is connected to the destination.
  var isConnected = false
  /// Takes one packet where the socket cannot be used directly (TURN, ICE-TCP); false when it was not sent.
  var relay: ((UnsafeRawBufferPointer) -> Bool)?
  /// Packets that the kernel or the relay refused.
  fileprivate(set) var failures: UInt64 = 0

  fileprivate var first: Int32 = -1
  fileprivate var last: Int32 = -1

  /// Whether packets have somewhere to go.
  var isReady: Bool { relay != nil || (descriptor >= 0 && destination.length > 0) }
}

/// The packets that one worker's transports queued during a turn, in one preallocated arena.
///
/// At the end of the turn each sink's packets go out in order; runs of equal size leave as one segmented datagram
/// (UDP_SEGMENT), which costs the kernel's UDP path once instead of once a packet.
final class SendQueue {
  private struct Entry {
    var offset: Int32
    var length: Int32
    var next: Int32
  }

  private static let arenaSize = 256 * 1024
  private static let maximumEntries = 1024
  /// The largest packet that is taken; longer ones would be fragmented on any real path.
  static let maximumPacket = 2048
  /// A segmented run must stay under 65,507 bytes and, in the kernel, under 64 segments.
  private static let maximumRunBytes = 60_000
  private static let maximumRun = 45

  private let arena: UnsafeMutableRawPointer
  private let entries: UnsafeMutablePointer<Entry>
  private let vectors: UnsafeMutablePointer<iovec>
  private let control: UnsafeMutableRawPointer
  private var used = 0
  private var count = 0
  private var dirty: [DatagramSink] = []
  private var segmentation = true
  private(set) var calls: UInt64 = 0
  private(set) var packets: UInt64 = 0

  init() {
    arena = .allocate(byteCount: SendQueue.arenaSize, alignment: 16)
    entries = .allocate(capacity: SendQueue.maximumEntries)
    vectors = .allocate(capacity: SendQueue.maximumRun)
    control = .allocate(byteCount: 64, alignment: 16)
    control.initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    dirty.reserveCapacity(64)
  }

  deinit {
    arena.deallocate()
    entries.deallocate()
    vectors.deallocate()
    control.deallocate()
  }

  /// Room for `size` bytes at the end of the arena, valid until `commit` or the next call. `size` ≤ `maximumPacket`.
  @inline(__always)
  func reserve(_ size: Int) -> UnsafeMutableRawPointer {
    precondition(size <= SendQueue.maximumPacket)
    if used + size > SendQueue.arenaSize || count == SendQueue.maximumEntries { flush() }
    return arena + used
  }

  /// Queues the first `length` bytes of what `reserve` gave for `sink`.
  func commit(_ length: Int, to sink: DatagramSink) {
    let index = Int32(truncatingIfNeeded: count)
    entries[count] = Entry(offset: Int32(truncatingIfNeeded: used), length: Int32(truncatingIfNeeded: length), next: -1)
    count += 1
    used += (length + 15) & ~15
    if sink.last >= 0 {
      entries[Int(sink.last)].next = index
    } else {
      sink.first = index
      dirty.append(sink)
    }
    sink.last = index
  }

  /// Sends everything that is queued.
  func flush() {
    guard count > 0 else { return }
    for sink in dirty { flush(sink) }
    dirty.removeAll(keepingCapacity: true)
    count = 0
    used = 0
  }

  private func flush(_ sink: DatagramSink) {
    var next = sink.first
    sink.first = -1
    sink.last = -1
    if let relay = sink.relay {
      while next >= 0 {
        let entry = entries[Int(next)]
        next = entry.next
        calls &+= 1
        packets &+= 1
        if !relay(UnsafeRawBufferPointer(start: arena + Int(entry.offset), count: Int(entry.length))) {
          sink.failures &+= 1
        }
      }
      return
    }
    while next >= 0 {
      let segment = entries[Int(next)].length
      var run = 0
      var bytes = 0
      while next >= 0, run < SendQueue.maximumRun {
        let entry = entries[Int(next)]
        guard entry.length <= segment, bytes + Int(entry.length) <= SendQueue.maximumRunBytes else { break }
        vectors[run] = iovec(iov_base: arena + Int(entry.offset), iov_len: Int(entry.length))
        run += 1
        bytes += Int(entry.length)
        next = entry.next
        // Only the last packet of a run may be shorter than the others.
        if entry.length < segment || !segmentation { break }
      }
      send(run: run, segment: UInt16(truncatingIfNeeded: segment), to: sink)
    }
  }

  private func send(run: Int, segment: UInt16, to sink: DatagramSink) {
    packets &+= UInt64(run)
    guard sink.descriptor >= 0, sink.destination.length > 0 else {
      sink.failures &+= UInt64(run)
      return
    }
    if transmit(vectors, count: run, segment: run > 1 ? segment : 0, to: sink) { return }
    // A connected socket tells an ICMP message of the past instead of sending; the peer may be back.
    if errno == ECONNREFUSED, transmit(vectors, count: run, segment: run > 1 ? segment : 0, to: sink) { return }
    guard run > 1 else {
      sink.failures &+= 1
      return
    }
    // Kernels and drivers without segmentation say EIO, EINVAL or EOPNOTSUPP: from now on packets go one by one.
    if errno == EIO || errno == EOPNOTSUPP || errno == ENOPROTOOPT || errno == EINVAL { segmentation = false }
    for i in 0..<run where !transmit(vectors + i, count: 1, segment: 0, to: sink) { sink.failures &+= 1 }
  }

  private func transmit(
    _ first: UnsafeMutablePointer<iovec>, count: Int, segment: UInt16, to sink: DatagramSink
  ) -> Bool {
    calls &+= 1
    let length = sink.destination.length
    let isConnected = sink.isConnected
    return withUnsafeMutablePointer(to: &sink.destination.storage) { name in
      var message = msghdr()
      if !isConnected {
        message.msg_name = UnsafeMutableRawPointer(name)
        message.msg_namelen = length
      }
      message.msg_iov = first
      message.msg_iovlen = count
      if segment != 0 {
        message.msg_control = control
        message.msg_controllen = clinux_cmsg_space(MemoryLayout<UInt16>.size)
        if let header = clinux_cmsg_first(&message) {
          header.pointee.cmsg_level = Int32(IPPROTO_UDP)
          header.pointee.cmsg_type = Int32(UDP_SEGMENT)
          header.pointee.cmsg_len = clinux_cmsg_length(MemoryLayout<UInt16>.size)
          UnsafeMutableRawPointer(clinux_cmsg_data(header)).storeBytes(of: segment, as: UInt16.self)
        }
      }
      return sendmsg(sink.descriptor, &message, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)) >= 0
    }
  }
}
