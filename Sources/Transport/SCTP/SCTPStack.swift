// Every C module: several declare the system's structs, and whose they are for Swift depends on build order.
internal import CLinux
internal import CNice
internal import COpenSSL
internal import CSRTP
internal import CUSRSCTP
internal import Core
internal import Glibc

/// usrsctp: one machine for the whole process, whose timers and output of all associations run on whoever calls it.
///
/// So every call into it is made under one lock, and its callbacks only put copies into the queues of the association
/// that they are for; the association's own worker takes them out. Data channels carry messages at the rate of control,
/// and no RTP packet waits for this lock.
///
/// While associations exist, one of them lends its worker for a timer of 10 ms that drives all of usrsctp's timers.
///
/// `@unchecked Sendable`: all variables are touched only by the thread that holds `lock`; usrsctp's callbacks come only
/// from inside calls made under it.
final class SCTPStack: @unchecked Sendable {
  static let shared = SCTPStack()

  /// Of POSIX: a contended `Mutex` is handed over by the kernel, which ThreadSanitizer does not see.
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private var associations: [UInt: SCTPAssociation] = [:]
  /// Addresses that were given and are free again. A deregistered one would go to usrsctp's iterator, a thread that
  /// knows nothing of our lock; without such work it sleeps for ever.
  private var freeIdentifiers: [UInt] = []
  private var lastIdentifier: UInt = 0
  private var touched: [SCTPAssociation] = []
  /// The association whose worker drives the timers.
  private var clockBearer: SCTPAssociation?
  private var lastTick = Instant.zero

  static let tick = Duration.milliseconds(10)

  private init() {
    lock = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    usrsctp_init_nothreads(
      0,
      { address, bytes, count, _, _ in
        SCTPStack.shared.output(address, bytes, count)
        return 0
      }, nil)
    // Below DTLS and ICE nothing of these is of use (RFC 8261 §5): one path, authenticated, not marked for congestion.
    usrsctp_sysctl_set_sctp_ecn_enable(0)
    usrsctp_sysctl_set_sctp_asconf_enable(0)
    usrsctp_sysctl_set_sctp_auto_asconf(0)
    usrsctp_sysctl_set_sctp_auth_enable(0)
    usrsctp_sysctl_set_sctp_nrsack_enable(0)
    usrsctp_sysctl_set_sctp_pktdrop_enable(0)
    usrsctp_sysctl_set_sctp_pr_enable(1)
    usrsctp_sysctl_set_sctp_reconfig_enable(1)
    // A late packet cannot come from an earlier association: DTLS has other keys by then. Waiting would cost memory.
    usrsctp_sysctl_set_sctp_vtag_time_wait(0)
    // No ABORT in answer to packets of associations that are gone.
    usrsctp_sysctl_set_sctp_blackhole(2)
    // A media path recovers within seconds (an ICE restart), so backing off to a minute would outlast the outage.
    usrsctp_sysctl_set_sctp_rto_initial_default(500)
    usrsctp_sysctl_set_sctp_rto_min_default(300)
    usrsctp_sysctl_set_sctp_rto_max_default(3_000)
    usrsctp_sysctl_set_sctp_init_rto_max_default(3_000)
    usrsctp_sysctl_set_sctp_init_rtx_max_default(20)
    usrsctp_sysctl_set_sctp_assoc_rtx_max_default(20)
    usrsctp_sysctl_set_sctp_path_rtx_max_default(20)
    usrsctp_sysctl_set_sctp_delayed_sack_time_default(20)
    // 512 by default, which a burst of small messages meets long before the send buffer is full.
    usrsctp_sysctl_set_sctp_max_chunks_on_queue(4_096)
  }

  // MARK: Calls

  /// Runs `body` with usrsctp to itself. Associations that got something, and are not the caller's own, hear of it.
  func run<Result>(for caller: SCTPAssociation? = nil, _ body: () -> Result) -> Result {
    pthread_mutex_lock(lock)
    let result = body()
    let others = touched.filter { $0 !== caller }
    touched = []
    pthread_mutex_unlock(lock)
    for association in others { association.announce() }
    return result
  }

  /// Gives the association its place in the table.
  func add(_ association: SCTPAssociation, now: Instant) {
    let bearsClock = run {
      if let free = freeIdentifiers.popLast() {
        association.identifier = free
      } else {
        lastIdentifier += 1
        association.identifier = lastIdentifier
        usrsctp_register_address(association.address)
      }
      associations[association.identifier] = association
      guard clockBearer == nil else { return false }
      clockBearer = association
      lastTick = now
      return true
    }
    if bearsClock { association.startClock() }
  }

  /// Takes it out; nothing reaches it any more.
  func remove(_ association: SCTPAssociation) {
    let successor: SCTPAssociation? = run {
      associations[association.identifier] = nil
      freeIdentifiers.append(association.identifier)
      guard clockBearer === association else { return nil }
      clockBearer = associations.first?.value
      return clockBearer
    }
    successor?.worker.perform { successor?.startClock() }
  }

  /// Whether the timers are this association's business.
  func isClockBearer(_ association: SCTPAssociation) -> Bool { run { clockBearer === association } }

  /// Lets usrsctp's timers run.
  func advance(to now: Instant, caller: SCTPAssociation? = nil) {
    run(for: caller) {
      let elapsed = lastTick.duration(to: now).nanoseconds / 1_000_000
      guard elapsed > 0 else { return }
      lastTick = lastTick + .milliseconds(elapsed)
      usrsctp_handle_timers(UInt32(clamping: elapsed))
    }
  }

  /// Associations that exist.
  var count: Int { run { associations.count } }

  // MARK: Callbacks, under the lock

  private func output(_ address: UnsafeMutableRawPointer?, _ bytes: UnsafeMutableRawPointer?, _ count: Int) {
    guard let association = association(at: address), let bytes, count > 0 else { return }
    association.append(packet: UnsafeRawBufferPointer(start: bytes, count: count))
    touch(association)
  }

  /// The user data of sockets and the addresses of AF_CONN are numbers, not pointers: one that is gone is not found.
  func association(at address: UnsafeMutableRawPointer?) -> SCTPAssociation? {
    associations[UInt(bitPattern: address)]
  }

  func touch(_ association: SCTPAssociation) {
    guard !association.isTouched else { return }
    association.isTouched = true
    touched.append(association)
  }
}
