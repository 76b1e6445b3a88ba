import Core
import Foundation
import Gateway

extension Checks {
  /// Whether the single port is free, what browsers are told of it, and what must be let in for them.
  func singlePortFindings() -> [Finding] {
    guard configuration.media.ice == .singlePort else { return [] }
    let port = configuration.media.port
    let listed = configuration.media.listen.filter { !$0.isUnspecified }
    let bound = listed.isEmpty ? LocalAddresses.interfaces() : listed
    var findings: [Finding] = []
    for address in bound.isEmpty ? [IPAddress(v4: 0x7F00_0001)] : bound {
      for udp in [true, false] {
        let local = SocketAddress(ip: address, port: port)
        let code = PortProbe.bind(local, udp: udp)
        // A tentative address among those found is left out at the start; a listed one is an error.
        if code == 0 || (listed.isEmpty && code == EADDRNOTAVAIL) { continue }
        findings.append(
          Finding(
            .fail, "media.port \(local)/\(udp ? "udp" : "tcp")",
            code == EADDRINUSE
              ? "in use by another program, or by a running Parley." : String(cString: strerror(code)) + ".",
            remedy: code == EADDRINUSE
              ? "Stop it (ss -lpn shows it), or change media.port." : "Change media.port or media.listen."))
      }
    }
    if findings.isEmpty {
      let seen = SinglePortAddresses.told(bound: bound, advertised: configuration.media.address)
        .map { SocketAddress(ip: $0, port: port).description }
      findings.append(
        Finding(
          .ok, "media.port",
          seen.isEmpty
            ? "only browsers on this machine are told where it is."
            : "browsers are told \(seen.joined(separator: ", ")). A firewall must let UDP and TCP port \(port) in, and UDP "
              + "\(configuration.media.ports.lowerBound)-\(configuration.media.ports.upperBound) for phones and trunks."
        ))
    }
    if let limit = KernelLimits.receiveBuffer(), limit < KernelLimits.wantedReceiveBuffer, getuid() != 0 {
      findings.append(
        Finding(
          .warn, "media.port",
          "the kernel lets a socket hold \(limit / 1024) KB, and this one carries all browsers of a worker: bursts are lost.",
          remedy: "sysctl -w net.core.rmem_max=\(KernelLimits.wantedReceiveBuffer) net.core.wmem_max="
            + "\(KernelLimits.wantedReceiveBuffer / 2)"))
    }
    return findings
  }
}

enum KernelLimits {
  /// What the single port asks for.
  static let wantedReceiveBuffer = 4 * 1024 * 1024

  /// The largest receive buffer that a program without privileges gets, in bytes.
  static func receiveBuffer() -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/sys/net/core/rmem_max", encoding: .utf8) else { return nil }
    return Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
  }
}
