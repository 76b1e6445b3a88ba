import Audio
import Core

/// All that can be set, with the defaults. `Settings.swift` names and explains each; nothing else reads them.
struct Configuration: Sendable {
  var http = HTTPSection()
  var sip = SIPSection()
  var calls = CallsSection()
  var media = MediaSection()
  var rooms = RoomsSection()
  var recordings = RecordingsSection()
  var storage = StorageSection()
  var webhooks = WebhooksSection()
  var speech = SpeechSection()
  var data = DataSection()
  var log = LogSection()
  var drain = DrainSection()
  var provision = ProvisionSection()
  /// API key → secret.
  var keys: [String: Secret] = [:]

  /// The file that was read; nil where there is none and the embedded defaults hold.
  var file: String?
  /// Where each setting that is not at its default came from, by name.
  var origins: [String: Origin] = [:]
  /// What is odd but no error, such as an environment variable that sets nothing.
  var warnings: [String] = []

  enum Origin: Sendable, Equatable, CustomStringConvertible {
    case file(line: Int)
    case environment(String)

    var description: String {
      switch self {
      case .file(let line): "line \(line)"
      case .environment(let name): name
      }
    }
  }

  struct HTTPSection: Sendable {
    var listen: SocketAddress? = SocketAddress("0.0.0.0:8080")
    var tls = TLSSection()
    var web: String?
  }

  struct TLSSection: Sendable {
    var listen: SocketAddress? = SocketAddress("0.0.0.0:8443")
    var certificate: String?
    var key: String?
  }

  struct SIPSection: Sendable {
    var domain = "localhost"
    var realm: String?
    var udp = [SocketAddress(ip: IPAddress(v4: 0), port: 5060)]
    var tcp = [SocketAddress(ip: IPAddress(v4: 0), port: 5060)]
    var tls = [SocketAddress(ip: IPAddress(v4: 0), port: 5061)]
    var digest = [DigestName.md5, .sha256]
    var qop = [DigestProtection.auth]
    var noAnswer = Duration.seconds(60)
    var sessionExpires = Duration.seconds(1800)
    var minSE = Duration.seconds(90)
    var limits = SIPLimitsSection()

    /// The digest realm: `sip.realm`, or else the domain.
    var effectiveRealm: String { realm ?? domain }
  }

  struct SIPLimitsSection: Sendable {
    var messageSize = 65_536
    var connections = 20_000
    var connectionsPerSource = 1_000
    var messagesPerSecond = 500
    var calls = 10_000
    var callsPerUser = 20
    var bindingsPerUser = 10
  }

  struct MediaSection: Sendable {
    /// Empty: found out from the interfaces.
    var address: [IPAddress] = []
    /// Empty: all interfaces.
    var listen: [IPAddress] = []
    var ports: ClosedRange<UInt16> = 20_000...29_999
    /// Nil: by the number of cores.
    var workers: Int?
    var ice = ICEMode.singlePort
    /// Of the single port.
    var port: UInt16 = 8444
    var stun: [HostPort] = []
    var turn: [TURNServer] = []
    var timeout = Duration.seconds(60)
    var opusComplexity = 5
  }

  struct RoomsSection: Sendable {
    var autoCreate = true
    var emptyTimeout = Duration.seconds(300)
    var departureTimeout = Duration.seconds(20)
    /// 0: no limit.
    var maxParticipants = 0
    var maxRooms = 0
    var maxSessions = 0
    var receiversPerWorker = 100
    var maxLoad = 90
    var remoteUnmute = false
    /// 0: everybody is heard.
    var loudest = 16
    var record = false
    var dialIn = DialInSection()
  }

  struct WebhooksSection: Sendable {
    var urls: [String] = []
    /// Nil: the only key there is.
    var key: String?
    var giveUp = Duration.seconds(86_400)
    var keep = Duration.seconds(7 * 86_400)
  }

  struct SpeechSection: Sendable {
    /// The first one is the default.
    var languages = ["en"]
    /// Language → voice of the built-in synthesizer.
    var voices = ["en": "en-us", "de": "de"]
    /// In percent.
    var speed = 100
    /// Nil: nothing is recorded.
    var prompts: String?
    /// In mebibytes.
    var cacheSize = 256
    /// Whose call progress tones callers hear.
    var tones = CallProgressCountry.unitedStates
    var service = SpeechServiceSection()
  }

