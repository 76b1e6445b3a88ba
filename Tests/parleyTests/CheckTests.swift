import Core
import Crypto
import Foundation
import Store
import SwiftASN1
import Testing
import X509

@testable import parley

@Suite struct CheckTests {
  let place: TemporaryPlace
  var configuration = Configuration()

  init() throws {
    place = try TemporaryPlace()
    configuration.data.directory = place.file("data")
    configuration.http.listen = SocketAddress("127.0.0.1:0")
    configuration.http.tls.listen = nil
    configuration.sip.udp = []
    configuration.sip.tcp = []
    configuration.sip.tls = []
  }

  @Test func everyFindingOfAGoodConfigurationIsFine() async {
    let findings = await Checks(configuration: configuration).run()
    #expect(!findings.contains { $0.level == .fail })
    #expect(findings.contains { $0.subject == "data.directory" && $0.message.contains("will be created") })
    // It looked only.
    #expect(!FileManager.default.fileExists(atPath: place.file("data")))
  }

  @Test func everyWarningAndFailureHasARemedy() async throws {
    var bad = configuration
    bad.keys = ["k": Secret("short")]
    bad.http.listen = SocketAddress("192.0.2.77:80")
    bad.http.web = place.file("none")
    bad.http.tls.certificate = place.file("none.pem")
    bad.http.tls.key = place.file("none.pem")
    bad.http.tls.listen = SocketAddress("127.0.0.1:0")
    bad.sip.udp = [SocketAddress("127.0.0.1:20000")!]
    bad.warnings = ["PARLEY_X sets nothing."]
    let findings = await Checks(configuration: bad).run()
    let wrong = findings.filter { $0.level != .ok }
    #expect(wrong.filter { $0.remedy.isEmpty } == [])
    let failed = Set(wrong.filter { $0.level == .fail }.map(\.subject))
    #expect(failed.isSuperset(of: ["http.listen 192.0.2.77:80/tcp", "http.web", "certificate", "media.ports"]))
    #expect(wrong.contains { $0.subject == "keys.k" })
  }

