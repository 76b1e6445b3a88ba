import Core
import Yams

/// A type of setting: what it accepts, in words and in code, and how its value is written down.
struct Kind<Value: Sendable>: Sendable {
  /// Continues "it must be …".
  let expectation: String
  /// From text: a YAML scalar or an environment variable. Nil: only YAML can give it.
  let parse: (@Sendable (String) -> Value?)?
  /// From a YAML node. Reports what is wrong to the reader and returns nil then.
  let read: @Sendable (Node, String, inout ConfigurationReader) -> Value?
  /// As YAML, on one line.
  let show: @Sendable (Value) -> String
  /// What a list of records holds.
  var fields: [SettingDescription] = []
  /// Whether the value may appear in messages and listings.
  var isSecret = false

  /// A kind that text tells completely.
  static func scalar(
    _ expectation: String, isSecret: Bool = false, parse: @escaping @Sendable (String) -> Value?,
    show: @escaping @Sendable (Value) -> String
  ) -> Kind {
    Kind(
      expectation: expectation, parse: parse,
      read: { node, name, reader in
        guard let text = reader.text(of: node, name, expectation) else { return nil }
        guard let value = parse(text) else {
          reader.refuse(node, name, isSecret ? nil : text, expectation)
          return nil
        }
        return value
      }, show: show, isSecret: isSecret)
  }
}

/// Text as a YAML scalar, quoted where YAML or this reader would take it for something else.
func quoted(_ text: String) -> String {
  let plain =
    !text.isEmpty && text != "~" && text.lowercased() != "null"
    && text.utf8.allSatisfy { c in
      0x30...0x39 ~= c || 0x41...0x5A ~= c || 0x61...0x7A ~= c || "_./-@:".utf8.contains(c)
    } && text.first != "-" && text.first != "." && text.first != ":" && text.first != "@" && text.last != ":"
  if plain || text.hasPrefix("./") && !text.contains(where: { " #:\"\\".contains($0) }) { return text }
  let escaped = text.map { c -> String in
    switch c {
    case "\"": "\\\""
    case "\\": "\\\\"
    case "\n": "\\n"
    case "\t": "\\t"
    default: String(c)
    }
  }
  return "\"\(escaped.joined())\""
}

/// Without the blanks around it.
private func trimmed(_ text: some StringProtocol) -> String {
  String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
}

extension Kind where Value == String {
  static func text(_ expectation: String, accepts: @escaping @Sendable (String) -> Bool = { !$0.isEmpty }) -> Kind {
    scalar(expectation, parse: { accepts($0) ? $0 : nil }, show: quoted)
  }
}

extension Kind where Value == Secret {
  static let secret = Kind.scalar(
    "text of 1 to 256 characters", isSecret: true,
    parse: { (1...256).contains($0.utf8.count) ? Secret($0) : nil }, show: { _ in "(secret)" })
}

extension Kind where Value == Bool {
  static let flag = Kind.scalar(
    "true or false", parse: { ["true": true, "false": false][$0] }, show: { $0 ? "true" : "false" })
}

extension Kind where Value == Int {
  static func integer(_ range: ClosedRange<Int>, unit: String = "") -> Kind {
    scalar(
      "a whole number\(unit.isEmpty ? "" : " of \(unit)") from \(range.lowerBound) to \(range.upperBound)",
      parse: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }, show: { String($0) })
  }
}

extension Kind where Value == Duration {
  /// `60 s`, `500ms`, `5 min`, `1h`; a number alone is seconds.
  static func duration(_ range: ClosedRange<Duration>) -> Kind {
    scalar(
      "a time such as 500 ms, 60 s, 5 min or 1 h, from \(brief(range.lowerBound)) to \(brief(range.upperBound))",
      parse: { text in parse(text).flatMap { range.contains($0) ? $0 : nil } }, show: brief)
  }

  private static func parse(_ text: String) -> Duration? {
    let digits = text.prefix { ("0"..."9").contains($0) }
    guard let value = Int64(digits), value <= 1_000_000_000 else { return nil }
    switch text.dropFirst(digits.count).drop(while: { $0 == " " }) {
    case "ms": return .milliseconds(value)
    case "", "s": return .seconds(value)
    case "m", "min": return .seconds(value * 60)
    case "h": return .seconds(value * 3600)
    case "d": return .seconds(value * 86_400)
    default: return nil
    }
  }

