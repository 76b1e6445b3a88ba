import API
import Core
import Foundation
import HTTPTypes
import Hummingbird

/// The pages in `web/`, and what they need to know of this server.
struct WebPages: Sendable {
  let configuration: Configuration
  let demo: DemoCredentials?

  /// The directory of the pages: the configured one, beside the program, or in the checkout that it was built in.
  var directory: String? {
    if let configured = configuration.http.web { return configured }
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    var candidates = ["web", program.appendingPathComponent("../share/parley/web").standardized.path]
    var folder = program
    for _ in 0..<5 {
      folder.deleteLastPathComponent()
      candidates.append(folder.appendingPathComponent("web").path)
    }
    return candidates.first { FileManager.default.fileExists(atPath: $0 + "/desk/index.html") }
  }

  func addRoutes(to router: Router<HTTPRequestContext>) {
    router.add(middleware: SecurityHeaders())
    if let directory { router.add(middleware: StaticFiles(folder: directory)) }
    router.get("desk/config.json") { _, context in
      let body = try JSONEncoder().encode(settings(forLoopback: context.remoteAddress?.ip.unmapped.isLoopback ?? false))
      return Response(
        status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-store"],
        body: .init(byteBuffer: ByteBuffer(bytes: body)))
    }
  }

  /// What the agent desktop asks for first.
  private struct DeskSettings: Encodable {
    struct DemoUser: Encodable {
      let user: String
      let password: String
      let display: String
    }
    let domain: String
    let websocket: String
    let iceServers: [ICEServer]
    let version: String
    let demo: [DemoUser]
  }

  /// The demo passwords are shown to this machine only: whoever sits here may read them in the terminal anyway.
  private func settings(forLoopback isLoopback: Bool) -> DeskSettings {
    DeskSettings(
      domain: configuration.sip.domain, websocket: "/sip", iceServers: configuration.media.iceServers,
      version: parleyVersion,
      demo: isLoopback
        ? (demo?.users ?? []).map { .init(user: $0.name, password: $0.password, display: $0.display) } : [])
  }
}
