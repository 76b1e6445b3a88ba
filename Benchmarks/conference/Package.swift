// swift-tools-version: 6.2
import PackageDescription

// What mixing costs, without sockets: `swift run -c release --package-path Benchmarks/conference mixbench`.
// The modules are the product's own, by symbolic links; the name is the product's, since their API is `package`.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
  name: "parley",
  targets: [
    .systemLibrary(name: "COpus", pkgConfig: "opus"),
    .systemLibrary(name: "CSpanDSP", pkgConfig: "spandsp"),
    .systemLibrary(name: "CSpeexDSP", pkgConfig: "speexdsp"),
    .target(
      name: "Core", swiftSettings: settings, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "RTP", dependencies: ["Core"], swiftSettings: settings),
    .target(name: "Audio", dependencies: ["Core", "COpus", "CSpanDSP", "CSpeexDSP"], swiftSettings: settings),
    .target(name: "Bridge", dependencies: ["Core", "RTP", "Audio"], swiftSettings: settings),
    .executableTarget(
      name: "mixbench", dependencies: ["Core", "RTP", "Audio", "Bridge"], swiftSettings: settings),
  ])
