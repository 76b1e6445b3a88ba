package import Core
import Crypto

/// Signatures of AWS, version 4, as S3 wants them. Pure: the time is an argument.
package struct S3Signature: Sendable {
  let accessKey: String
  let secret: String
  let sessionToken: String?
  let region: String

  package init(accessKey: String, secret: String, sessionToken: String? = nil, region: String) {
    self.accessKey = accessKey
    self.secret = secret
    self.sessionToken = sessionToken
    self.region = region
  }

  /// Of a payload that the signature does not cover.
  package static let unsignedPayload = "UNSIGNED-PAYLOAD"

  /// All headers of a signed request, those given included.
  /// - Parameters:
  ///   - path: Not yet percent-encoded, from "/" on.
  ///   - query: Not yet percent-encoded.
  ///   - payloadHash: Hexadecimal SHA-256 of the body.
  package func headers(
    _ method: String, host: String, path: String, query: [(String, String)] = [], headers: [(String, String)] = [],
    payloadHash: String, at time: WallTime
  ) -> [(String, String)] {
    let (day, stamp) = Self.stamps(time)
    var all = headers
    all.append(("host", host))
    all.append(("x-amz-content-sha256", payloadHash))
    all.append(("x-amz-date", stamp))
    if let sessionToken { all.append(("x-amz-security-token", sessionToken)) }
    let (canonical, signed) = Self.canonical(all)
    let request = [
      method, Self.encode(path, keepsSlash: true), Self.canonical(query: query), canonical, signed, payloadHash,
    ].joined(separator: "\n")
    let signature = sign(request, day: day, stamp: stamp)
    all.append(
      (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope(day)),SignedHeaders=\(signed),Signature=\(signature)"
      ))
    return all
  }

  /// The query of a URL that anybody may get until it expires.
  package func presignedQuery(
    _ method: String, host: String, path: String, expires: Duration, at time: WallTime
  ) -> String {
    let (day, stamp) = Self.stamps(time)
    var query: [(String, String)] = [
      ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", "\(accessKey)/\(scope(day))"),
      ("X-Amz-Date", stamp), ("X-Amz-Expires", "\(max(1, min(604_800, expires.components.seconds)))"),
      ("X-Amz-SignedHeaders", "host"),
    ]
    if let sessionToken { query.append(("X-Amz-Security-Token", sessionToken)) }
    let (canonical, signed) = Self.canonical([("host", host)])
    let text = Self.canonical(query: query)
    let request = [
      method, Self.encode(path, keepsSlash: true), text, canonical, signed, Self.unsignedPayload,
    ].joined(separator: "\n")
    return text + "&X-Amz-Signature=" + sign(request, day: day, stamp: stamp)
  }

  private func scope(_ day: String) -> String { "\(day)/\(region)/s3/aws4_request" }

  private func sign(_ request: String, day: String, stamp: String) -> String {
    let text = ["AWS4-HMAC-SHA256", stamp, scope(day), Self.sha256(Array(request.utf8))].joined(separator: "\n")
    var key = Array("AWS4\(secret)".utf8)
    for part in [day, region, "s3", "aws4_request"] { key = Self.hmac(key, part) }
    return Hex.encode(Self.hmac(key, text))
  }

  private static func hmac(_ key: [UInt8], _ text: String) -> [UInt8] {
    Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
  }

  package static func sha256(_ bytes: [UInt8]) -> String { Hex.encode(Array(SHA256.hash(data: bytes))) }

  private static func canonical(_ headers: [(String, String)]) -> (text: String, names: String) {
    let sorted = headers.map { (name: $0.0.lowercased(), value: trimmed($0.1)) }.sorted { $0.name < $1.name }
    // Each header ends with a line break, and an empty line follows.
    return (sorted.map { "\($0.name):\($0.value)\n" }.joined(), sorted.map(\.name).joined(separator: ";"))
  }

  private static func trimmed(_ value: String) -> String {
    value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
  }

  static func canonical(query: [(String, String)]) -> String {
    query.map { (encode($0.0, keepsSlash: false), encode($0.1, keepsSlash: false)) }
      .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
      .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  /// RFC 3986 §2.3, as S3 counts: unreserved characters stay.
  static func encode(_ text: String, keepsSlash: Bool) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: result.unicodeScalars.append(.init(byte))
      case 0x2F where keepsSlash: result += "/"
      default: result += "%" + Hex.encode([byte]).uppercased()
      }
    }
    return result
  }

  /// `20261121` and `20261121T040506Z`.
  private static func stamps(_ time: WallTime) -> (day: String, stamp: String) {
    let digits = time.rfc3339.prefix(19).filter { $0 != "-" && $0 != ":" }
    return (String(digits.prefix(8)), digits + "Z")
  }
}
