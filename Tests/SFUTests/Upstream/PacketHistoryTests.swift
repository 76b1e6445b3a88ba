import Core
import RTP
import Testing

@testable import SFU

@Suite struct PacketHistoryTests {
  private func packet(_ sequence: Int64, _ bytes: [UInt8], at milliseconds: Int) throws -> RoutedPacket {
    // The history copies: the array lives as long as the call.
    let header = try RTPHeader(parsing: bytes)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    buffer.copyBytes(from: bytes)
    return RoutedPacket(
      bytes: UnsafeRawBufferPointer(buffer), header: header, elements: ExtensionElements(), descriptor: .none,
      arrival: Instant.zero + .milliseconds(milliseconds), extendedSequence: sequence, streamIndex: 0, codec: .vp8,
      spatialLayer: 0, temporalLayer: 0, startsFrame: false, endsFrame: false, isKeyFrame: false, isSwitchPoint: false,
      isLate: false, audioLevel: nil)
  }

  private func fill(_ history: PacketHistory, _ sequence: Int64, length: Int, at milliseconds: Int) throws {
    let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: length - 12)
    let bytes = Client.packet(Client.vp8, Int(sequence), 0, ssrc: SSRC(1), payload: payload)
    let packet = try packet(sequence, bytes, at: milliseconds)
    _ = history.insert(packet)
    packet.bytes.deallocate()
  }

  @Test func givesBackWhatWasPutIn() throws {
    let history = PacketHistory(kind: .video)
    for sequence in Int64(1)...100 { try fill(history, sequence, length: 13 + Int(sequence), at: Int(sequence)) }
    for sequence in Int64(1)...100 {
      let packet = try #require(history.packet(sequence))
      #expect(packet.bytes.count == 13 + Int(sequence))
      #expect(packet.payload.allSatisfy { $0 == UInt8(sequence) })
      #expect(packet.header.sequence == UInt16(sequence))
    }
    #expect(history.packet(0) == nil && history.packet(101) == nil)
  }

  @Test func keepsEverythingYoungerThanItsSpanAtAnyRate() throws {
    // 800 packets a second of 1,200 bytes: 7.7 Mbit/s.
    let history = PacketHistory(kind: .video)
    for sequence in Int64(0)..<8_000 {
      let milliseconds = Int(sequence) * 5 / 4
      try fill(history, sequence, length: 1_200, at: milliseconds)
      guard sequence % 500 == 499 else { continue }
      let oldest = max(0, sequence - 790)
      for kept in stride(from: oldest, through: sequence, by: 17) {
        let packet = try #require(history.packet(kept), "\(kept) of \(sequence)")
        #expect(packet.payload.last == UInt8(truncatingIfNeeded: kept))
      }
    }
  }

  @Test func takesMemoryByRateAndNoMoreWhenItRunsOn() throws {
    let slow = PacketHistory(kind: .audio)
    for sequence in Int64(0)..<500 { try fill(slow, sequence, length: 100, at: Int(sequence) * 20) }
    let settled = slow.memory
    for sequence in Int64(500)..<5_000 { try fill(slow, sequence, length: 100, at: Int(sequence) * 20) }
    #expect(slow.memory == settled)
    #expect(settled < 64 * 1024, "\(settled) bytes")
  }

  @Test func forgetsWhatWasOverwrittenRatherThanGivingAnotherPacket() throws {
    let history = PacketHistory(kind: .audio, span: .milliseconds(1))
    for sequence in Int64(0)..<2_000 {
      try fill(history, sequence, length: 500, at: Int(sequence) * 20)
      for old in max(0, sequence - 400)...sequence {
        guard let packet = history.packet(old) else { continue }
        #expect(packet.extendedSequence == old && packet.header.sequence == UInt16(old))
        #expect(packet.payload.first == UInt8(truncatingIfNeeded: old))
      }
    }
    #expect(history.packet(0) == nil)
  }

  @Test func holdsItsBoundUnderAFlood() throws {
    let history = PacketHistory(kind: .video)
    for sequence in Int64(0)..<6_000 { try fill(history, sequence, length: 1_400, at: 0) }
    #expect(history.memory < 3 * 1024 * 1024)
    #expect(history.packet(5_999) != nil)
  }
}
