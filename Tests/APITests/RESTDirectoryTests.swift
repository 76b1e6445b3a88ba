import Core
import Foundation
import HTTPTypes
import SIP
import Store
import Synchronization
import Testing

@testable import API

@Suite struct RESTDirectoryTests {
  let rest: RESTHarness
  init() throws { rest = try RESTHarness() }

  @Test func keepsUsers() async throws {
    let added = try await rest.ask(.post, "/v1/users", #"{"name":"1003","password":"long enough","display":"Bob"}"#)
    #expect(added.status == 201)
    #expect(!added.text.contains("long enough"))
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1003", "long enough")).status == 200)
    #expect(try await rest.ask(.post, "/v1/users", #"{"name":"1003","password":"long enough"}"#).status == 409)
    let changed = try await rest.ask(.patch, "/v1/users/1003", #"{"password":"another one","display":"Robert"}"#)
    #expect(changed.json["display"] as? String == "Robert")
    #expect(changed.json["enabled"] as? Bool == true)
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1003", "another one")).status == 200)
    #expect(try await rest.ask(.patch, "/v1/users/1003", #"{"enabled":false}"#).status == 200)
    #expect(try await rest.ask(.get, "/v1/me", login: .basic("1003", "another one")).status == 401)
    let list = try await rest.ask(.get, "/v1/users")
    #expect(list.list("users").count == 1)
    let stored = try #require(try await rest.store.user("1003"))
    #expect(!list.text.contains(stored.ha1MD5) && !list.text.contains(stored.ha1SHA256))
    #expect(try await rest.ask(.delete, "/v1/users/1003").status == 204)
    #expect(try await rest.ask(.delete, "/v1/users/1003").status == 404)
    #expect(try await rest.ask(.get, "/v1/users/1003").status == 404)
    #expect(try await rest.ask(.patch, "/v1/users/1003", "{}").status == 404)
  }

  /// A body for POST /v1/users and what its refusal has to name.
  static let badUsers: [(body: String, named: String)] = [
    ("", "JSON"), ("{", "JSON"), ("[]", "object"), ("null", "object"), ("\"a\"", "object"),
    (#"{"password":"long enough"}"#, "name is missing"),
    (#"{"name":"a"}"#, "password is missing"),
    (#"{"name":1,"password":"long enough"}"#, "name must be text"),
    (#"{"name":"a b","password":"long enough"}"#, "a b"),
    (#"{"name":"a","password":"short"}"#, "8 to 256"),
    (#"{"name":"a","password":"long enough","enabled":"yes"}"#, "enabled must be true or false"),
    (#"{"name":"a","password":"long enough","displya":"x"}"#, "displya is no field"),
    (#"{"name":"a","password":"long enough","display":"x\r\ny"}"#, "control character"),
  ]

  @Test(arguments: badUsers.indices)
  func refusesUser(_ index: Int) async throws {
    let (body, named) = Self.badUsers[index]
    let answer = try await rest.ask(.post, "/v1/users", body)
    #expect(answer.status == 400)
    #expect(answer.errorCode == "invalid")
    #expect(answer.message.contains(named), "\(answer.message)")
  }

  @Test func refusesBigAndDeepBodies() async throws {
    let big = try await rest.ask(.post, "/v1/users", String(repeating: " ", count: 70_000))
    #expect(big.status == 413)
    #expect(big.errorCode == "too-large")
    let deep = String(repeating: "[", count: 30_000)
    #expect(try await rest.ask(.post, "/v1/users", deep).status == 400)
    let nested = #"{"name":"# + String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000) + "}"
    #expect(try await rest.ask(.post, "/v1/users", nested).status == 400)
  }

  @Test func keepsTrunksWithoutTellingPasswords() async throws {
    let added = try await rest.ask(
      .post, "/v1/trunks",
      #"{"name":"c","host":"192.0.2.1","transport":"tls","codecs":["pcma","opus"],"allow":["192.0.2.0/24"],"username":"u","password":"s3cret","register":true}"#
    )
    #expect(added.status == 201)
    #expect(added.json["port"] as? Int == 5061)
    #expect(added.json["codecs"] as? [String] == ["PCMA", "opus"])
    #expect(added.json["hasPassword"] as? Bool == true)
    #expect(!added.text.contains("s3cret"))
    #expect(try await rest.store.trunk("c")?.password == "s3cret")
    rest.control.state.withLock {
      $0.trunks = [TrunkInfo(name: "c", registration: .failed("403 Forbidden"), activeCalls: 2)]
    }
    let one = try await rest.ask(.get, "/v1/trunks/c")
    #expect(one.json["registration"] as? String == "failed")
    #expect(one.json["registrationError"] as? String == "403 Forbidden")
    #expect(one.json["activeCalls"] as? Int == 2)
    // What is not given stays; null removes.
    #expect(try await rest.ask(.patch, "/v1/trunks/c", #"{"port":5070}"#).json["hasPassword"] as? Bool == true)
    #expect(try await rest.ask(.patch, "/v1/trunks/c", #"{"password":null}"#).json["hasPassword"] as? Bool == false)
    #expect(try await rest.store.trunk("c")?.port == 5070)
    #expect(try await rest.ask(.get, "/v1/trunks").list("trunks").count == 1)
    #expect(try await rest.ask(.delete, "/v1/trunks/c").status == 204)
    #expect(try await rest.ask(.delete, "/v1/trunks/c").status == 404)
  }

  @Test(arguments: [
    #"{"name":"c"}"#, #"{"name":"c","host":"a b"}"#, #"{"name":"c","host":"h","port":0}"#,
    #"{"name":"c","host":"h","port":70000}"#, #"{"name":"c","host":"h","port":1.5}"#,
    #"{"name":"c","host":"h","port":1e300}"#, #"{"name":"c","host":"h","codecs":["mp3"]}"#,
    #"{"name":"c","host":"h","codecs":"PCMU"}"#, #"{"name":"c","host":"h","codecs":[1]}"#,
    #"{"name":"c","host":"h","codecs":[]}"#, #"{"name":"c","host":"h","transport":"ws"}"#,
    #"{"name":"c","host":"h","allow":["x"]}"#, #"{"name":"c","host":"h","register":true}"#,
  ])
  func refusesTrunk(_ body: String) async throws {
    let answer = try await rest.ask(.post, "/v1/trunks", body)
    #expect(answer.status == 400)
    #expect(answer.errorCode == "invalid")
  }

  @Test func keepsNumbers() async throws {
    #expect(try await rest.ask(.post, "/v1/numbers", #"{"number":"+15550100","to":"user:1001"}"#).status == 201)
    #expect(try await rest.ask(.post, "/v1/numbers", #"{"number":"+15550100","to":"echo:"}"#).status == 409)
    #expect(try await rest.ask(.post, "/v1/numbers", #"{"number":"1","to":"1001"}"#).status == 400)
    // With the plus sign percent-encoded and not.
    #expect(try await rest.ask(.patch, "/v1/numbers/%2B15550100", #"{"to":"echo:"}"#).status == 200)
    #expect(try await rest.store.numbers() == [NumberRule(number: "+15550100", to: .echo)])
    #expect(try await rest.ask(.patch, "/v1/numbers/1", #"{"to":"echo:"}"#).status == 404)
    #expect(try await rest.ask(.delete, "/v1/numbers/+15550100").status == 204)
    #expect(try await rest.ask(.delete, "/v1/numbers/%ZZ").status == 400)
    #expect(try await rest.ask(.get, "/v1/numbers").list("numbers").isEmpty)
  }

  @Test func keepsRoutes() async throws {
    let first = try await rest.ask(.post, "/v1/routes", #"{"match":"^9(\\d+)$","to":"trunk:c","number":"$1"}"#)
    #expect(first.status == 201)
    #expect(first.json["position"] as? Int == 10)
    #expect(try await rest.ask(.post, "/v1/routes", #"{"match":"^0","to":"trunk:c"}"#).json["position"] as? Int == 20)
    #expect(try await rest.ask(.post, "/v1/routes", #"{"match":"^1","to":"trunk:c","position":20}"#).status == 409)
    #expect(try await rest.ask(.post, "/v1/routes", #"{"match":"(","to":"trunk:c"}"#).status == 400)
    let changed = try await rest.ask(.patch, "/v1/routes/10", #"{"number":null,"to":"trunk:d"}"#)
    #expect(changed.json["to"] as? String == "trunk:d")
    #expect(changed.json["number"] == nil)
    #expect(changed.json["match"] as? String == "^9(\\d+)$")
    #expect(try await rest.ask(.patch, "/v1/routes/x", "{}").status == 400)
    #expect(try await rest.ask(.patch, "/v1/routes/5", "{}").status == 404)
    #expect(try await rest.ask(.delete, "/v1/routes/10").status == 204)
    #expect(try await rest.ask(.get, "/v1/routes").list("routes").map { $0["position"] as? Int } == [20])
  }
}

@Suite struct OpenAPITests {
  /// The document's lines. It is written so that two blanks are one level.
  static let lines: [Substring] = {
    let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let text = try? String(contentsOf: root.appendingPathComponent("signaling/rest/openapi.yaml"), encoding: .utf8)
    return text?.split(separator: "\n", omittingEmptySubsequences: false) ?? []
  }()

  /// The keys one level below a path of keys.
  func keys(below path: [String]) -> [String] {
    var depth = 0
    var found: [String] = []
    for line in Self.lines {
      let indent = line.prefix { $0 == " " }.count
      guard indent % 2 == 0, line.dropFirst(indent).first.map({ $0 != "-" && $0 != "#" }) ?? false else { continue }
      let level = indent / 2
      let key = String(line.dropFirst(indent).prefix { $0 != ":" || false })
      if level < depth, depth <= path.count {
        depth = min(depth, level)
        if !found.isEmpty { return found }
      }
      if depth == path.count, level == depth { found.append(key) }
      if depth < path.count, level == depth, key == path[depth] { depth += 1 }
    }
    return found
  }

  @Test func theDocumentListsExactlyTheRoutes() throws {
    let rest = try RESTHarness()
    var documented: Set<RESTOperation> = []
    for path in keys(below: ["paths"]) {
      for method in keys(below: ["paths", path]) where method != "parameters" {
        documented.insert(RESTOperation(method: method.uppercased(), path: path))
      }
    }
    #expect(documented.count > 20)
    #expect(documented.subtracting(rest.operations) == [], "in the document only")
    #expect(Set(rest.operations).subtracting(documented) == [], "in the program only")
  }

  @Test func theSchemasListExactlyTheFields() throws {
    let call = CallRecord.sample("x")
    let trunk = Trunk(name: "c", host: "h", username: "u")
    let state = TrunkInfo(name: "c", registration: .failed("x"), activeCalls: 1)
    let bodies: [(String, any Encodable)] = [
      ("Call", CallBody(call)), ("Leg", LegBody(call.legs[0])), ("Media", LegBody(call.legs[0]).media),
      ("HistoryCall", HistoryBody(call, for: "1001")), ("Trunk", TrunkBody(trunk, state: state)),
      ("User", UserBody(User(name: "a", display: "", ha1MD5: "", ha1SHA256: ""))),
      ("Number", NumberBody(NumberRule(number: "1", to: .echo))),
      ("Route", RouteBody(RouteRule(position: 1, match: "x", to: .echo, number: "1"))),
      (
        "Registration",
        RegistrationInfo(user: "", contact: "", transport: "", address: "", userAgent: "", expiresIn: 0)
      ),
      ("CallPage", CallPage(calls: [], next: "x")), ("HistoryPage", HistoryPage(calls: [], next: "x")),
    ]
    for (name, body) in bodies {
      let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(body)) as? [String: Any]
      let documented = keys(below: ["components", "schemas", name, "properties"])
      #expect(Set(documented) == Set(object?.keys.map { $0 } ?? []), "\(name)")
    }
  }
}
