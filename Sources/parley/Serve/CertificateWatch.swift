#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import Logging
import SIPTransport
import UnixSignals

/// Puts a renewed certificate into use without a restart: at once on SIGHUP, else within a minute of the files' change.
/// Connections that are open keep the old one. Files that cannot be used leave the old certificate in force.
struct CertificateWatch: Sendable {
  let certificate: String
  let key: String
  let source: TLSContextSource
  let logger: Logger

  private static let interval = Duration.seconds(60)

  func run() async {
    await withTaskGroup { group in
      group.addTask {
        var seen = stamp()
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.interval)
          let now = stamp()
          if now != seen { reload() }
          seen = now
        }
      }
      group.addTask {
        for await _ in await UnixSignalsSequence(trapping: .sighup) { reload() }
      }
    }
  }

  private func reload() {
    do {
      try source.reload()
      logger.notice("the certificate was read again", metadata: ["file": "\(certificate)"])
    } catch {
      logger.error(
        "the changed certificate cannot be used; the old one stays in force", metadata: ["error": "\(error)"])
    }
  }

  /// When the files were written last; renewal tools replace both.
  private func stamp() -> [Date?] {
    [certificate, key].map { try? FileManager.default.attributesOfItem(atPath: $0)[.modificationDate] as? Date }
  }
}
