// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// Takes the datagrams of one watched socket.
protocol DatagramConsumer: AnyObject {
  /// `datagram` may be changed in place and is valid only during the call. `tag` is the one given to `watch`.
  func receive(datagram: UnsafeMutableRawBufferPointer, from source: UnsafeRawPointer, tag: Int, now: Instant)
}

/// Drains ready sockets with `recvmmsg` into buffers shared by all sockets of one worker.
final class DatagramReader {
  private static let batch = 16
  private static let bufferSize = 2048
  /// Batches taken from one socket a turn, so that a flood on one does not silence the others.
  private static let batchesPerTurn = 4

  private let messages: UnsafeMutablePointer<clinux_mmsghdr>
  private let vectors: UnsafeMutablePointer<iovec>
  private let names: UnsafeMutablePointer<sockaddr_storage>
  private let buffers: UnsafeMutableRawPointer

  init() {
    messages = .allocate(capacity: DatagramReader.batch)
    vectors = .allocate(capacity: DatagramReader.batch)
    names = .allocate(capacity: DatagramReader.batch)
    buffers = .allocate(byteCount: DatagramReader.batch * DatagramReader.bufferSize, alignment: 16)
    names.initialize(repeating: sockaddr_storage(), count: DatagramReader.batch)
    for i in 0..<DatagramReader.batch {
      vectors[i] = iovec(iov_base: buffers + i * DatagramReader.bufferSize, iov_len: DatagramReader.bufferSize)
      var message = clinux_mmsghdr()
      message.msg_hdr.msg_iov = vectors + i
      message.msg_hdr.msg_iovlen = 1
      message.msg_hdr.msg_name = UnsafeMutableRawPointer(names + i)
      message.msg_hdr.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
      (messages + i).initialize(to: message)
    }
  }

  deinit {
    messages.deallocate()
    vectors.deallocate()
    names.deallocate()
    buffers.deallocate()
  }

  /// What one turn's reading of a socket came to.
  enum Outcome {
    case nothing
    case emptied
    /// The limit was reached; more may be waiting.
    case limited
  }

  /// Gives datagrams to `body`, which may change them in place, until the socket is empty, `batches` of 16 are read or
  /// `body` gives false.
  @inline(__always)
  func read(
    _ descriptor: Int32, batches: Int = DatagramReader.batchesPerTurn,
    _ body: (UnsafeMutableRawBufferPointer, UnsafeRawPointer) -> Bool
  ) -> Outcome {
    var any = false
    for _ in 0..<batches {
      let received = Int(clinux_recvmmsg(descriptor, messages, UInt32(DatagramReader.batch), Int32(MSG_DONTWAIT), nil))
      guard received > 0 else { return any ? .emptied : .nothing }
      any = true
      var goesOn = true
      for i in 0..<received {
        // The kernel overwrites the length; the next call needs it whole.
        messages[i].msg_hdr.msg_namelen = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // Longer datagrams are cut by the kernel, which then sets MSG_TRUNC: no media packet is that long.
        let cut = messages[i].msg_hdr.msg_flags & Int32(MSG_TRUNC) != 0
        let datagram = UnsafeMutableRawBufferPointer(
          start: buffers + i * DatagramReader.bufferSize, count: cut ? 0 : Int(messages[i].msg_len))
        if !body(datagram, UnsafeRawPointer(names + i)) { goesOn = false }
      }
      if received < DatagramReader.batch || !goesOn { return .emptied }
    }
    return .limited
  }

  /// True when anything was read.
  func drain(_ watch: SocketWatch, now: Instant) -> Bool {
    let outcome = read(watch.descriptor) { datagram, source in
      watch.consumer?.receive(datagram: datagram, from: source, tag: watch.tag, now: now)
      return watch.consumer != nil
    }
    return outcome != .nothing
  }
}

/// One socket whose datagrams go to a consumer, which is not kept alive.
final class SocketWatch: ReadyHandler {
  let descriptor: Int32
  let tag: Int
  private(set) weak var consumer: (any DatagramConsumer)?
  private unowned let reader: DatagramReader

  init(descriptor: Int32, tag: Int, consumer: any DatagramConsumer, reader: DatagramReader) {
    self.descriptor = descriptor
    self.tag = tag
    self.consumer = consumer
    self.reader = reader
  }

  func ready(now: Instant) -> Bool { reader.drain(self, now: now) }
}
