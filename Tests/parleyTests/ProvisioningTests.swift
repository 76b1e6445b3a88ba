import Core
import Foundation
import Store
import Testing

@testable import parley

@Suite struct ProvisioningTests {
  let place: TemporaryPlace
  let store: Store

  init() throws {
    place = try TemporaryPlace()
    store = try Store(directory: place.path)
  }

  func configuration(_ yaml: String? = nil) throws -> Configuration {
    var configuration = try Configuration.parse(yaml: yaml ?? "", file: yaml == nil ? nil : "x", environment: [:])
    configuration.data.directory = place.path
    return configuration
  }

  @Test func withoutAFileTheDemoIsThereWithSecretsOfItsOwn() async throws {
    let first = try await configuration().provision(into: store)
    let demo = try #require(first.demo)
    #expect(demo.users.map(\.name) == ["1001", "1002"])
    #expect(Set(demo.users.map(\.password)).count == 2)
    #expect(demo.users.allSatisfy { $0.password.count >= 15 })
    #expect(first.keys == [demo.key.name: Secret(demo.key.secret)])
    #expect(try await store.numbers() == [.init(number: "600", to: .echo), .init(number: "601", to: .milliwatt)])
    let hashes = PasswordHashes(name: "1001", realm: "localhost", password: Secret(demo.users[0].password))
    #expect(try await store.user("1001")?.ha1MD5 == hashes.md5)
    #expect(try await store.user("1001")?.ha1SHA256 == hashes.sha256)
    let mode =
      try FileManager.default.attributesOfItem(atPath: place.file("demo-users.json"))[.posixPermissions] as? Int
    #expect(mode == 0o600)
    // The next start has the same ones, and creates nothing.
    let second = try await configuration().provision(into: store)
    #expect(second.demo == demo)
    #expect(second.report.isEmpty)
    // Another installation has others.
    #expect(DemoCredentials.make() != DemoCredentials.make())
  }

  @Test func aFileTurnsTheDemoOff() async throws {
    let provisioned = try await configuration("keys: { a: b }\nprovision: { users: [{ name: x, password: y }] }")
      .provision(into: store)
    #expect(provisioned.demo == nil)
    #expect(provisioned.keys == ["a": Secret("b")])
    #expect(try await store.users().map(\.name) == ["x"])
    #expect(try await store.user("x")?.display == "x")
    #expect(try await store.numbers() == [])
    #expect(!FileManager.default.fileExists(atPath: place.file("demo-users.json")))
  }

  @Test func configuredUsersAndKeysTakeThePlaceOfTheDemos() async throws {
    let yaml =
      "keys: { a: b }\nprovision: { demo: true, users: [{ name: 1001, password: mine }], numbers: [{ number: 600, to: 'milliwatt:' }] }"
    let provisioned = try await configuration(yaml).provision(into: store)
    #expect(provisioned.keys == ["a": Secret("b")])
    let mine = PasswordHashes(name: "1001", realm: "localhost", password: Secret("mine"))
    #expect(try await store.user("1001")?.ha1SHA256 == mine.sha256)
    #expect(try await store.numbers().map(\.to) == [.milliwatt, .milliwatt])
  }

  @Test func aDamagedSecretsFileIsSaidAndNotReplaced() async throws {
    try Data("{".utf8).write(to: URL(fileURLWithPath: place.file("demo-users.json")))
    let error = #expect(throws: DemoCredentialsError.self) { try DemoCredentials.loadOrCreate(in: place.path) }
    #expect(error?.description.contains("demo-users.json: is damaged") == true)
    #expect(try Data(contentsOf: URL(fileURLWithPath: place.file("demo-users.json"))) == Data("{".utf8))
  }

  @Test func digestHashesAreThoseOfTheRFC() {
    // RFC 7616 §3.9.1 gives the parts; the values are H(Mufasa:http-auth@example.org:Circle of Life).
    let hashes = PasswordHashes(name: "Mufasa", realm: "http-auth@example.org", password: Secret("Circle of Life"))
    #expect(hashes.md5 == "3d78807defe7de2157e2b0b6573a855f")
    #expect(hashes.sha256 == "7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232")
  }
}
