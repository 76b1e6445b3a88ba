import API
import Core
import Gateway
import SIP

/// The running gateway as REST sees it.
struct GatewayBridge: GatewayControl {
  let gateway: Gateway

  var isReady: Bool { get async { await gateway.isReady } }

  func liveCalls() async -> [CallRecord] { await gateway.liveCalls }

  func hangUp(callID: String) async -> Bool { await gateway.hangUp(callID, reason: "ended by the operator") }

  func registrations() async -> [RegistrationInfo] {
    await gateway.registrations.map {
      RegistrationInfo(
        user: $0.user, contact: $0.contact, transport: $0.transport.rawValue, address: $0.address.description,
        userAgent: $0.userAgent, expiresIn: $0.expiresIn)
    }
  }

  func trunkStates() async -> [TrunkInfo] {
    await gateway.trunkStates.map { trunk in
      let registration: TrunkInfo.Registration =
        switch trunk.registration {
        case nil: .unused
        case .trying: .trying
        case .registered: .registered
        case .failed(let why): .failed(why)
        }
      return TrunkInfo(name: trunk.name, registration: registration, activeCalls: trunk.activeCalls)
    }
  }
}
