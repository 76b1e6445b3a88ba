import Crypto
import HTTPTypes
package import Hummingbird
import HummingbirdCore
import NIOCore
import NIOPosix
import Synchronization

/// Serves the files of a folder for paths that no route takes: `GET` and `HEAD`, entity tags, single ranges,
/// `index.html` for folders.
///
/// Files are read on NIO's blocking pool and kept in memory while their size and modification time stay the same, so
/// an edit shows at the next request. Nothing outside the folder is served, hidden files are not either.
package struct StaticFiles<Context: RequestContext>: RouterMiddleware {
  private let store: StaticFileStore

  /// - Parameter folder: need not exist; then nothing is found.
  package init(folder: String) {
    store = StaticFileStore(folder: folder)
  }

  @concurrent package func handle(
    _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as any HTTPResponseError where error.status == .notFound {
      guard request.method == .get || request.method == .head else { throw error }
      switch await store.find(request.uri.path) {
      case .none: throw error
      case .redirect(let path):
        let query = request.uri.query.map { "?\($0)" } ?? ""
        return Response(status: .movedPermanently, headers: [.location: path + query])
      case .file(let file): return Self.response(file, to: request)
      }
    }
  }

  private static func response(_ file: StaticFile, to request: Request) -> Response {
    var headers: HTTPFields = [
      .contentType: file.contentType, .eTag: file.entityTag, .cacheControl: "no-cache", .acceptRanges: "bytes",
    ]
    let matches = request.headers[values: .ifNoneMatch].joined(separator: ",").split(separator: ",")
    if matches.contains(where: { ByteRange.trim($0) == file.entityTag || ByteRange.trim($0) == "*" }) {
      return Response(status: .notModified, headers: headers)
    }
    var body = file.bytes
    var status = HTTPResponse.Status.ok
    let isCurrent = request.headers[.ifRange].map { $0 == file.entityTag } ?? true
    if isCurrent, let text = request.headers[.range] {
      switch ByteRange.parse(text, size: body.readableBytes) {
      case .whole: break
      case .unsatisfiable:
        headers[.contentRange] = "bytes */\(body.readableBytes)"
        return Response(status: .rangeNotSatisfiable, headers: headers)
      case .part(let range):
        headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(body.readableBytes)"
        status = .partialContent
        body = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
      }
    }
    guard request.method == .get else {
      headers[.contentLength] = "\(body.readableBytes)"
      return Response(status: status, headers: headers)
    }
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: body))
  }
}

/// A single byte range (RFC 9110 §14.1.2). Several ranges, and what is not a byte range, mean the whole file.
enum ByteRange: Equatable {
  case whole
  case unsatisfiable
  case part(Range<Int>)

  static func parse(_ text: String, size: Int) -> ByteRange {
    let parts = text.split(separator: "=", maxSplits: 1)
    guard parts.count == 2, trim(parts[0]) == "bytes", !parts[1].contains(",") else { return .whole }
    let ends = parts[1].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(trim)
    guard ends.count == 2, ends.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return .whole }
    switch (ends[0].isEmpty, ends[1].isEmpty) {
    case (true, true): return .whole
    case (true, false):
      // The last so many bytes.
      guard let count = Int(ends[1]) else { return .whole }
      return count > 0 && size > 0 ? .part(max(0, size - count)..<size) : .unsatisfiable
    case (false, let open):
      guard let first = Int(ends[0]), first < size else { return .unsatisfiable }
      guard !open else { return .part(first..<size) }
      guard let last = Int(ends[1]) else { return .part(first..<size) }
      return last >= first ? .part(first..<(min(last, size - 1) + 1)) : .whole
    }
  }

  static func trim(_ text: Substring) -> String {
    String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
  }
}