  struct SpeechServiceSection: Sendable {
    /// Nil: there is none.
    var url: String?
    /// Language → voice of the service.
    var voices: [String: String] = [:]
    var timeout = Duration.seconds(4)
  }

  struct DataSection: Sendable {
    var directory = "./data"
    /// Nil: for ever.
    var keepCalls: Duration?
  }

  struct LogSection: Sendable {
    var level = LogLevel.info
    var format = LogFormat.text
  }

  struct DrainSection: Sendable {
    var timeout = Duration.seconds(60)
  }

  struct ProvisionSection: Sendable {
    /// Nil: exactly when there is no configuration file.
    var demo: Bool?
    var users: [ProvisionUser] = []
    var trunks: [ProvisionTrunk] = []
    var numbers: [ProvisionNumber] = []
    var routes: [ProvisionRoute] = []
  }

  /// Whether the demo users, numbers and API key exist: asked for, or nobody configured anything.
  var wantsDemo: Bool { provision.demo ?? (file == nil) }
}

/// What a digest covers (RFC 7616 §3.3).
enum DigestProtection: String, Sendable, CaseIterable {
  case auth
  case authInt = "auth-int"
}

/// Digest algorithms by their names in SIP (RFC 8760 §2.1).
enum DigestName: String, Sendable, CaseIterable {
  case md5 = "MD5"
  case sha256 = "SHA-256"
}

enum ICEMode: String, Sendable, CaseIterable { case full, singlePort = "single-port" }

/// The names of swift-log's levels.
enum LogLevel: String, Sendable, CaseIterable { case trace, debug, info, notice, warning, error, critical }

enum LogFormat: String, Sendable, CaseIterable { case text, json }

/// `carrier.example:5060`, `192.0.2.1`, `[2001:db8::1]:3478`.
struct HostPort: Sendable, Hashable, CustomStringConvertible {
  /// Without brackets.
  var host: String
  var port: UInt16?

  init(host: String, port: UInt16?) {
    self.host = host
    self.port = port
  }

  init?(_ text: String) {
    if text.first == "[" {
      guard let end = text.firstIndex(of: "]") else { return nil }
      let inside = String(text[text.index(after: text.startIndex)..<end])
      guard IPAddress(inside)?.isIPv6 == true else { return nil }
      let rest = text[text.index(after: end)...]
      if rest.isEmpty {
        self.init(host: inside, port: nil)
      } else {
        guard rest.first == ":", let port = UInt16(rest.dropFirst()), port > 0 else { return nil }
        self.init(host: inside, port: port)
      }
      return
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let host = String(parts[0])
    guard !host.isEmpty, host.utf8.count <= 253, parts.count <= 2,
      host.utf8.allSatisfy({ c in
        0x30...0x39 ~= c || 0x41...0x5A ~= c || 0x61...0x7A ~= c || c == UInt8(ascii: "-") || c == UInt8(ascii: ".")
      })
    else { return nil }
    guard parts.count == 2 else {
      self.init(host: host, port: nil)
      return
    }
    guard let port = UInt16(parts[1]), port > 0 else { return nil }
    self.init(host: host, port: port)
  }

  var description: String {
    let bracketed = host.contains(":") ? "[\(host)]" : host
    return port.map { "\(bracketed):\($0)" } ?? bracketed
  }
}

struct TURNServer: Sendable, Hashable {
  var server = HostPort(host: "", port: nil)
  var transport = TURNTransport.udp
  var username = ""
  var password = Secret("")

  enum TURNTransport: String, Sendable, CaseIterable { case udp, tcp, tls }
}

struct ProvisionUser: Sendable, Hashable {
  var name = ""
  var password = Secret("")
  var display = ""
  var record = false
}

struct ProvisionTrunk: Sendable, Hashable {
  var name = ""
  var host = HostPort(host: "", port: nil)
  var transport = TrunkTransport.udp
  var codecs: [AudioCodec] = [.pcmu, .pcma]
  var allow: [String] = []
  var username: String?
  var password: Secret?
  var register = false
  var enabled = true
  var record = false

  enum TrunkTransport: String, Sendable, CaseIterable { case udp, tcp, tls }
}

struct ProvisionNumber: Sendable, Hashable {
  var number = ""
  var to = RouteTarget.echo
  var record = false
}

struct ProvisionRoute: Sendable, Hashable {
  /// Nil: ten times its place in the list.
  var position: Int?
  var match = ""
  var to = RouteTarget.echo
  var number: String?
  var record = false
}