  private static func brief(_ duration: Duration) -> String {
    let milliseconds = duration.nanoseconds / 1_000_000
    if milliseconds % 1000 != 0 { return "\(milliseconds) ms" }
    if milliseconds > 0, milliseconds % 86_400_000 == 0 { return "\(milliseconds / 86_400_000) d" }
    return "\(milliseconds / 1000) s"
  }
}

extension Kind where Value == SocketAddress {
  static let address = Kind.scalar(
    "an address and port such as 0.0.0.0:8080 or [::]:8080", parse: { SocketAddress($0) },
    show: { quoted($0.description) })
}

extension Kind where Value == IPAddress {
  static let ip = Kind.scalar(
    "an IP address such as 192.0.2.1 or 2001:db8::1", parse: { IPAddress($0) }, show: { quoted($0.description) })
}

extension Kind where Value == HostPort {
  static let hostPort = Kind.scalar(
    "a host name or address with an optional port, such as carrier.example:5060 or [2001:db8::1]:5060",
    parse: { HostPort($0) }, show: { quoted($0.description) })
}

extension Kind where Value == ClosedRange<UInt16> {
  static let ports = Kind.scalar(
    "a range of at least 4 ports between 1024 and 65535, lower one first, such as 20000-29999",
    parse: { text in
      let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { part in
        UInt16(part.drop { $0 == " " }.prefix { $0 != " " })
      }
      guard parts.count == 2, let low = parts[0], let high = parts[1], low >= 1024, low <= high, high - low >= 3 else {
        return nil
      }
      return low...high
    }, show: { "\($0.lowerBound)-\($0.upperBound)" })
}

extension Kind where Value == UInt16 {
  static let port = Kind.scalar(
    "a port from 1 to 65535", parse: { UInt16($0).flatMap { $0 > 0 ? $0 : nil } }, show: { "\($0)" })
}

extension Kind where Value == RouteTarget {
  static let target = Kind.scalar(
    "user:, trunk:, room:, app: or queue: with a name, or echo: or milliwatt:", parse: { RouteTarget($0) },
    show: { quoted($0.description) })
}

extension Kind where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
  /// One of the cases by its raw value; upper and lower case do not matter.
  static func choice() -> Kind {
    let names = Value.allCases.map(\.rawValue)
    let list = names.count < 2 ? names.joined() : names.dropLast().joined(separator: ", ") + " or " + (names.last ?? "")
    return scalar(
      list, parse: { text in Value.allCases.first { $0.rawValue.lowercased() == text.lowercased() } },
      show: { quoted($0.rawValue) })
  }
}

extension Kind {
  /// A value or nothing, where the word `none` stands for nothing: `auto`, `off`.
  func orNone(_ none: String) -> Kind<Value?> {
    let inner = self
    let expectation = "\(none) or \(expectation)"
    var parseOrNone: (@Sendable (String) -> Value??)?
    if let parse {
      parseOrNone = { text in
        if text == none { return .some(nil) }
        guard let value = parse(text) else { return nil }
        return .some(value)
      }
    }
    return Kind<Value?>(
      expectation: expectation, parse: parseOrNone,
      read: { node, name, reader in
        if case .scalar(let scalar) = node, scalar.string == none { return .some(nil) }
        let before = reader.problems.count
        if let value = inner.read(node, name, &reader) { return .some(value) }
        reader.amend(since: before, expectation: expectation)
        return nil
      },
      show: { value in
        guard let value else { return none }
        return inner.show(value)
      }, fields: fields, isSecret: isSecret)
  }

  /// A value that may be left out and has no word for nothing.
  func optional() -> Kind<Value?> {
    let inner = self
    var parseSome: (@Sendable (String) -> Value??)?
    if let parse {
      parseSome = { text in
        guard let value = parse(text) else { return nil }
        return .some(value)
      }
    }
    return Kind<Value?>(
      expectation: expectation, parse: parseSome,
      read: { node, name, reader in
        guard let value = inner.read(node, name, &reader) else { return nil }
        return .some(value)
      },
      show: { value in
        guard let value else { return "(none)" }
        return inner.show(value)
      }, fields: fields, isSecret: isSecret)
  }

