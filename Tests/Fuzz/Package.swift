// swift-tools-version: 6.2
import PackageDescription

// Fuzz targets for every parser of network bytes; built and run by ./run (libFuzzer and AddressSanitizer).
// The modules are the project's own, by symbolic link, so that they are compiled with coverage instrumentation.

let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func fuzz(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies + ["Core"], swiftSettings: settings)
}

let package = Package(
  name: "fuzz",
  dependencies: [
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
  ],
  targets: [
    .target(name: "Core", swiftSettings: settings, linkerSettings: [.linkedLibrary("m")]),
    module("SDP", ["Core"]),
    module("RTP", ["Core"]),
    module("SFU", ["Core", "RTP"]),
    .systemLibrary(name: "CNice", pkgConfig: "nice"),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl"),
    .systemLibrary(name: "CSRTP", pkgConfig: "libsrtp2"),
    .systemLibrary(name: "CUSRSCTP", pkgConfig: "usrsctp"),
    .systemLibrary(name: "CLinux"),
    module("Transport", ["Core", "CNice", "COpenSSL", "CSRTP", "CUSRSCTP", "CLinux"]),
    module("SIP", ["Core", .product(name: "Crypto", package: "swift-crypto")]),
    module(
      "LiveKitProtocol",
      [
        "Core", .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    fuzz("FuzzSDP", ["SDP"]),
    fuzz("FuzzRTP", ["RTP"]),
    fuzz("FuzzRTCP", ["RTP"]),
    fuzz("FuzzPayload", ["RTP"]),
    fuzz("FuzzFrames", ["RTP"]),
    fuzz("FuzzRouter", ["RTP", "SFU"]),
    fuzz("FuzzSIP", ["SIP"]),
    fuzz("FuzzDCEP", ["Transport"]),
    fuzz("FuzzSCTP", ["Transport"]),
    fuzz("FuzzSTUN", ["Transport"]),
    fuzz("FuzzSignal", ["LiveKitProtocol", .product(name: "SwiftProtobuf", package: "swift-protobuf")]),
  ]
)
