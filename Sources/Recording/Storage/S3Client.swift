import AsyncHTTPClient
package import Core
import Crypto
import Glibc
package import Logging
import NIOCore
import NIOHTTP1

/// Why an upload failed.
package enum S3Error: Error, Hashable, Sendable, CustomStringConvertible {
  /// Nothing that was reached answered in order; worth another try.
  case unreachable(String)
  case refused(status: Int, code: String, message: String)

  package var description: String {
    switch self {
    case .unreachable(let why): "the bucket cannot be reached: \(why)"
    case .refused(let status, let code, let message): "the bucket refused: \(status) \(code) \(message)"
    }
  }

  var isTransient: Bool {
    switch self {
    case .unreachable: true
    case .refused(let status, let code, _): status >= 500 || status == 429 || status == 408 || code == "RequestTimeout"
    }
  }
}

/// One bucket of S3 or of a service that speaks like it.
package struct S3Client: Sendable {
  package let destination: BucketDestination
  private let signature: S3Signature
  private let scheme: String
  private let host: String
  /// In front of the key: "/" or "/bucket/".
  private let prefix: String
  private let logger: Logger
  /// How often one request is tried.
  package var attempts = 6
  /// Before the second try; doubled before each further one.
  package var backoff: Duration = .milliseconds(500)
  /// Bytes of one part; S3 takes no smaller ones than 5 MiB, but the last.
  package var partSize = 8 << 20

  /// - Throws: `.container` for an endpoint that is no URL.
  package init(_ destination: BucketDestination, logger: Logger) throws(RecordingError) {
    self.destination = destination
    self.logger = logger
    signature = S3Signature(
      accessKey: destination.accessKey, secret: destination.secret, sessionToken: destination.sessionToken,
      region: destination.region)
    var endpoint = destination.endpoint ?? "https://s3.\(destination.region).amazonaws.com"
    if !endpoint.contains("://") { endpoint = "https://" + endpoint }
    let parts = endpoint.split(separator: "/", omittingEmptySubsequences: true)
    guard parts.count == 2, ["http:", "https:"].contains(parts[0].lowercased()) else {
      throw .container("\(endpoint) is no endpoint: http(s)://host[:port] is wanted")
    }
    scheme = String(parts[0].dropLast())
    let name = String(parts[1])
    // Names of buckets are no names below an address.
    let isAddress = name.allSatisfy { $0.isNumber || $0 == "." || $0 == ":" } || name.hasPrefix("[")
    let inPath = destination.forcePathStyle || isAddress || name.hasPrefix("localhost")
    host = inPath ? name : "\(destination.bucket).\(name)"
    prefix = inPath ? "/\(destination.bucket)/" : "/"
  }

  /// Where a key is, for people and for the catalogue.
  package func location(_ key: String) -> String {
    "\(scheme)://\(host)\(S3Signature.encode(prefix + key, keepsSlash: true))"
  }

  /// A URL that gives the object to whoever has it.
  package func presignedURL(_ key: String, expires: Duration, at time: WallTime = .now()) -> String {
    location(key) + "?"
      + signature.presignedQuery("GET", host: host, path: prefix + key, expires: expires, at: time)
  }

  /// One for all buckets, for as long as the process lives. It tries no connection twice: `send` does, later.
  private static let http: HTTPClient = {
    var configuration = HTTPClient.Configuration()
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(5)
    configuration.connectionPool.retryConnectionEstablishment = false
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }()

  // MARK: Requests

  private struct Answer {
    var status: Int
    var headers: HTTPHeaders
    var body: String
  }

  private func send(
    _ method: HTTPMethod, _ key: String, query: [(String, String)] = [], headers: [(String, String)] = [],
    body: [UInt8] = []
  ) async throws(S3Error) -> Answer {
    var wait = backoff
    var attempt = 1
    while true {
      do throws(S3Error) {
        return try await sendOnce(method, key, query, headers, body)
      } catch {
        guard error.isTransient, attempt < attempts, !Task.isCancelled else { throw error }
        logger.info("a bucket is tried again", metadata: ["attempt": "\(attempt)", "error": "\(error)"])
        try? await Task.sleep(for: wait)
        wait = min(wait * 2, .seconds(30))
        attempt += 1
      }
    }
  }

  private func sendOnce(
    _ method: HTTPMethod, _ key: String, _ query: [(String, String)], _ headers: [(String, String)], _ body: [UInt8]
  ) async throws(S3Error) -> Answer {
    let signed = signature.headers(
      method.rawValue, host: host, path: prefix + key, query: query, headers: headers,
      payloadHash: S3Signature.sha256(body), at: .now())
    let text = S3Signature.canonical(query: query)
    var request = HTTPClientRequest(url: location(key) + (text.isEmpty ? "" : "?" + text))
    request.method = method
    for (name, value) in signed where name != "host" { request.headers.add(name: name, value: value) }
    if method == .PUT || method == .POST { request.body = .bytes(ByteBuffer(bytes: body)) }
    let answer: Answer
    do {
      let response = try await Self.http.execute(request, timeout: .seconds(120))
      let bytes = try await response.body.collect(upTo: 1 << 20)
      answer = Answer(
        status: Int(response.status.code), headers: response.headers, body: String(buffer: bytes))
    } catch {
      throw .unreachable("\(error)")
    }
    guard (200..<300).contains(answer.status) else {
      throw .refused(
        status: answer.status, code: Self.element("Code", in: answer.body) ?? "",
        message: String((Self.element("Message", in: answer.body) ?? "").prefix(300)))
    }
    return answer
  }

  /// The text of the first element of that name. S3's answers nest no equal names.
  static func element(_ name: String, in xml: String) -> String? {
    guard let start = xml.firstRange(of: "<\(name)>"),
      let end = xml[start.upperBound...].firstRange(of: "</\(name)>")
    else { return nil }
    return String(xml[start.upperBound..<end.lowerBound])
  }

  // MARK: Uploads

  private func objectHeaders(_ contentType: String, sha256: String) -> [(String, String)] {
    var headers = [("content-type", contentType), ("x-amz-meta-sha256", sha256)]
    for (name, value) in destination.metadata { headers.append(("x-amz-meta-\(name.lowercased())", value)) }
    if !destination.tagging.isEmpty { headers.append(("x-amz-tagging", destination.tagging)) }
    if !destination.contentDisposition.isEmpty {
      headers.append(("content-disposition", destination.contentDisposition))
    }
    return headers
  }

  /// Puts a file there, whole or in parts.
  ///
  /// What has arrived is noted in `record`, so that an upload that was cut goes on where it was.
  package func upload(
    _ path: String, to key: String, contentType: String, sha256: String, record: String
  ) async throws -> Int {
    let file = try UploadFile(path: path)
    let headers = objectHeaders(contentType, sha256: sha256)
    if file.size <= partSize {
      _ = try await send(.PUT, key, headers: headers, body: try file.read(0, file.size))
      return file.size
    }
    var progress =
      UploadRecord.read(record).flatMap {
        $0.key == key && $0.bucket == destination.bucket && $0.sha256 == sha256 && $0.partSize == partSize ? $0 : nil
      } ?? UploadRecord(bucket: destination.bucket, key: key, sha256: sha256, partSize: partSize)
    if progress.upload.isEmpty {
      let answer = try await send(.POST, key, query: [("uploads", "")], headers: headers)
      guard let upload = Self.element("UploadId", in: answer.body) else {
        throw S3Error.refused(status: answer.status, code: "", message: "no upload was begun")
      }
      progress.upload = upload
      try progress.write(record)
    }
    do {
      let parts = (file.size + partSize - 1) / partSize
      for number in 1...parts where progress.parts[number] == nil {
        let offset = (number - 1) * partSize
        let body = try file.read(offset, min(partSize, file.size - offset))
        let answer = try await send(
          .PUT, key, query: [("partNumber", "\(number)"), ("uploadId", progress.upload)], body: body)
        progress.parts[number] = answer.headers.first(name: "etag") ?? ""
        try progress.write(record)
      }
      let list = progress.parts.sorted { $0.key < $1.key }.map {
        "<Part><PartNumber>\($0.key)</PartNumber><ETag>\($0.value)</ETag></Part>"
      }
      let body = "<CompleteMultipartUpload>\(list.joined())</CompleteMultipartUpload>"
      let answer = try await send(.POST, key, query: [("uploadId", progress.upload)], body: Array(body.utf8))
      // S3 may say 200 first and fail afterwards.
      if let code = Self.element("Code", in: answer.body) {
        throw S3Error.refused(
          status: answer.status, code: code, message: Self.element("Message", in: answer.body) ?? "")
      }
    } catch let error as S3Error {
      // The bucket has forgotten it: the next try begins anew.
      if case .refused(_, "NoSuchUpload", _) = error { unlink(record) }
      throw error
    }
    unlink(record)
    return file.size
  }
}
