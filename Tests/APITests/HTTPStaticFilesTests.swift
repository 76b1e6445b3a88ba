import Core
import Glibc
import NetworkSupport
import Testing

@testable import API

@Suite struct HTTPStaticFilesTests {
  /// A folder with pages, and beside it a secret.
  private func makeFolder() throws -> String {
    var template = Array("/tmp/parley-web-XXXXXX".utf8CString)
    _ = try #require(mkdtemp(&template))
    let top = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let web = "\(top)/web"
    for folder in [web, "\(web)/desk", "\(web)/empty"] { mkdir(folder, 0o755) }
    for (name, text) in [
      ("index.html", "<p>home"), ("app.mjs", "export {}"), ("style.css", "p{}"), ("logo.svg", "<svg/>"),
      ("data.json", "{}"), ("ring.wav", "0123456789"), ("desk/index.html", "<p>desk"), (".hidden", "no"),
      ("with space.txt", "space"), ("unknown.zzz", "?"),
    ] {
      write(text, "\(web)/\(name)")
    }
    write("secret", "\(top)/secret.txt")
    symlink("\(top)/secret.txt", "\(web)/link.txt")
    symlink("\(web)/style.css", "\(web)/inside.css")
    return web
  }

  private func write(_ text: String, _ path: String) {
    let file = fopen(path, "w")
    fputs(text, file)
    fclose(file)
  }

  @Test(arguments: [
    ("/", "text/html; charset=utf-8", "<p>home"), ("/app.mjs", "text/javascript; charset=utf-8", "export {}"),
    ("/style.css", "text/css; charset=utf-8", "p{}"), ("/logo.svg", "image/svg+xml", "<svg/>"),
    ("/data.json", "application/json", "{}"), ("/ring.wav", "audio/wav", "0123456789"),
    ("/desk/", "text/html; charset=utf-8", "<p>desk"), ("/with%20space.txt", "text/plain; charset=utf-8", "space"),
    ("/unknown.zzz", "application/octet-stream", "?"), ("/inside.css", "text/css; charset=utf-8", "p{}"),
  ]) func servesAFileWithItsType(path: String, type: String, text: String) async throws {
    try await HTTPTestServer.run(folder: try makeFolder()) { server in
      let answer = try await server.get(path)
      #expect(answer.status == 200 && answer.text == text && answer.headers["content-type"] == type)
      #expect(answer.headers["cache-control"] == "no-cache")
      let head = try await server.get(path, method: "HEAD")
      #expect(head.status == 200 && head.headers["content-length"] == "\(text.utf8.count)")
    }
  }

  @Test(arguments: [
    "/../secret.txt", "/%2e%2e/secret.txt", "/desk/../../secret.txt", "/desk/%2e%2e/%2e%2e/secret.txt",
    "/..%2fsecret.txt", "/..%5csecret.txt", "/link.txt", "/.hidden", "/%00", "/index.html%00.css", "/%ff", "/%2",
    "/index.html/", "/empty/", "/nothing.html", "//etc/passwd",
  ]) func findsNothingOutsideAndNothingHidden(path: String) async throws {
    try await HTTPTestServer.run(folder: try makeFolder()) { server in
      let answer = try await server.get(path)
      #expect(answer.status == 404 || answer.status == 400, "\(answer.status) \(answer.text)")
      #expect(!answer.text.contains("secret") && !answer.text.contains("root:"))
    }
  }

  @Test func aFolderWithoutSlashIsRedirectedWithinTheSite() async throws {
    try await HTTPTestServer.run(folder: try makeFolder()) { server in
      let plain = try await server.get("/desk?x=1")
      #expect(plain.headers["location"] == "/desk/?x=1")
      let doubled = try await server.get("//desk")
      #expect(doubled.headers["location"] == "/desk/")
    }
  }

  @Test func anUnchangedFileIsNotSentAgainAndAChangedOneIs() async throws {
    let folder = try makeFolder()
    try await HTTPTestServer.run(folder: folder) { server in
      let first = try await server.get("/style.css")
      let tag = try #require(first.headers["etag"])
      let again = try await server.get("/style.css", ["If-None-Match": "\"other\", \(tag)"])
      #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == tag)
      write("p{color:red}", "\(folder)/style.css")
      let changed = try await server.get("/style.css", ["If-None-Match": tag])
      #expect(changed.status == 200 && changed.text == "p{color:red}" && changed.headers["etag"] != tag)
    }
  }

  @Test func aRangeIsServed() async throws {
    try await HTTPTestServer.run(folder: try makeFolder()) { server in
      let part = try await server.get("/ring.wav", ["Range": "bytes=2-4"])
      #expect(part.status == 206 && part.text == "234" && part.headers["content-range"] == "bytes 2-4/10")
      let beyond = try await server.get("/ring.wav", ["Range": "bytes=10-"])
      #expect(beyond.status == 416 && beyond.headers["content-range"] == "bytes */10")
      let stale = try await server.get("/ring.wav", ["Range": "bytes=2-4", "If-Range": "\"old\""])
      #expect(stale.status == 200 && stale.text == "0123456789")
    }
  }

  @Test(arguments: [
    ("bytes=0-0", ByteRange.part(0..<1)), ("bytes=5-", .part(5..<10)), ("bytes=-3", .part(7..<10)),
    ("bytes=-30", .part(0..<10)), ("bytes=3-99", .part(3..<10)), ("bytes=10-12", .unsatisfiable),
    ("bytes=-0", .unsatisfiable), ("bytes=4-2", .whole), ("bytes=0-1,3-4", .whole), ("lines=1-2", .whole),
    ("bytes=", .whole), ("bytes=-", .whole), ("bytes=a-b", .whole), ("bytes=0x1-2", .whole),
    ("bytes=99999999999999999999-", .unsatisfiable), ("bytes=1-99999999999999999999", .part(1..<10)),
    ("bytes=-99999999999999999999", .whole),
  ]) func readsRanges(text: String, expected: ByteRange) {
    #expect(ByteRange.parse(text, size: 10) == expected)
  }

  @Test func anEmptyFileHasNoRange() {
    #expect(ByteRange.parse("bytes=0-", size: 0) == .unsatisfiable)
    #expect(ByteRange.parse("bytes=-1", size: 0) == .unsatisfiable)
  }

  @Test func aRouteWinsOverAFile() async throws {
    let folder = try makeFolder()
    write("file", "\(folder)/hello")
    try await HTTPTestServer.run(folder: folder) { server in
      let answer = try await server.get("/hello")
      #expect(answer.text == "http 127.0.0.1")
    }
  }
}
