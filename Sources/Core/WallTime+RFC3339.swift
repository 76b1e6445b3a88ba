extension WallTime {
  /// RFC 3339 in UTC with milliseconds: `2026-11-20T20:52:39.123Z`.
  package var rfc3339: String {
    var day = milliseconds / 86_400_000
    var rest = milliseconds % 86_400_000
    if rest < 0 {
      rest += 86_400_000
      day -= 1
    }
    // Days to year, month, day in the proleptic Gregorian calendar, counted in eras of 400 years from 0000-03-01.
    let z = day + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let dayOfMonth = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func pad(_ value: Int64, _ width: Int) -> String {
      let digits = String(value)
      return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
    return "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfMonth, 2))T\(pad(rest / 3_600_000, 2))"
      + ":\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1000 % 60, 2)).\(pad(rest % 1000, 3))Z"
  }

  /// Parses RFC 3339 date-times (`2026-11-20T20:52:39Z`, with fraction and numeric offset), and dates alone as their
  /// first instant in UTC. Nil for anything else. A leap second counts as the next minute's first.
  package init?(rfc3339 text: some StringProtocol) {
    let bytes = Array(text.utf8)
    func number(_ range: Range<Int>) -> Int64? {
      guard range.upperBound <= bytes.count else { return nil }
      var value: Int64 = 0
      for c in bytes[range] {
        guard 0x30...0x39 ~= c else { return nil }
        value = value * 10 + Int64(c - 0x30)
      }
      return value
    }
    func has(_ character: Unicode.Scalar, at index: Int) -> Bool {
      index < bytes.count && bytes[index] == UInt8(ascii: character)
    }
    guard let year = number(0..<4), has("-", at: 4), let month = number(5..<7), has("-", at: 7),
      let day = number(8..<10), (1...12).contains(month)
    else { return nil }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths: [Int64] = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard day >= 1, day <= lengths[Int(month) - 1] else { return nil }
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    if bytes.count == 10 {
      self.init(milliseconds: days * 86_400_000)
      return
    }
    guard has("T", at: 10) || has("t", at: 10) || has(" ", at: 10), let hour = number(11..<13), hour < 24,
      has(":", at: 13), let minute = number(14..<16), minute < 60, has(":", at: 16), let second = number(17..<19),
      second <= 60
    else { return nil }
    var index = 19
    var fraction: Int64 = 0
    if has(".", at: index) {
      index += 1
      let start = index
      while index < bytes.count, 0x30...0x39 ~= bytes[index] {
        if index - start < 3 { fraction = fraction * 10 + Int64(bytes[index] - 0x30) }
        index += 1
      }
      guard index > start else { return nil }
      for _ in 0..<max(0, 3 - (index - start)) { fraction *= 10 }
    }
    var offset: Int64 = 0
    if has("Z", at: index) || has("z", at: index) {
      index += 1
    } else if has("+", at: index) || has("-", at: index) {
      guard let hours = number(index + 1..<index + 3), hours < 24, has(":", at: index + 3),
        let minutes = number(index + 4..<index + 6), minutes < 60
      else { return nil }
      offset = (hours * 60 + minutes) * (has("-", at: index) ? -1 : 1)
      index += 6
    } else {
      return nil
    }
    guard index == bytes.count else { return nil }
    self.init(
      milliseconds: days * 86_400_000 + (hour * 60 + minute - offset) * 60_000 + second * 1000 + fraction)
  }
}
