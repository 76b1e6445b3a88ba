import Core
import Gateway
import SIP
import Synchronization
import Testing

let trunkAddress = SocketAddress("127.0.0.9:5060")!  // literals of the tests

enum SDP {
  static func audio(
    _ direction: String = "sendrecv", port: Int = 40_000, formats: String = "0 101", version: Int = 1,
    address: String = "127.0.0.9"
  ) -> String {
    """
    v=0\r\no=- 1 \(version) IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 \(address)\r\nt=0 0\r\nm=audio \(port) RTP/AVP \(formats)\r
    a=rtpmap:101 telephone-event/8000\r\na=\(direction)\r\n
    """
  }
}

/// A scripted user agent at one flow: a carrier or a phone.
final class Agent: Sendable {
  let world: World
  let name: String
  let flow: Flow
  let instance: String?
  /// A browser's page: its contact is `page.invalid`.
  let page: String?
  private let counter = Atomic<Int>(0)

  init(_ world: World, _ name: String, _ flow: Flow, instance: String? = nil, page: String? = nil) {
    self.page = page
    self.world = world
    self.name = name
    self.flow = flow
    self.instance = instance
  }

  static func carrier(_ world: World, remote: String = "127.0.0.9:5060") -> Agent {
    Agent(
      world, "+4930123",
      Flow(id: 1, transport: .udp, local: SocketAddress("127.0.0.1:5060")!, remote: SocketAddress(remote)!))
  }

  /// A phone that has registered over a connection of its own.
  static func phone(
    _ world: World, _ name: String, _ id: UInt64, transport: TransportProtocol = .tcp, instance: String? = nil,
    page: String? = nil
  ) async throws -> Agent {
    let flow = Flow(
      id: id, transport: transport, local: SocketAddress("127.0.0.1:5060")!,
      remote: SocketAddress("127.0.0.20:\(10_000 + id)")!)
    let agent = Agent(world, name, flow, instance: instance, page: page)
    #expect(try await agent.register().status == 200)
    return agent
  }

  var remote: SocketAddress { flow.remote }
  var contact: String {
    "<sip:\(name)@\(page.map { "\($0).invalid" } ?? "\(flow.remote)");transport=\(flow.transport.uriParameter)>"
  }

  func unique() -> String {
    "\(name.filter(\.isNumber))-\(flow.id)-\(counter.wrappingAdd(1, ordering: .relaxed).newValue)"
  }

  func send(_ request: SIPRequest) async { await world.deliver(.request(request), flow) }

  /// A request outside or inside a dialog, with a Via of its own.
  func make(
    _ method: Method, _ uri: String, to: String? = nil, from: String? = nil, callID: String, fromTag: String,
    toTag: String? = nil, cSeq: UInt32, branch: String? = nil, body: String = "", type: String = "application/sdp",
    _ extra: [(HeaderName, String)] = []
  ) throws -> SIPRequest {
    var request = SIPRequest(method: method, uri: try SIPURI(parsing: uri))
    let via = "SIP/2.0/\(flow.transport.rawValue) \(flow.remote);branch=z9hG4bK\(branch ?? unique())"
    request.headers.append(.via, via + (flow.transport == .udp ? ";rport" : ""))
    request.headers.append(.maxForwards, "70")
    request.headers.append(.from, "<sip:\(from ?? name)@parley.test>;tag=\(fromTag)")
    request.headers.append(.to, "<\(to ?? uri)>" + (toTag.map { ";tag=\($0)" } ?? ""))
    request.headers.append(.callID, callID)
    request.headers.append(.cSeq, "\(cSeq) \(method.rawValue)")
    request.headers.append(.contact, contact)
    for (name, value) in extra { request.headers.set(name, value) }
    if !body.isEmpty { request.setBody(Array(body.utf8), contentType: type) }
    return request
  }

  /// The next final response to a method, or a given one.
  func response(_ method: Method, _ statuses: ClosedRange<Int> = 200...699, callID: String? = nil) async throws
    -> SIPResponse
  {
    try await world.take(remote, "\(statuses) \(method.rawValue)") { message in
      guard case .response(let response) = message, statuses.contains(response.status),
        response.headers.cSeq?.method == method, callID == nil || response.headers.callID == callID
      else { return nil }
      return response
    }
  }

  func request(_ method: Method) async throws -> SIPRequest {
    try await world.take(remote, method.rawValue) { message in
      if case .request(let request) = message, request.method == method { request } else { nil }
    }
  }

  /// The next INVITE to us, as a call.
  func incoming() async throws -> Incoming { Incoming(self, try await request(.invite)) }

  func reply(
    to request: SIPRequest, _ status: Int, tag: String? = "agent", body: String = "",
    _ extra: [(HeaderName, String)] = []
  ) async {
    var response = SIPResponse(to: request, status: status, toTag: tag)
    if request.method == .invite || request.method == .update, status < 300 {
      response.headers.set(.contact, contact)
    }
    for (name, value) in extra { response.headers.append(name, value) }
    if !body.isEmpty { response.setBody(Array(body.utf8), contentType: "application/sdp") }
    await world.deliver(.response(response), flow)
  }

  @discardableResult
  func register(password: String = World.password, expires: Int = 600) async throws -> SIPResponse {
    let callID = "register-\(unique())"
    var extra: [(HeaderName, String)] = [(.expires, "\(expires)")]
    if let instance { extra.append((.contact, contact + ";reg-id=1;+sip.instance=\"<urn:uuid:\(instance)>\"")) }
    let first = try make(
      .register, "sip:parley.test", to: "sip:\(name)@parley.test", callID: callID, fromTag: "r", cSeq: 1, extra)
    await send(first)
    let challenge = try await response(.register, callID: callID)
    #expect(challenge.status == 401)
    var client = DigestClient(username: name, password: Secret(password))
    await send(renewed(try client.answer(challenge, to: first)))
    return try await response(.register, callID: callID)
  }

