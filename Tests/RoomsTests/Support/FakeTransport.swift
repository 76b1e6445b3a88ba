import Core
import Transport

/// A transport that goes nowhere. Worker-confined.
final class FakeTransport: PeerTransport {
  weak var receiver: (any PacketReceiver)?
  var onEvent: ((WebRTCTransportEvent) -> Void)?
  private(set) var localUfrag = "ufrag0"
  let localPassword = "passwordpasswordpassword"
  let fingerprint = (0..<32).map { Hex.encode([UInt8($0)]) }.joined(separator: ":")
  let isICELite = true
  let localCandidates = ["candidate:1 1 udp 2130706431 127.0.0.1 20000 typ host"]
  var selectedPair: (local: String, remote: String)?
  var statistics = TransportStatistics()
  let dataChannels: DataChannels? = nil
  private(set) var isClosed = false
  private(set) var candidates: [String] = []
  private var remote: String?
  private var restarts = 0
  private var restartIsOurs = false

  func gather(_ completion: @escaping ([String]) -> Void) throws(TransportError) { completion(localCandidates) }

  func setRemote(
    ufrag: String, password: String, candidates: [String], fingerprint: (algorithm: String, value: String),
    isLite: Bool, role: DTLSRole
  ) throws(TransportError) {
    if ufrag == "refused" { throw .invalidRemote("a test") }
    if let remote, remote != ufrag, !restartIsOurs { renew() }
    restartIsOurs = false
    remote = ufrag
  }

  func addRemoteCandidate(_ line: String) { candidates.append(line) }

  func restartICE() -> (ufrag: String, password: String) {
    restartIsOurs = true
    renew()
    return (localUfrag, localPassword)
  }

  private func renew() {
    restarts += 1
    localUfrag = "ufrag\(restarts)"
  }

  func openDataChannels(maximumMessageSize: Int) -> DataChannels { preconditionFailure("no test needs them") }
  func close() { isClosed = true }
  private(set) var sentRTP: [[UInt8]] = []
  private(set) var sentRTCP: [[UInt8]] = []
  func send(rtp packet: UnsafeRawBufferPointer) { sentRTP.append([UInt8](packet)) }
  func send(rtcp packet: UnsafeRawBufferPointer) { sentRTCP.append([UInt8](packet)) }
}
