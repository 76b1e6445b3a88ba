import Core
import Crypto
import HTTPTypes
import Hummingbird
import SIP
import Store
import Synchronization

/// Decides who may ask what: API keys for operators, the telephone's password for users.
final class RESTGuard: Sendable {
  private let store: Store
  private let realm: String
  /// Key name and SHA-256 of the secret.
  private let configured: [(name: String, hash: [UInt8])]
  private let throttle = Mutex(LoginThrottle())
  private let nonces = HTTPNonces()

  init(services: RESTServices) {
    store = services.store
    realm = services.realm
    configured = services.keys.map { ($0.key, sha256($0.value.revealed)) }
  }

  // MARK: API keys

  /// Returns if the request has a valid key.
  /// - Throws: 401, or 429 for an address that has failed too often.
  func requireKey(_ request: Request, from address: Core.SocketAddress?) async throws {
    let peer = address.map { "\($0.ip)" } ?? ""
    switch HTTPCredentials(request.headers[.authorization]) {
    case .none, .digest, .unknown: throw keyChallenge(request, "An API key is needed.")
    case .bearer(let secret): try await check(secret, name: nil, peer, request)
    case .basic(let name, let secret): try await check(secret, name: name, peer, request)
    }
  }

  private func check(_ secret: String, name: String?, _ peer: String, _ request: Request) async throws {
    try admit(peer)
    let hash = sha256(secret)
    var known = configured
    known += try await store.apiKeys().map { ($0.name, Hex.decode($0.secretSHA256) ?? []) }
    var found = false
    // All are compared, so that the time tells nothing about which one is near.
    for key in known {
      let isNamed = name.map { $0 == key.name } ?? true
      if isEqual(hash, key.hash), isNamed { found = true }
    }
    guard found else {
      fail(peer)
      throw keyChallenge(request, "The API key is not known.")
    }
    succeed(peer)
  }

  private func keyChallenge(_ request: Request, _ message: String) -> RESTError {
    var error = RESTError(.unauthorized, "unauthorized", message)
    error.headers.append(HTTPField(name: .wwwAuthenticate, value: "Bearer realm=\"parley\""))
    if !request.isFromScript {
      error.headers.append(HTTPField(name: .wwwAuthenticate, value: "Basic realm=\"parley\", charset=\"UTF-8\""))
    }
    return error
  }

  // MARK: Users

  /// The user whose password the request proves, by HTTP Digest (RFC 7616) or Basic (RFC 7617).
  func requireUser(_ request: Request, from address: Core.SocketAddress?) async throws -> String {
    let credentials = HTTPCredentials(request.headers[.authorization])
    let name: String
    switch credentials {
    case .basic(let user, _): name = user
    case .digest(let digest): name = digest.username
    case .none, .bearer, .unknown: throw userChallenge(request, "A user name and password are needed.")
    }
    let account = "\(name)@\(address.map { "\($0.ip)" } ?? "")"
    try admit(account)
    let user = try await store.user(name)
    let isRight: Bool
    switch credentials {
    case .basic(_, let password):
      // Computed for an unknown user too, so that the time does not tell which users exist.
      let given = DigestHash.ha1(username: name, realm: realm, password: password, algorithm: .sha256)
      isRight = isEqual(Array(given.utf8), Array((user?.ha1SHA256 ?? String(repeating: "0", count: 64)).utf8))
    case .digest(let digest):
      guard nonces.isFresh(digest.nonce, now: .now()) else {
        throw userChallenge(request, "The nonce has expired.", isStale: true)
      }
      isRight = verify(digest, request, user)
    case .none, .bearer, .unknown: isRight = false
    }
    guard isRight, let user, user.enabled else {
      fail(account)
      throw userChallenge(request, "The user name or password is wrong.")
    }
    succeed(account)
    return user.name
  }

  private func verify(_ digest: DigestCredentials, _ request: Request, _ user: User?) -> Bool {
    guard digest.realm == realm, let algorithm = digest.algorithm, digest.qop == "auth",
      let count = digest.nonceCount, let clientNonce = digest.clientNonce, digest.uri == request.uri.string
    else { return false }
    let stored = algorithm == .md5 ? user?.ha1MD5 : user?.ha1SHA256
    let expected = DigestHash.response(
      ha1: stored ?? String(repeating: "0", count: algorithm.digits), method: Method(rawValue: request.method.rawValue),
      uri: digest.uri, body: [], nonce: digest.nonce, qop: .auth, nonceCount: count, clientNonce: clientNonce,
      algorithm: algorithm)
    return isEqual(Array(expected.utf8), Array(digest.response.lowercased().utf8)) && stored != nil
  }

  private func userChallenge(_ request: Request, _ message: String, isStale: Bool = false) -> RESTError {
    var error = RESTError(.unauthorized, "unauthorized", message)
    if request.isFromScript {
      // A browser would put up its own log-in window for Basic and Digest, over the page that handles this itself.
      error.headers.append(HTTPField(name: .wwwAuthenticate, value: "X-Basic realm=\(realm.quotedForHeader)"))
      return error
    }
    let nonce = nonces.make(now: .now())
    for algorithm: DigestAlgorithm in [.sha256, .md5] {
      let challenge = DigestChallenge(realm: realm, nonce: nonce, algorithm: algorithm, isStale: isStale)
      error.headers.append(HTTPField(name: .wwwAuthenticate, value: challenge.description))
    }
    error.headers.append(
      HTTPField(name: .wwwAuthenticate, value: "Basic realm=\(realm.quotedForHeader), charset=\"UTF-8\""))
    return error
  }

