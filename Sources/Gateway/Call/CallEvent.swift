import Bridge
import Core
import SIP

/// What a call's mailbox holds. Events of one call are handled one after another, in order of arrival.
enum CallEvent {
  /// The caller's INVITE passed authentication and routing.
  case start
  /// A request inside a leg's dialog.
  case request(SIPLeg, ServerTransactionID, SIPRequest, Flow)
  /// The ACK of our 2xx.
  case acknowledged(SIPLeg, SIPRequest)
  /// The caller gave up before an answer.
  case cancelled(SIPLeg, SIPRequest)
  case acknowledgementMissing(SIPLeg)
  /// The connection of a caller closed; an unanswered call has nobody to tell.
  case callerLost(SIPLeg)
  case response(SIPLeg, ClientTransactionID, SIPResponse)
  case requestFailed(SIPLeg, ClientTransactionID, RequestFailure)
  case media(SIPLeg, HostedLegEvent)
  case timer(CallTimer)
  /// An operator, or a room, moves a leg to another target.
  case transfer(SIPLeg, to: RoutedCall, TransferRequest)
  /// The connection of an answered browser's leg closed.
  case cutOff(SIPLeg)
  /// Its page has registered again, or speaks again, over another connection.
  case reachable(SIPLeg)
  /// A new dialog of the same user takes a leg's place.
  case replace(SIPLeg, by: SIPLeg)
  /// Another call wants whoever a leg of this one talks to.
  case surrender(SIPLeg, to: Call)
  /// What another call has let go of.
  case surrendered([SIPLeg], from: Call)
  /// Something befell a phone's seat in a room.
  case seat(SeatID, SeatEvent)
  /// Something befell the call's recording, or is asked of it.
  case recording(RecordingEvent)
  /// The operator or a drain ends the call.
  case hangUp(status: Int, reason: String)
}

extension CallEvent {
  /// The leg that it is about, where that may have moved to another call meanwhile.
  var leg: SIPLeg? {
    switch self {
    case .request(let leg, _, _, _), .acknowledged(let leg, _), .cancelled(let leg, _), .callerLost(let leg),
      .acknowledgementMissing(let leg), .cutOff(let leg), .reachable(let leg), .replace(let leg, _),
      .response(let leg, _, _), .requestFailed(let leg, _, _), .media(let leg, _):
      leg
    default: nil
    }
  }
}

/// Why a request got no response.
enum RequestFailure {
  case timeout
  case transport
}

/// The timers of a call. Setting one again replaces it.
enum CallTimer: Hashable {
  /// Nobody answered.
  case noAnswer
  /// A leg's media path did not come back.
  case mediaRecovery(LegID)
  /// A leg whose far end closed its media said no BYE.
  case goodbye(LegID)
  /// A leg that lost its connection or its media has not come back.
  case survival(LegID)
  /// Whether packets still come from such a leg.
  case pulse(LegID)
  /// Its page is back, its media not.
  case revive(LegID)
  /// The called user's calls go elsewhere now.
  case forward
  /// The target of a transfer did not answer.
  case transferNoAnswer
  /// A leg that has transferred its call said no BYE.
  case farewell(LegID)
  /// A phone in a room pressed the beginning of a code, and nothing after it.
  case featureKey
  /// The next keys for a phone's far end.
  case conferenceDigits
  /// The last words to a phone that is sent away take too long.
  case conferenceFarewell
  /// The longest time of a call.
  case conferenceLimit
  /// The next step of the way into a room.
  case menu
  /// Whether the host is there.
  case hostWatch
  /// A leg's session timer: refresh due or session expired (RFC 4028).
  case session(LegID)
}

/// A leg's identifier, unique in the process; the media worker knows the leg by the same number.
package struct LegID: Hashable, Sendable, CustomStringConvertible {
  package let rawValue: UInt64
  package init(rawValue: UInt64) { self.rawValue = rawValue }
  package var description: String { "leg-\(rawValue)" }
}