  /// The same request with another branch.
  func renewed(_ request: SIPRequest) -> SIPRequest {
    var request = request
    request.headers.remove(.via)
    let via = "SIP/2.0/\(flow.transport.rawValue) \(flow.remote);branch=z9hG4bK\(unique())"
    request.headers.prepend(.via, via + (flow.transport == .udp ? ";rport" : ""))
    return request
  }

  func call(_ number: String, body: String = SDP.audio(), _ extra: [(HeaderName, String)] = []) async throws -> Outgoing
  {
    let call = try Outgoing(self, number, body: body, extra)
    await send(call.invite)
    return call
  }
}

/// A dialog as the far end sees it.
protocol Side: AnyObject {
  var agent: Agent { get }
  /// Headers as on our requests.
  func make(_ method: Method, body: String, type: String, _ extra: [(HeaderName, String)]) throws -> SIPRequest
}

extension Side {
  func send(
    _ method: Method, body: String = "", type: String = "application/sdp", _ extra: [(HeaderName, String)] = []
  ) async throws {
    await agent.send(try make(method, body: body, type: type, extra))
  }

  func bye() async throws {
    try await send(.bye)
    #expect(try await agent.response(.bye).status == 200)
  }

  /// Answers the BYE that the gateway sends.
  func awaitBye() async throws {
    let bye = try await agent.request(.bye)
    await agent.reply(to: bye, 200, tag: nil)
  }
}

/// A call that an agent makes.
final class Outgoing: Side {
  let agent: Agent
  var invite: SIPRequest
  let branch: String
  let callID: String
  var toTag: String?
  var cSeq: UInt32 = 1
  private let number: String

  init(_ agent: Agent, _ number: String, body: String, _ extra: [(HeaderName, String)]) throws {
    self.agent = agent
    self.number = number
    callID = "call-\(agent.unique())"
    branch = agent.unique()
    invite = try agent.make(
      .invite, "sip:\(number)@parley.test", callID: callID, fromTag: "caller", cSeq: 1, branch: branch, body: body,
      extra)
  }

  func make(_ method: Method, body: String, type: String, _ extra: [(HeaderName, String)]) throws -> SIPRequest {
    cSeq += 1
    return try agent.make(
      method, "sip:parley@127.0.0.1:5060", to: "sip:\(number)@parley.test", callID: callID, fromTag: "caller",
      toTag: toTag, cSeq: cSeq, body: body, type: type, extra)
  }

  @discardableResult
  func final() async throws -> SIPResponse {
    let response = try await agent.response(.invite, callID: callID)
    if response.isSuccess { toTag = response.headers.toTag }
    return response
  }

  func provisional(_ status: Int) async throws -> SIPResponse {
    try await agent.response(.invite, status...status, callID: callID)
  }

  func ack(body: String = "", cSeq: UInt32 = 1) async throws {
    await agent.send(
      try agent.make(
        .ack, "sip:parley@127.0.0.1:5060", to: "sip:\(number)@parley.test", callID: callID, fromTag: "caller",
        toTag: toTag, cSeq: cSeq, body: body))
  }

  func cancel() async throws {
    await agent.send(
      try agent.make(
        .cancel, "sip:\(number)@parley.test", callID: callID, fromTag: "caller", cSeq: 1, branch: branch))
  }

  /// Takes the 200 and acknowledges it.
  @discardableResult
  func answered() async throws -> SIPResponse {
    let response = try await final()
    #expect(response.status == 200)
    try await ack()
    return response
  }
}

/// A call that came to an agent.
final class Incoming: Side {
  let agent: Agent
  let invite: SIPRequest
  var tag: String
  var cSeq: UInt32 = 100

  init(_ agent: Agent, _ invite: SIPRequest) {
    self.agent = agent
    self.invite = invite
    tag = "callee-\(agent.unique())"
  }

  func make(_ method: Method, body: String, type: String, _ extra: [(HeaderName, String)]) throws -> SIPRequest {
    cSeq += 1
    var request = try agent.make(
      method, invite.headers.contact?.uri.description ?? "sip:x", callID: invite.headers.callID ?? "", fromTag: tag,
      cSeq: cSeq, body: body, type: type, extra)
    request.headers.set(.from, (invite.headers[.to] ?? "") + ";tag=\(tag)")
    request.headers.set(.to, invite.headers[.from] ?? "")
    return request
  }

  func reply(_ status: Int, body: String = "", tag: String? = nil, _ extra: [(HeaderName, String)] = []) async {
    await agent.reply(to: invite, status, tag: status == 100 ? nil : tag ?? self.tag, body: body, extra)
  }

  /// Answers and waits for the ACK.
  func answer(_ body: String = SDP.audio()) async throws {
    await reply(200, body: body, [(.allow, "INVITE, ACK, BYE, CANCEL, UPDATE")])
    _ = try await agent.request(.ack)
  }

  /// Takes the CANCEL, and ends the INVITE as it should.
  @discardableResult
  func cancelled() async throws -> SIPRequest {
    let cancel = try await agent.request(.cancel)
    await agent.reply(to: cancel, 200, tag: tag)
    await reply(487)
    _ = try await agent.request(.ack)
    return cancel
  }
}