  /// A YAML list of such values, one alone, or comma-separated in an environment variable. `none` stands for the empty
  /// list.
  func list(orNone none: String? = nil, atLeast: Int = 0) -> Kind<[Value]> {
    let inner = self
    let expectation =
      fields.isEmpty
      ? (none.map { "\($0) or " } ?? "") + "\(expectation), or a list of such" : "a list, each entry \(expectation)"
    let least = max(atLeast, none == nil ? 0 : 1)
    var parseList: (@Sendable (String) -> [Value]?)?
    if let parse {
      parseList = { text in
        if let none, text == none { return [] }
        let parts = text.split(separator: ",").map { trimmed($0) }
        let values = parts.compactMap(parse)
        return values.count == parts.count && values.count >= least ? values : nil
      }
    }
    return Kind<[Value]>(
      expectation: expectation, parse: parseList,
      read: { node, name, reader in
        if let none, case .scalar(let scalar) = node, scalar.string == none { return [] }
        let before = reader.problems.count
        switch node {
        case .sequence(let items):
          let values = items.enumerated().compactMap { index, item in
            inner.read(item, "\(name)[\(index)]", &reader)
          }
          if reader.problems.count == before, values.count < atLeast { reader.refuse(node, name, nil, expectation) }
          return reader.problems.count == before ? values : nil
        case .scalar where inner.parse != nil:
          guard let value = inner.read(node, name, &reader) else {
            reader.amend(since: before, expectation: expectation)
            return nil
          }
          return [value]
        default:
          reader.refuse(node, name, nil, expectation)
          return nil
        }
      },
      show: { values in
        if let none, values.isEmpty { return none }
        if none != nil, values.count == 1 { return inner.show(values[0]) }
        return "[" + values.map(inner.show).joined(separator: ", ") + "]"
      }, fields: fields, isSecret: isSecret)
  }

  /// A mapping with the given settings, such as one trunk.
  static func record(_ word: String, _ blank: Value, _ settings: [Setting<Value>]) -> Kind {
    let names = settings.map(\.name).joined(separator: ", ")
    return Kind(
      expectation: "\(word) as a mapping with \(names)", parse: nil,
      read: { node, name, reader in
        guard case .mapping = node else {
          reader.refuse(node, name, nil, "\(word) as a mapping with \(names)")
          return nil
        }
        var value = blank
        let before = reader.problems.count
        let seen = reader.readSection(node, at: "", of: settings, shownAs: name + ".", into: &value)
        for setting in settings where setting.isRequired && !seen.contains(setting.name) {
          reader.report(node, "\(name) lacks \(setting.name). It must be \(setting.description.expectation).")
        }
        return reader.problems.count == before ? value : nil
      },
      show: { value in
        let shown = settings.compactMap { setting -> String? in
          setting.isDefault(value, blank) && !setting.isRequired ? nil : "\(setting.name): \(setting.show(value))"
        }
        return "{ " + shown.joined(separator: ", ") + " }"
      }, fields: settings.map(\.description))
  }
}

extension Kind where Value == [String: Secret] {
  /// `name: secret` pairs.
  static let keys: Kind = {
    let expectation = "a mapping of key names to secrets, such as { devkey: devsecret }"
    return Kind(
      expectation: expectation,
      parse: { text in
        var keys: [String: Secret] = [:]
        for pair in text.split(separator: ",") {
          let parts = pair.split(separator: ":", maxSplits: 1)
          guard parts.count == 2 else { return nil }
          keys[String(parts[0].drop { $0 == " " })] = Secret(String(parts[1]))
        }
        return keys
      },
      read: { node, name, reader in
        guard case .mapping(let mapping) = node else {
          reader.refuse(node, name, nil, expectation)
          return nil
        }
        var keys: [String: Secret] = [:]
        let before = reader.problems.count
        for (key, value) in mapping {
          guard let keyName = reader.text(of: key, name, "a key name"),
            let secret = Kind<Secret>.secret.read(value, "\(name).\(keyName)", &reader)
          else { continue }
          keys[keyName] = secret
        }
        return reader.problems.count == before ? keys : nil
      },
      show: { keys in
        keys.isEmpty
          ? "{}" : "{ " + keys.keys.sorted().map { "\(quoted($0)): (secret)" }.joined(separator: ", ") + " }"
      }, isSecret: true)
  }()
}
