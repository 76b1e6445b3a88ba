import Transport

/// Parses a message of RFC 8832, writes what came out and parses that.
func fuzzDCEP(_ bytes: [UInt8]) {
  guard
    let message = try? bytes.withUnsafeBytes({ (raw) throws(DCEPMessage.ParseError) in try DCEPMessage(parsing: raw) })
  else { return }
  let again = try? message.bytes.withUnsafeBytes { (raw) throws(DCEPMessage.ParseError) in try DCEPMessage(parsing: raw)
  }
  precondition(again == message, "what was written reads otherwise")
}