  /// A bound, and over TCP listening, socket on 127.0.0.1 and its port.
  private func take(udp: Bool) throws -> (descriptor: Int32, port: UInt16) {
    let type = udp ? Int32(SOCK_DGRAM.rawValue) : Int32(SOCK_STREAM.rawValue)
    let descriptor = socket(AF_INET, type, 0)
    try #require(descriptor >= 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
        #expect(bind(descriptor, raw, length) == 0)
        if !udp { #expect(listen(descriptor, 1) == 0) }
        getsockname(descriptor, raw, &length)
      }
      return UInt16(bigEndian: pointer.pointee.sin_port)
    }
    return (descriptor, port)
  }

  @Test(arguments: [false, true])
  func aTakenPortFails(_ udp: Bool) throws {
    let (descriptor, port) = try take(udp: udp)
    defer { close(descriptor) }
    var taken = configuration
    taken.http.listen = nil
    let listener = SocketAddress(ip: IPAddress(v4: 0x7F00_0001), port: port)
    if udp { taken.sip.udp = [listener] } else { taken.sip.tcp = [listener] }
    let findings = Checks(configuration: taken).listenerFindings()
    #expect(findings.map(\.level) == [.fail])
    #expect(findings.first?.message.contains("in use") == true)
  }

  @Test func namesWhatBrowsersAreToldOfTheSinglePort() throws {
    var single = configuration
    single.media.listen = [try #require(IPAddress("127.0.0.1"))]
    single.media.port = 38_444
    let inside = Checks(configuration: single).singlePortFindings().first { $0.subject == "media.port" }
    #expect(inside?.message.contains("only browsers on this machine") == true)
    single.media.address = [try #require(IPAddress("198.51.100.7"))]
    let outside = Checks(configuration: single).singlePortFindings().first { $0.subject == "media.port" }
    #expect(outside?.message.contains("198.51.100.7:38444") == true)
    #expect(outside?.message.contains("UDP and TCP port 38444") == true)
    single.media.ice = .full
    #expect(Checks(configuration: single).singlePortFindings() == [])
  }

  @Test(arguments: [false, true])
  func aTakenSinglePortFails(_ udp: Bool) throws {
    let (descriptor, port) = try take(udp: udp)
    defer { close(descriptor) }
    var taken = configuration
    taken.media.listen = [try #require(IPAddress("127.0.0.1"))]
    taken.media.port = port
    let findings = Checks(configuration: taken).singlePortFindings().filter { $0.level == .fail }
    #expect(findings.map(\.subject) == ["media.port 127.0.0.1:\(port)/\(udp ? "udp" : "tcp")"])
    #expect(findings.first?.message.contains("in use") == true)
  }

  /// A certificate and its key as PEM files.
  func certificate(_ name: String, validFor seconds: Double) throws -> (certificate: String, key: String) {
    let key = P256.Signing.PrivateKey()
    let subject = try DistinguishedName { CommonName("test") }
    let certificate = try Certificate(
      version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey),
      notValidBefore: Date().addingTimeInterval(-100_000), notValidAfter: Date().addingTimeInterval(seconds),
      issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256, extensions: .init(),
      issuerPrivateKey: .init(key))
    try Data(certificate.serializeAsPEM().pemString.utf8).write(to: URL(fileURLWithPath: place.file(name + ".crt")))
    try Data(key.pemRepresentation.utf8).write(to: URL(fileURLWithPath: place.file(name + ".key")))
    return (place.file(name + ".crt"), place.file(name + ".key"))
  }

  @Test func readsCertificates() throws {
    func finding(_ certificate: String, _ key: String) -> Finding? {
      var configuration = configuration
      configuration.http.tls.listen = SocketAddress("127.0.0.1:8443")
      configuration.http.tls.certificate = certificate
      configuration.http.tls.key = key
      return Checks(configuration: configuration).certificateFindings().first
    }
    let good = try certificate("good", validFor: 90 * 86_400)
    #expect(finding(good.certificate, good.key)?.level == .ok)
    let old = try certificate("old", validFor: -60)
    #expect(finding(old.certificate, old.key)?.level == .fail)
    #expect(finding(old.certificate, old.key)?.message.contains("expired") == true)
    let soon = try certificate("soon", validFor: 86_400)
    #expect(finding(soon.certificate, soon.key)?.level == .warn)
    #expect(finding(good.certificate, soon.key)?.message.contains("is not the key of") == true)
    #expect(finding(place.file("none"), good.key)?.message.contains("cannot be read") == true)
    #expect(finding(good.key, good.key)?.message.contains("no PEM certificate") == true)
    #expect(finding(good.certificate, good.certificate)?.message.contains("private key") == true)
  }

  @Test func aFileInThePlaceOfTheDataDirectoryFails() throws {
    try Data().write(to: URL(fileURLWithPath: place.file("data")))
    #expect(Checks(configuration: configuration).dataFindings().first?.level == .fail)
  }

  @Test func comparesTheDatabaseWithTheConfiguration() async throws {
    var configuration = configuration
    configuration.provision.users = [ProvisionUser(name: "1001", password: Secret("first password"))]
    configuration.provision.numbers = [ProvisionNumber(number: "7", to: .user("gone"))]
    let store = try Store(directory: configuration.data.directory)
    _ = try await configuration.provision(into: store)
    func messages(_ configuration: Configuration) -> String {
      Checks(configuration: configuration).databaseFindings().map(\.line).joined(separator: "\n")
    }
    #expect(messages(configuration).contains("leads to user gone, who does not exist"))
    #expect(!messages(configuration).contains("another password"))
    var changed = configuration
    changed.provision.users[0].password = Secret("second password")
    #expect(messages(changed).contains("1001 exists with another password"))
    var moved = configuration
    moved.sip.realm = "elsewhere"
    #expect(messages(moved).contains("FAIL sip.realm"))
  }

  @Test func fewOpenFilesAreAWarning() {
    #expect(Checks(configuration: configuration).limitFindings(hard: 1024).first?.level == .warn)
    #expect(Checks(configuration: configuration).limitFindings(hard: 65_536).first?.level == .ok)
  }
}
