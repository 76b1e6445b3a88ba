import Core
import HTTPTypes
import LiveKitProtocol
import Store
import SwiftProtobuf
import Testing

@testable import API

/// LiveKit's messages beside what is stored, and how failures of calls read.
@Suite struct SIPServiceTests {
  @Test func whatHasNoMeaningHereComesBackAllTheSame() throws {
    let info = Livekit_SIPInboundTrunkInfo.with {
      $0.name = "a"
      $0.numbers = ["+1"]
      $0.krispEnabled = true
      $0.authRealm = "realm"
      $0.ringingTimeout = .init(seconds: 20)
      $0.headers = ["X-A": "b"]
      $0.media = .with { $0.onlyListedCodecs = true }
      $0.maxCallDuration = .init(seconds: 90, nanos: 500_000_000)
      $0.includeHeaders = .sipAllHeaders
    }
    var trunk = InboundRoomTrunk(info, id: "ST_1", createdAt: WallTime(milliseconds: 1_500))
    var message = trunk.message
    #expect(message.createdAt == .init(seconds: 1, nanos: 500_000_000))
    message.clearCreatedAt()
    message.clearUpdatedAt()
    message.sipTrunkID = ""
    #expect(message == info)
    // REST changed it since.
    trunk.name = "b"
    trunk.maximumDuration = nil
    #expect(trunk.message.name == "b" && trunk.message.krispEnabled && !trunk.message.hasMaxCallDuration)
  }

  @Test func updatesTouchOnlyWhatTheyName() throws {
    var trunk = OutboundRoomTrunk(
      .with { ($0.name, $0.address, $0.numbers, $0.transport, $0.fromHost) = ("a", "h", ["1", "2"], .tls, "f") },
      id: "ST_1", createdAt: .now())
    trunk.apply(
      .with {
        $0.metadata = ""
        $0.numbers = .with { ($0.add, $0.remove) = (["3", "1"], ["2"]) }
      })
    #expect(trunk.numbers == ["1", "3"] && trunk.transport == "tls" && trunk.message.fromHost == "f")
    trunk.apply(.with { $0.numbers = .with { ($0.clear, $0.set) = (true, ["9"]) } })
    #expect(trunk.numbers == ["9"] && trunk.name == "a")
  }

  @Test func aRuleKeepsItsHostThroughLiveKitsChanges() throws {
    let info = Livekit_SIPDispatchRuleInfo.with {
      $0.rule.dispatchRuleCallee = .with { ($0.roomPrefix, $0.pin, $0.randomize) = ("p", "1", true) }
      $0.attributes = ["a": "1", "b": "2"]
    }
    var rule = try DispatchRule(info, id: "SDR_1", createdAt: .now())
    #expect(rule.target == .callee(prefix: "p", random: true) && rule.pin == "1")
    (rule.hostPIN, rule.waitsForHost) = ("2", true)
    try rule.apply(
      .with {
        $0.name = "n"
        $0.attributes = ["a": "", "c": "3"]
      })
    #expect(rule.hostPIN == "2" && rule.waitsForHost && rule.attributes == ["b": "2", "c": "3"])
    #expect(throws: TwirpError.self) { try DispatchRule(.init(), id: "SDR_1", createdAt: .now()) }
  }

  /// A 5xx would have clients ring once more.
  @Test(arguments: (300...699).map { Optional($0) } + [nil])
  func noFailureOfTheFarEndLooksLikeOneOfTheServer(_ status: Int?) {
    for kind in [PhoneFailure.Kind.busy, .rejected, .noAnswer, .failed, .cancelled, .refused, .unavailable, .invalid] {
      let error = TwirpError(PhoneFailure(kind, "why", sipStatus: status))
      #expect((400..<500).contains(error.code.status.code), "\(kind) \(String(describing: status))")
      #expect(error.meta["sip_status_code"] == status.map { "\($0)" })
    }
  }

  @Test func metaTellsWhyACallFailed() {
    let busy = TwirpError(PhoneFailure(.busy, "the line is busy", sipStatus: 486))
    #expect(busy.code == .resourceExhausted)
    #expect(busy.meta == ["sip_status_code": "486", "sip_status": "the line is busy"])
    #expect(TwirpError(.internal, "a").meta.isEmpty)
    let error = TwirpError(PhoneFailure(.noAnswer, "nobody"), transferID: "STR_1")
    #expect(error.meta == ["sip_transfer_id": "STR_1", "sip_transfer_reason": "STR_RINGING_TIMEOUT"])
  }

  @Test(arguments: [
    ("+15550100", "+15550100"), ("tel:+1-555-0100;ext=1", "+1-555-0100"), ("sip:1001@example.com;user=phone", "1001"),
    ("SIPS:a@b", "a"), ("", nil), ("a b", nil), ("sip:@b", nil), ("1\r\n2", nil), ("<x>", nil),
  ])
  func readsWhomToCall(_ text: String, _ expected: String?) {
    #expect((try? PhoneNumber.callee(text)) == expected)
  }

  @Test func aHiddenNumberIsNeitherInNameNorIdentityNorAttributes() throws {
    for hidden in [true, false] {
      var dial = PhoneDial(room: "r", identity: "", way: .exchange, number: "+15550100")
      dial.callerNumber = "+15550199"
      try dial.complete(hidesNumber: hidden)
      let shown = "\(dial.identity) \(dial.name) \(dial.attributes)"
      #expect(shown.contains("5550100") != hidden && shown.contains("5550199") != hidden)
      #expect(dial.identity.hasPrefix("sip_") && dial.identity.count > 8)
    }
  }

  @Test func aCallIsCheckedBeforeItRings() {
    func problem(_ change: (inout PhoneDial) -> Void) -> Bool {
      var dial = PhoneDial(room: "r", identity: "i", way: .exchange, number: "1")
      change(&dial)
      do {
        try dial.complete(hidesNumber: false)
        return false
      } catch {
        return error.kind == .invalid
      }
    }
    #expect(!problem { _ in })
    #expect(problem { $0.room = String(repeating: "r", count: 129) })
    #expect(problem { $0.name = "a\nb" })
    #expect(problem { $0.digits = "12x" })
    #expect(problem { $0.callerNumber = "a b" })
    #expect(problem { $0.headers = ["Route": "x"] })
    #expect(problem { $0.metadata = String(repeating: "m", count: 65_537) })
  }
}
