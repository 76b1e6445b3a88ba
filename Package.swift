// swift-tools-version: 6.2
import PackageDescription

// PARLEY_STRICT=1 (CI) turns our own warnings into errors; dependencies are never affected.
let strict = Context.environment["PARLEY_STRICT"] == "1"

let settings: [SwiftSetting] =
  [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] + (strict ? [.treatAllWarnings(as: .error)] : [])

func module(
  _ name: String, _ dependencies: [Target.Dependency] = [], linker: [LinkerSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, swiftSettings: settings, linkerSettings: linker)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name), "TestSupport"] + dependencies,
    swiftSettings: settings)
}

let package = Package(
  name: "parley",
  products: [.executable(name: "parley", targets: ["parley"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // C libraries: a module map and a shim for what Swift cannot import; not one line of logic.
    .systemLibrary(name: "CNice", pkgConfig: "nice", providers: [.apt(["libnice-dev"])]),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CSRTP", pkgConfig: "libsrtp2", providers: [.apt(["libsrtp2-dev"])]),
    .systemLibrary(name: "COpus", pkgConfig: "opus", providers: [.apt(["libopus-dev"])]),
    .systemLibrary(name: "CSpanDSP", pkgConfig: "spandsp", providers: [.apt(["libspandsp-dev"])]),
    .systemLibrary(name: "CUSRSCTP", pkgConfig: "usrsctp", providers: [.apt(["libusrsctp-dev"])]),
    .systemLibrary(name: "CSpeexDSP", pkgConfig: "speexdsp", providers: [.apt(["libspeexdsp-dev"])]),
    .systemLibrary(name: "CEspeak", pkgConfig: "espeak-ng", providers: [.apt(["libespeak-ng-dev"])]),
    .systemLibrary(name: "CAVFormat", pkgConfig: "libavformat", providers: [.apt(["libavformat-dev"])]),
    .systemLibrary(name: "CVPX", pkgConfig: "vpx", providers: [.apt(["libvpx-dev"])]),
    .systemLibrary(name: "CLinux"),

    // Pure cores: no socket, no clock, no Foundation, no NIO.
    module("Core", linker: [.linkedLibrary("m")]),
    module("SDP", ["Core"]),
    module("SIP", ["Core", .product(name: "Crypto", package: "swift-crypto")]),
    module("RTP", ["Core"]),
    module("Audio", ["Core", "COpus", "CSpanDSP", "CSpeexDSP"]),
    module("Bridge", ["Core", "RTP", "Audio"]),
    module("SFU", ["Core", "RTP"]),

    // Shells.
    module("Transport", ["Core", "CNice", "COpenSSL", "CSRTP", "CUSRSCTP", "CLinux"]),
    // Prompts: files and speech.
    module(
      "Speech",
      [
        "Core", "Audio", "CEspeak",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),
    // Recordings: taps, spool files, containers, rendering, storage.
    module(
      "Recording",
      [
        "Core", "RTP", "Audio", "CAVFormat", "CVPX",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),
    // The room protocol of LiveKit's clients: generated messages (signaling/livekit/generate) and access tokens.
    module(
      "LiveKitProtocol",
      [
        "Core",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    module(
      "Rooms",
      [
        "Core", "SDP", "RTP", "Audio", "Bridge", "SFU", "Transport", "LiveKitProtocol",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    module(
      "SIPTransport",
      [
        "Core", "SIP",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ]),
    module(
      "Store",
      ["Core", .product(name: "GRDB", package: "GRDB.swift")]),
    module(
      "Gateway",
      [
        "Core", "SDP", "SIP", "Audio", "Bridge", "Transport",
        .product(name: "HeapModule", package: "swift-collections"),
        .product(name: "Logging", package: "swift-log"),
      ]),
    module(
      "API",
      [
        "Core", "SIP", "Store", "SIPTransport", "LiveKitProtocol", "Rooms",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ]),
    .executableTarget(
      name: "parley",
      dependencies: [
        "Core", "SIP", "Transport", "SIPTransport", "Gateway", "Store", "API", "LiveKitProtocol", "Rooms", "SFU",
        "Audio", "Bridge", "Speech", "Recording",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
        .product(name: "X509", package: "swift-certificates"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: settings),

    // Virtual clock, seeded lossy network, vector loading.
    .target(
      name: "TestSupport", dependencies: ["Core"], path: "Tests/Support", swiftSettings: settings),
    // Clients over real sockets.
    .target(
      name: "NetworkSupport",
      dependencies: [
        "Core",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl"),
      ], path: "Tests/NetworkSupport", swiftSettings: settings),
    tests("Core"),
    tests("SDP", ["Core"]),
    tests("SIP", ["Core"]),
    tests("RTP", ["Core"]),
    tests("Audio", ["Core"]),
    tests("Bridge", ["Core", "RTP", "Audio"]),
    tests("SFU", ["Core", "RTP"]),
    tests("Transport", ["Core"]),
    tests("Speech", ["Core", "Audio", .product(name: "Logging", package: "swift-log")]),
    tests("Recording", ["Core", "RTP", "Audio", .product(name: "Logging", package: "swift-log")]),
    tests(
      "LiveKitProtocol",
      [
        "Core",
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    tests(
      "Rooms",
      [
        "Core", "SDP", "RTP", "Audio", "Bridge", "SFU", "Transport", "LiveKitProtocol",
        .product(name: "Logging", package: "swift-log"),
      ]),
    tests(
      "SIPTransport",
      [
        "Core", "SIP", "NetworkSupport",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
    tests(
      "Gateway", ["Core", "SIP", "Audio", "Bridge", "Transport", .product(name: "Logging", package: "swift-log")]),
    tests("Store", ["Core", .product(name: "GRDB", package: "GRDB.swift")]),
    tests(
      "API",
      [
        "Core", "SIP", "Store", "SIPTransport", "NetworkSupport", "LiveKitProtocol", "Rooms",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ]),
    tests(
      "parley",
      [
        "Core", "Store", "LiveKitProtocol",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Crypto", package: "swift-crypto"),
        .product(name: "SwiftASN1", package: "swift-asn1"),
        .product(name: "X509", package: "swift-certificates"),
      ]),
  ]
)
