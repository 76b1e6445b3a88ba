import Core
import SDP

func room(_ role: MultiplexedSession.Role = .answerer, setup: DTLSSetup = .passive) -> MultiplexedSession {
  MultiplexedSession(role: role, transport: parameters(setup: setup, lite: true), sessionID: 99)
}

func track(
  _ kind: SectionKind, _ id: String, ssrc: UInt32 = 1000, codecs: [String] = [], rtx: Bool = true,
  stream: String = "PA_x|camera"
) -> SenderDescription {
  SenderDescription(
    kind: kind, streamID: stream, trackID: id, ssrc: SSRC(ssrc),
    retransmissionSSRC: rtx && kind == .video ? SSRC(ssrc + 1) : nil, cname: "PA_x",
    codecs: codecs.map { SenderCodec($0) })
}

/// Offers of a client on its single connection: so many audio and video sections that only receive.
func recvonlyOffer(audio: Int = 1, video: Int = 1, version: Int = 1) throws -> SessionDescription {
  var full = try description("chromium-156-recvonly-offer")
  let application = full.media.filter { $0.kind == "application" }
  let audioLine = full.media.first { $0.kind == "audio" }
  let videoLine = full.media.first { $0.kind == "video" }
  var media = application
  for _ in 0..<audio { if let audioLine { media.append(audioLine) } }
  for _ in 0..<video { if let videoLine { media.append(videoLine) } }
  for i in media.indices {
    media[i].attributes.removeAll { $0.name == "mid" }
    media[i].attributes.append(Attribute("mid", "\(i)"))
  }
  full.media = media
  full.attributes.removeAll { $0.name == "group" }
  full.attributes.append(
    Attribute("group", (["BUNDLE"] + media.indices.map(String.init)).joined(separator: " ")))
  full.origin.sessionVersion = String(version)
  return full
}

/// What a client would answer: everything accepted, seen from the other side.
func accept(_ offer: SessionDescription, ufrag: String = "peer") -> SessionDescription {
  var answer = offer
  answer.attributes.removeAll { $0.name == "ice-lite" }
  for i in answer.media.indices {
    let direction = offer.direction(of: offer.media[i]).reversed
    answer.media[i].attributes.removeAll {
      Direction(rawValue: $0.name) != nil
        || ["ssrc", "ssrc-group", "msid", "setup", "ice-ufrag", "ice-pwd", "candidate"]
          .contains($0.name)
    }
    answer.media[i].attributes += [
      Attribute(direction.rawValue), Attribute("setup", "active"), Attribute("ice-ufrag", ufrag),
      Attribute("ice-pwd", "peerpasswordpeerpassword"),
    ]
  }
  return answer
}

extension MediaDescription {
  func values(_ name: String) -> [String] { attributeValues(name) }
}