  // MARK: Guessing

  private func admit(_ account: String) throws(RESTError) {
    guard let wait = throttle.withLock({ $0.wait(for: account, now: .now()) }) else { return }
    var error = RESTError(.tooManyRequests, "too-many-failures", "Too many failed log-ins. Try again later.")
    error.headers[.retryAfter] = "\(max(1, Int(wait.inSeconds.rounded(.up))))"
    throw error
  }

  private func fail(_ account: String) { throttle.withLock { $0.failed(account, now: .now()) } }
  private func succeed(_ account: String) { throttle.withLock { $0.succeeded(account) } }
}

/// What an Authorization field says.
enum HTTPCredentials: Equatable {
  case none
  case bearer(String)
  case basic(user: String, password: String)
  case digest(DigestCredentials)
  case unknown

  init(_ field: String?) {
    guard let field else {
      self = .none
      return
    }
    let parts = field.split(separator: " ", maxSplits: 1)
    let value = parts.count > 1 ? String(parts[1].drop { $0 == " " }) : ""
    switch parts.first?.lowercased() {
    case "bearer" where !value.isEmpty: self = .bearer(value)
    case "basic":
      guard let bytes = Base64.decode(value), let text = String(validating: bytes, as: UTF8.self),
        let colon = text.firstIndex(of: ":")
      else {
        self = .unknown
        return
      }
      self = .basic(user: String(text[..<colon]), password: String(text[text.index(after: colon)...]))
    case "digest":
      if let digest = DigestCredentials(parsing: field) { self = .digest(digest) } else { self = .unknown }
    default: self = .unknown
    }
  }
}

/// Nonces without memory: a time and its authentication code. They protect reading only, so a replay within five minutes
/// shows the eavesdropper what it has seen already.
struct HTTPNonces: Sendable {
  private let key = SymmetricKey(size: .bits256)
  static let lifetime = Duration.seconds(300)

  func make(now: Instant) -> String {
    let time = String(now.nanoseconds, radix: 16)
    return "\(time).\(code(time))"
  }

  func isFresh(_ nonce: String, now: Instant) -> Bool {
    let parts = nonce.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, let nanoseconds = Int64(parts[0], radix: 16),
      isEqual(Array(parts[1].utf8), Array(code(parts[0]).utf8))
    else { return false }
    let age = now - Instant(nanoseconds: nanoseconds)
    return age >= .zero && age <= Self.lifetime
  }

  private func code(_ time: String) -> String {
    Hex.encode(HMAC<SHA256>.authenticationCode(for: Array(time.utf8), using: key))
  }
}

/// Counts failed log-ins by account and address: after ten within a minute it makes them wait. Bounded.
struct LoginThrottle {
  static let allowed = 10
  static let window = Duration.seconds(60)
  static let capacity = 10_000

  private struct Failures {
    var count: Int
    var since: Instant
  }

  private var failures: [String: Failures] = [:]

  /// How long the account must wait; nil if it need not.
  func wait(for account: String, now: Instant) -> Duration? {
    guard let entry = failures[account], entry.count >= Self.allowed else { return nil }
    let rest = Self.window - (now - entry.since)
    return rest > .zero ? rest : nil
  }

  mutating func failed(_ account: String, now: Instant) {
    if let entry = failures[account], now - entry.since < Self.window {
      failures[account]?.count = entry.count + 1
      return
    }
    if failures.count >= Self.capacity {
      failures = failures.filter { now - $0.value.since < Self.window }
      // Ten thousand accounts failing within a minute: forget them rather than grow.
      if failures.count >= Self.capacity { failures.removeAll() }
    }
    failures[account] = Failures(count: 1, since: now)
  }

  mutating func succeeded(_ account: String) { failures[account] = nil }
}

func sha256(_ text: String) -> [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

/// Equality in time that depends on the lengths only.
func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
  guard a.count == b.count else { return false }
  var difference: UInt8 = 0
  for i in a.indices { difference |= a[i] ^ b[i] }
  return difference == 0
}

extension Request {
  /// Sent by a page's script and not by typing the address (Fetch Metadata, `Sec-Fetch-Dest: empty`).
  fileprivate var isFromScript: Bool {
    guard let name = HTTPField.Name("Sec-Fetch-Dest") else { return false }
    return headers[name] == "empty"
  }
}

extension String {
  fileprivate var quotedForHeader: String {
    "\"" + map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
  }
}

/// Percent-decoding of a path segment (RFC 3986 §2.1); nil for a broken escape or what is no UTF-8.
func percentDecoded(_ text: some StringProtocol) -> String? {
  var bytes: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let c = rest.popFirst() {
    guard c == UInt8(ascii: "%") else {
      bytes.append(c)
      continue
    }
    guard let high = rest.popFirst().flatMap(Hex.value(of:)), let low = rest.popFirst().flatMap(Hex.value(of:)) else {
      return nil
    }
    bytes.append(high << 4 | low)
  }
  return String(validating: bytes, as: UTF8.self)
}
