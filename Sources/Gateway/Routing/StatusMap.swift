/// How the end of one leg reads on the other.
package enum StatusMap {
  /// The status for the caller when the callee's side answered `status`.
  ///
  /// A challenge of the carrier or a broken answer is our problem, never the caller's: it becomes 502. A 503 would make
  /// the caller's phone avoid us (RFC 3261 §16.7 step 6), so it becomes 502 too. A 487 without our CANCEL means that
  /// the far end gave up.
  package static func toCaller(_ status: Int) -> Int {
    switch status {
    case 401, 405, 406, 407, 411, 412, 413, 414, 416, 420, 421, 422, 423, 481, 482, 489, 491, 493, 494: 502
    case 501, 503, 505, 513, 555, 580: 502
    // The body that could not be used was ours.
    case 415: 488
    case 300...399: 480
    case 408, 504: 504
    case 487: 480
    case 400...699: status
    default: 502
    }
  }

  /// Which of several refusals the caller gets: the lowest rank (RFC 3261 §16.7 step 6). A 6xx first, then the lowest
  /// class, and in it what says most about the person called.
  package static func rank(_ status: Int) -> Int {
    switch status {
    case 600...: 0
    case 486: 1
    case 401, 407, 415, 420, 484: 2
    case 404, 480, 487: 3
    case 408: 5
    case 400..<500: 4
    case 300..<400: 6
    default: 7
    }
  }

  /// The Q.850 cause that belongs to a SIP status (RFC 3398 §8.2.6.1 read backwards), for the Reason header.
  package static func q850Cause(_ status: Int) -> Int {
    switch status {
    case 404, 485, 604: 1
    case 410: 22
    case 486, 600: 17
    case 480: 18
    case 403, 603, 607, 608: 21
    case 484: 28
    case 488, 606: 65
    case 408, 504: 102
    case 500...599: 41
    default: 31
    }
  }

  /// Words for a person who looks at the record.
  package static func words(_ status: Int) -> String {
    switch status {
    case 404, 604: "number not found"
    case 403: "refused"
    case 480: "not available"
    case 486, 600: "busy"
    case 487: "cancelled"
    case 488, 606: "no common codec"
    case 603: "declined"
    case 408, 504: "the far end did not respond"
    case 502: "the carrier refused the call"
    case 503: "the carrier is not available"
    default: "status \(status)"
    }
  }
}
