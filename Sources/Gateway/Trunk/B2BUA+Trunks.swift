import Core
import Logging
import SIP

/// Trunks as a whole: directory changes, states, shutdown.
extension B2BUA {
  /// Takes a new directory. A trunk that did not change keeps its registration.
  func update(_ new: Directory, trunkAddresses addresses: [String: [IPAddress]]) {
    for rule in new.invalidRoutes {
      logger.error("a route is skipped: its match is no regular expression", metadata: ["match": "\(rule.match)"])
    }
    for (name, registration) in trunkRegistrations
    where new.trunk(name) != registration.trunk || !registration.trunk.register {
      registration.unregister()
      trunkRegistrations[name] = nil
    }
    // Not before: the old registrations are taken back at the old addresses.
    directory = new
    trunkAddresses = addresses
    for user in registrar.addressesOfRecord where new.user(user) == nil { _ = registrar.remove(user) }
    metrics.registrations.set(registrar.count)
    for trunk in new.trunks where trunk.register && trunkRegistrations[trunk.name] == nil {
      trunkRegistrations[trunk.name] = TrunkRegistration(trunk: trunk, core: self)
    }
  }

  func unregisterTrunks() {
    for registration in trunkRegistrations.values { registration.unregister() }
  }

  /// Whether a carrier has not yet confirmed that we left.
  var isLeavingTrunks: Bool { trunkRegistrations.values.contains { $0.isLeaving } }

  var trunkStates: [TrunkState] {
    directory.trunks.map { trunk in
      let active = calls.values.count { call in
        call.legs.contains { if case .trunk(let other) = $0.party { other.name == trunk.name } else { false } }
      }
      return TrunkState(
        name: trunk.name, host: "\(trunk.host):\(trunk.port)", registration: trunkRegistrations[trunk.name]?.state,
        activeCalls: active)
    }
  }

  var registrations: [Registration] {
    registrar.addressesOfRecord.flatMap { registrar.bindings($0, now: now) }.map { binding in
      Registration(
        user: binding.aor, contact: binding.contact.uri.description, transport: binding.flow.transport,
        address: binding.flow.remote, userAgent: binding.userAgent ?? "",
        expiresIn: max(0, Int((binding.expiry - now).inSeconds)))
    }
  }
}
