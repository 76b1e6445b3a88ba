import Audio
package import Core
import RTP

/// Somebody whose voice comes to a conference as Opus packets: a track of a browser. Decoded only while it is among the
/// loudest.
package final class ConferenceTrack: PacketReceiver {
  let voice = Voice()
  /// Where the RFC 6464 level stands in the packets; nil where they have none.
  private let levelExtension: UInt8?
  private weak var mixer: ConferenceMixer?
  /// Lent by the mixer while the voice is heard.
  var receiver: AudioReceiver?
  var gain = GainControl()
  private var lastPacket: Instant?
  private(set) var packetsUndecoded = 0

  /// A far end that sends no levels is taken to talk at −40 dBov whenever it sends.
  private static let unknownLevel: UInt8 = 40

  init(mixer: ConferenceMixer, levelExtension: UInt8?) {
    self.mixer = mixer
    self.levelExtension = levelExtension
  }

  /// Packets that still come are ignored.
  func leave() { mixer = nil }

  /// Takes a packet whose payload is Opus.
  package func receive(rtp packet: UnsafeRawBufferPointer, now: Instant) {
    guard let mixer, let header = try? RTPHeader(parsing: packet), !header.payload.isEmpty else { return }
    lastPacket = now
    var attenuation = Self.unknownLevel
    if let levelExtension, let element = header.extensionElement(levelExtension, in: packet.bytes),
      let at = element.first
    {
      attenuation = AudioLevel(byte: packet[at]).attenuation
    }
    guard mixer.admits(self, attenuation: attenuation), let receiver else {
      packetsUndecoded &+= 1
      return
    }
    receiver.insert(
      UnsafeRawBufferPointer(rebasing: packet[header.payload]), codec: .opus, sequence: header.sequence,
      timestamp: header.timestamp, now: now)
  }

  package func receive(rtcp packet: UnsafeRawBufferPointer, now: Instant) {}

  /// Nothing has come for a while: muted, or gone without a word.
  func isSilent(now: Instant) -> Bool { lastPacket.map { now - $0 > .milliseconds(200) } ?? true }
}
