import Core
import SDP
import SFU
import Synchronization

@testable import Rooms

/// A media worker that remembers its orders, and whose transports connect as soon as they know the peer.
final class FakeMedia: RoomMediaPort {
  private struct State {
    var commands: [RoomMediaCommand] = []
    var events: [RoomMediaEvent] = []
    var generations: [PeerID: Int] = [:]
    var remoteUfrags: [PeerID: String] = [:]
    /// Restarts that we began: the far end's new credentials are the answer to them.
    var ours: Set<PeerID> = []
    var connects = true
  }

  private let state = Mutex(State())

  /// Everything that was ordered so far.
  var commands: [RoomMediaCommand] { state.withLock { $0.commands } }

  /// Whether peers connect by themselves.
  var connects: Bool {
    get { state.withLock { $0.connects } }
    set { state.withLock { $0.connects = newValue } }
  }

  func takeEvents() -> [RoomMediaEvent] {
    state.withLock { state in
      defer { state.events = [] }
      return state.events
    }
  }

  func forget() { state.withLock { $0.commands = [] } }

  func perform(_ commands: [RoomMediaCommand]) {
    state.withLock { state in
      for command in commands {
        state.commands.append(command)
        switch command {
        case .openPeer(let id, _, _, _):
          state.generations[id] = 1
          state.events.append(.peerOpened(id, FakeMedia.parameters(id, 1)))
        case .setRemote(let id, let remote):
          let old = state.remoteUfrags.updateValue(remote.parameters.ufrag, forKey: id)
          if let old, old != remote.parameters.ufrag, state.ours.remove(id) == nil {
            state.generations[id, default: 1] += 1
            state.events.append(.peerRestarted(id, FakeMedia.parameters(id, state.generations[id] ?? 0)))
          }
          if old == nil, state.connects { state.events.append(.peerConnected(id)) }
        case .restartICE(let id):
          state.generations[id, default: 1] += 1
          state.ours.insert(id)
          state.events.append(.peerRestarted(id, FakeMedia.parameters(id, state.generations[id] ?? 0)))
        default: break
        }
      }
    }
  }

  static func parameters(_ id: PeerID, _ generation: Int) -> TransportParameters {
    TransportParameters(
      ufrag: "srv\(id.rawValue)g\(generation)", pwd: "serverpasswordserverpass",
      candidates: ["candidate:1 1 udp 2130706431 127.0.0.1 20000 typ host"], iceLite: true,
      fingerprint: Fingerprint(
        algorithm: "sha-256", value: (0..<32).map { Hex.encode([UInt8($0)]) }.joined(separator: ":")))
  }
}
