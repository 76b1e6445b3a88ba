import Core
import Foundation
import Testing

@testable import Recording

@Suite struct S3SignatureTests {
  let signature = S3Signature(
    accessKey: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", region: "us-east-1")
  /// 2013-05-24T00:00:00Z, the day of Amazon's examples.
  let time = WallTime(milliseconds: 1_369_353_600_000)
  let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  @Test func signsAmazonsExampleOfAPartOfAnObject() throws {
    let headers = signature.headers(
      "GET", host: "examplebucket.s3.amazonaws.com", path: "/test.txt", headers: [("Range", "bytes=0-9")],
      payloadHash: empty, at: time)
    let authorization = try #require(headers.first { $0.0 == "authorization" }?.1)
    #expect(
      authorization.hasSuffix("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
      "\(authorization)")
  }

  @Test func presignsAmazonsExample() {
    let query = signature.presignedQuery(
      "GET", host: "examplebucket.s3.amazonaws.com", path: "/test.txt", expires: .seconds(86_400), at: time)
    #expect(
      query.hasSuffix("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"), "\(query)")
  }

  @Test func encodesWhatPathsAndQueriesMayNotHold() {
    #expect(S3Signature.encode("/a b/ü+~", keepsSlash: true) == "/a%20b/%C3%BC%2B~")
    #expect(S3Signature.canonical(query: [("b", "x/y"), ("a", "")]) == "a=&b=x%2Fy")
  }

  @Test func findsElementsOfAnswers() {
    #expect(S3Client.element("UploadId", in: "<R><UploadId>abc</UploadId></R>") == "abc")
    #expect(S3Client.element("Code", in: "<R></R>") == nil)
  }
}

@Suite struct FileEncryptionTests {
  let scratch = ScratchDirectory()
  let key = [UInt8](0..<32)

  private func write(_ bytes: [UInt8], _ name: String) throws -> String {
    let path = scratch.path + "/" + name
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test(arguments: [0, 1, 65_535, 65_536, 65_537, 200_000])
  func readsBackWhatItWrote(count: Int) throws {
    let plain = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    let source = try write(plain, "plain")
    try FileEncryption.encrypt(source, to: scratch.path + "/secret", key: key)
    let reader = try DecryptingReader(path: scratch.path + "/secret", key: key)
    #expect(reader.size == count)
    #expect(try reader.read(0..<count) == plain)
    if count > 70_000 { #expect(try reader.read(65_500..<65_600) == Array(plain[65_500..<65_600])) }
  }

  @Test func noticesChangesMovesCutsAndOtherKeys() throws {
    let source = try write([UInt8](repeating: 7, count: 200_000), "plain")
    let path = scratch.path + "/secret"
    try FileEncryption.encrypt(source, to: path, key: key)
    let whole = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
    #expect(!whole.dropFirst(23).starts(with: [7, 7, 7, 7]))
    #expect(throws: RecordingError.self) { try DecryptingReader(path: path, key: [UInt8](1..<33)).read(0..<1) }
    var changed = whole
    changed[100_000] ^= 1
    #expect(throws: RecordingError.self) { try DecryptingReader(path: write(changed, "a"), key: key).read(0..<200_000) }
    // Its last chunk taken away.
    let cut = Array(whole[..<(23 + 3 * (65_536 + 16))])
    #expect(throws: RecordingError.self) {
      try DecryptingReader(path: write(cut, "b"), key: key).read(131_072..<196_608)
    }
    let chunk = 65_536 + 16
    let swapped =
      Array(whole[..<23]) + whole[(23 + chunk)..<(23 + 2 * chunk)] + whole[23..<(23 + chunk)]
      + whole[(23 + 2 * chunk)...]
    #expect(throws: RecordingError.self) { try DecryptingReader(path: write(swapped, "c"), key: key).read(0..<1) }
  }
}
