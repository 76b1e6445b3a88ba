import API
import Core
import Foundation
import Gateway
import SIP
import SIPTransport

/// The lines that tell a person where to click and as whom to log in.
struct Announcement {
  let configuration: Configuration
  let sip: [BoundListener]
  let web: [BoundHTTPListener]
  let demo: DemoCredentials?

  func print() {
    var lines = ["", "Parley \(parleyVersion) is running.", ""]
    // Browsers give the microphone to https pages and to localhost only.
    for listener in web {
      let scheme = listener.isSecure ? "https" : "http"
      let hosts: [String]
      if listener.address.ip.isUnspecified {
        hosts = ["localhost"] + (listener.isSecure ? LocalAddresses.interfaces().prefix(1).map { host($0) } : [])
      } else {
        hosts = [host(listener.address.ip)]
      }
      for name in hosts {
        lines.append("  Agent desktop   \(scheme)://\(name):\(listener.address.port)/desk/")
        lines.append("  Video rooms     \(scheme)://\(name):\(listener.address.port)/room/")
      }
    }
    for user in demo?.users ?? [] {
      lines.append("  Log in as       \(user.name)  password \(user.password)  (\(user.display))")
    }
    if demo != nil { lines.append("  Then call       600 to hear yourself, 601 for a 1004 Hz tone") }
    if let demo, configuration.keys.isEmpty {
      lines.append(
        "  API             curl -H 'Authorization: Bearer \(demo.key.secret)' http://localhost:\(web.first?.address.port ?? 0)/v1/calls"
      )
    }
    lines.append(
      "  SIP             " + sip.map { "\($0.transport.rawValue.lowercased()):\($0.address)" }.joined(separator: "  "))
    lines.append(
      "  Configuration   \(configuration.file ?? "embedded defaults (parley config reference lists all settings)")")
    lines.append("")
    // Unbuffered, so that whoever reads a pipe sees it now.
    FileHandle.standardOutput.write(Data((lines.joined(separator: "\n") + "\n").utf8))
  }

  private func host(_ ip: IPAddress) -> String { ip.isIPv6 ? "[\(ip)]" : "\(ip)" }
}
