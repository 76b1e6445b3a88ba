import Core
import Foundation
import SDP

/// A file of `Tests/Vectors/sdp`, without its ending.
func vector(_ name: String) throws -> [UInt8] {
  let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  return Array(try Data(contentsOf: directory.appendingPathComponent("Vectors/sdp/\(name).sdp")))
}

func description(_ name: String) throws -> SessionDescription { try SessionDescription(parsing: vector(name)) }

/// Every file of `Tests/Vectors/sdp`.
let vectorNames = [
  "chromium-130-offer", "chromium-130-answer", "chromium-130-video-offer", "firefox-128-offer", "baresip-1.0-offer",
  "baresip-1.0-answer", "asterisk-20-offer", "asterisk-20-hold", "cisco-hold-rfc2543", "fax-gateway-offer",
  "g729-only-offer",
]

let ourFingerprint = Fingerprint(
  algorithm: "sha-256", value: (0..<32).map { Hex.encode([UInt8($0)]) }.joined(separator: ":"))

func parameters(ufrag: String = "ours", setup: DTLSSetup = .actpass, lite: Bool = false) -> TransportParameters {
  TransportParameters(
    ufrag: ufrag, pwd: "ourpasswordourpassword22",
    candidates: ["candidate:1 1 udp 2130706431 127.0.0.1 20000 typ host"], iceLite: lite, fingerprint: ourFingerprint,
    setup: setup)
}

func browserLeg(
  _ codecs: [AudioCodec] = [.opus, .pcmu, .pcma], setup: DTLSSetup = .actpass, dtmf: Bool = true, lite: Bool = false
) -> AudioSession {
  AudioSession(
    codecs: codecs,
    transport: .webRTC(
      parameters(setup: setup, lite: lite), address: SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: 20_000)),
    ssrc: SSRC(0x1234_5678), cname: "leg@parley", sessionID: 42, dtmf: dtmf)
}

func trunkLeg(
  _ codecs: [AudioCodec] = [.pcmu, .pcma, .g722, .opus], rtcpPort: UInt16? = nil, dtmf: Bool = true
) -> AudioSession {
  AudioSession(
    codecs: codecs, transport: .rtp(address: IPAddress(v4: 0x7F00_0001), port: 30_000, rtcpPort: rtcpPort),
    ssrc: SSRC(7), cname: "leg@parley", sessionID: 7, dtmf: dtmf)
}

/// A plain RTP description from its audio lines.
func audio(
  _ mLine: String = "audio 4000 RTP/AVP 0", _ attributes: [String] = [], address: String = "192.0.2.9", version: Int = 1
) throws -> SessionDescription {
  let lines =
    ["v=0", "o=- 1 \(version) IN IP4 192.0.2.9", "s=-", "c=IN IP4 \(address)", "t=0 0", "m=\(mLine)"]
    + attributes.map { "a=" + $0 }
  return try SessionDescription(parsing: lines.joined(separator: "\r\n") + "\r\n")
}

extension SessionDescription {
  func replacing(_ a: String, _ b: String) throws -> SessionDescription {
    try SessionDescription(parsing: description.replacingOccurrences(of: a, with: b))
  }
}
