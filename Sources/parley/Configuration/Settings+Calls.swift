import Core

extension Configuration {
  struct CallsSection: Sendable {
    var survival = Duration.seconds(30)
    /// Trunks by name.
    var transferTrunks: [String] = []
  }

  static let calls: [Setting<Configuration>] = [
    Setting(
      "calls.survival", \.calls.survival, .duration(.seconds(1) ... .seconds(600)), in: Configuration(),
      "How long a browser's call is held that has lost its connection and its audio: for a page that is loaded anew or a "
        + "change of network. The other side hears music meanwhile."),
    Setting(
      "calls.transfer-trunks", \.calls.transferTrunks, Kind<String>.text("a trunk's name").list(orNone: "none"),
      in: Configuration(),
      "Trunks whose far ends may transfer calls (REFER), to what they could call themselves. Users always may."),
  ]
}
