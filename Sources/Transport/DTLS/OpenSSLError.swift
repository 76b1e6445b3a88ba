internal import COpenSSL

/// Empties OpenSSL's error queue of this thread and gives its first reason, which is the root of the others.
func drainOpenSSLErrors() -> String {
  var first: String?
  while true {
    let code = ERR_get_error()
    if code == 0 { break }
    if first == nil {
      var text = [CChar](repeating: 0, count: 256)
      ERR_error_string_n(code, &text, text.count)
      first = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
  return first ?? "no reason given"
}
