package import Core
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// A client that sends and receives bytes as they are, over TCP or TLS on the loopback.
package final class RawClient: Sendable {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
  }

  private struct State {
    var received: [UInt8] = []
    var isClosed = false
  }

  private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    let client: RawClient
    init(_ client: RawClient) { self.client = client }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = [UInt8](unwrapInboundIn(data).readableBytesView)
      client.state.withLock { $0.received += bytes }
    }

    func channelInactive(context: ChannelHandlerContext) {
      client.state.withLock { $0.isClosed = true }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }

  private let state = Mutex(State())
  private let channel = Mutex<(any Channel)?>(nil)
  private static let patience = Duration.seconds(10)

  private init() {}

  /// - Parameter tls: speak TLS and trust `TestCertificate`.
  package static func connect(to address: Core.SocketAddress, tls: Bool = false) async throws -> RawClient {
    let client = RawClient()
    var context: NIOSSLContext?
    if tls {
      var configuration = TLSConfiguration.makeClientConfiguration()
      configuration.trustRoots = .file(TestCertificate.files.certificate)
      context = try NIOSSLContext(configuration: configuration)
    }
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { [context] channel in
        channel.eventLoop.makeCompletedFuture {
          if let context {
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
          }
          try channel.pipeline.syncOperations.addHandler(Collector(client))
        }
      }
      .connect(host: address.ip.description, port: Int(address.port)).get()
    client.channel.withLock { $0 = channel }
    return client
  }

  /// Our own address of the connection.
  package var local: Core.SocketAddress? {
    guard let address = channel.withLock({ $0?.localAddress }), let ip = address.ipAddress.flatMap({ IPAddress($0) }),
      let port = address.port
    else { return nil }
    return Core.SocketAddress(ip: ip, port: UInt16(port))
  }

  package func send(_ bytes: [UInt8]) async throws {
    guard let channel = channel.withLock({ $0 }) else { throw Failure(description: "not connected") }
    try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
  }

  package func send(_ text: String) async throws { try await send(Array(text.utf8)) }

  package func close() async {
    _ = try? await channel.withLock { $0 }?.close().get()
  }

  package var received: [UInt8] { state.withLock { $0.received } }
  package var isClosed: Bool { state.withLock { $0.isClosed } }

  /// Waits until `take` finds what it wants at the start of what was received; that many bytes are consumed.
  package func receive<R>(_ what: String, _ take: ([UInt8]) throws -> (R, consumed: Int)?) async throws -> R {
    let deadline = ContinuousClock.now + Self.patience
    while true {
      let isClosed = isClosed
      let bytes = received
      if let (result, consumed) = try take(bytes) {
        state.withLock { $0.received.removeFirst(consumed) }
        return result
      }
      if isClosed { throw Failure(description: "closed before \(what); got \(String(decoding: bytes, as: UTF8.self))") }
      if ContinuousClock.now > deadline {
        throw Failure(description: "no \(what); got \(String(decoding: bytes, as: UTF8.self))")
      }
      try await Task.sleep(for: .milliseconds(3))
    }
  }

  /// Waits for exactly these bytes.
  package func expect(_ text: String) async throws {
    let wanted = Array(text.utf8)
    try await receive("\(text.debugDescription)") { bytes -> (Void, consumed: Int)? in
      guard bytes.count >= wanted.count else { return nil }
      guard bytes.starts(with: wanted) else {
        throw Failure(description: "wanted \(text.debugDescription), got \(String(decoding: bytes, as: UTF8.self))")
      }
      return ((), wanted.count)
    }
  }

  /// Waits for everything up to and including `end`.
  package func receive(through end: String) async throws -> String {
    let wanted = Array(end.utf8)
    return try await receive("\(end.debugDescription)") { bytes in
      guard bytes.count >= wanted.count else { return nil }
      for start in 0...(bytes.count - wanted.count) where bytes[start..<(start + wanted.count)].elementsEqual(wanted) {
        return (String(decoding: bytes[..<(start + wanted.count)], as: UTF8.self), start + wanted.count)
      }
      return nil
    }
  }

  /// Waits until the peer has closed the connection.
  package func closed() async throws {
    let deadline = ContinuousClock.now + Self.patience
    while !isClosed {
      if ContinuousClock.now > deadline {
        throw Failure(description: "still open; got \(String(decoding: received, as: UTF8.self))")
      }
      try await Task.sleep(for: .milliseconds(3))
    }
  }
}

// MARK: WebSocket

extension RawClient {
  package struct Frame: Sendable, Equatable {
    package let isFinal: Bool
    package let opcode: UInt8
    package let payload: [UInt8]

    package init(isFinal: Bool, opcode: UInt8, payload: [UInt8]) {
      self.isFinal = isFinal
      self.opcode = opcode
      self.payload = payload
    }

    package var text: String { String(decoding: payload, as: UTF8.self) }
    /// The status of a close frame.
    package var closeCode: UInt16? {
      opcode == 8 && payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil
    }
  }

  /// A client's frame (RFC 6455 §5.2), masked unless told otherwise.
  package static func frame(
    opcode: UInt8 = 1, _ payload: [UInt8], isFinal: Bool = true, masked: Bool = true, reserved: UInt8 = 0
  ) -> [UInt8] {
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | reserved | opcode]
    let mask: UInt8 = masked ? 0x80 : 0
    switch payload.count {
    case ..<126: bytes.append(mask | UInt8(payload.count))
    case ..<65_536: bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: bytes += [mask | 127] + (0..<8).map { UInt8(payload.count >> (56 - 8 * $0) & 255) }
    }
    if masked { bytes += key }
    for (index, byte) in payload.enumerated() { bytes.append(masked ? byte ^ key[index & 3] : byte) }
    return bytes
  }

  package func sendText(_ text: String) async throws { try await send(Self.frame(Array(text.utf8))) }

  package func receiveFrame() async throws -> Frame {
    try await receive("a frame") { bytes in
      guard bytes.count >= 2 else { return nil }
      var start = 2
      var length = Int(bytes[1] & 0x7F)
      let extended = length == 126 ? 2 : length == 127 ? 8 : 0
      if extended > 0 {
        guard bytes.count >= 2 + extended else { return nil }
        length = bytes[2..<(2 + extended)].reduce(0) { $0 << 8 | Int($1) }
        start += extended
      }
      guard bytes[1] & 0x80 == 0 else { throw Failure(description: "a server's frame is masked") }
      guard bytes.count >= start + length else { return nil }
      let payload = Array(bytes[start..<(start + length)])
      return (Frame(isFinal: bytes[0] & 0x80 != 0, opcode: bytes[0] & 0x0F, payload: payload), start + length)
    }
  }
}
