import Foundation
import NIOCore

/// A JSON object from the network, read field by field with messages that name the field.
///
/// What was not read when `finish` is called is refused: a mistyped name is told, not ignored.
struct JSONInput {
  enum Value: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case text(String)
    case list([Value])
    case object([String: Value])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let value = try? container.decode(Bool.self) {
        self = .bool(value)
      } else if let value = try? container.decode(Double.self) {
        self = .number(value)
      } else if let value = try? container.decode(String.self) {
        self = .text(value)
      } else if let value = try? container.decode([Value].self) {
        self = .list(value)
      } else {
        self = .object(try container.decode([String: Value].self))
      }
    }
  }

  private let values: [String: Value]
  private var read: Set<String> = []

  init(_ bytes: ByteBuffer) throws(RESTError) {
    let value: Value
    do {
      value = try JSONDecoder().decode(Value.self, from: Data(bytes.readableBytesView))
    } catch {
      throw .invalid("The body is no JSON.")
    }
    guard case .object(let values) = value else { throw .invalid("The body must be a JSON object.") }
    self.values = values
  }

  /// The text of a field; nil where it is not there.
  mutating func text(_ name: String) throws(RESTError) -> String? {
    switch take(name) {
    case nil: nil
    case .text(let text): text
    default: throw .invalid("\(name) must be text.")
    }
  }

  mutating func requiredText(_ name: String) throws(RESTError) -> String {
    guard let text = try text(name) else { throw .invalid("\(name) is missing.") }
    return text
  }

  /// The text, `.some(nil)` for null, nil where the field is not there.
  mutating func nullableText(_ name: String) throws(RESTError) -> String?? {
    if take(name) == .null { return .some(nil) }
    guard let text = try text(name) else { return nil }
    return .some(text)
  }

  mutating func flag(_ name: String) throws(RESTError) -> Bool? {
    switch take(name) {
    case nil: nil
    case .bool(let value): value
    default: throw .invalid("\(name) must be true or false.")
    }
  }

  mutating func integer(_ name: String) throws(RESTError) -> Int? {
    switch take(name) {
    case nil: return nil
    case .number(let value):
      guard let integer = Int(exactly: value) else { throw .invalid("\(name) must be a whole number.") }
      return integer
    default: throw .invalid("\(name) must be a whole number.")
    }
  }

  mutating func texts(_ name: String) throws(RESTError) -> [String]? {
    guard let value = take(name) else { return nil }
    guard case .list(let items) = value else { throw .invalid("\(name) must be a list of texts.") }
    var texts: [String] = []
    for item in items {
      guard case .text(let text) = item else { throw .invalid("\(name) must be a list of texts.") }
      texts.append(text)
    }
    return texts
  }

  /// An object of texts.
  mutating func textMap(_ name: String) throws(RESTError) -> [String: String]? {
    guard let value = take(name) else { return nil }
    guard case .object(let items) = value else { throw .invalid("\(name) must be an object of texts.") }
    var texts: [String: String] = [:]
    for (key, item) in items {
      guard case .text(let text) = item else { throw .invalid("\(name) must be an object of texts.") }
      texts[key] = text
    }
    return texts
  }

  /// - Throws: where there are fields that nobody asked for.
  func finish() throws(RESTError) {
    let unknown = values.keys.filter { !read.contains($0) }.sorted()
    guard let first = unknown.first else { return }
    throw .invalid("\(first) is no field here. There are: \(read.sorted().joined(separator: ", ")).")
  }

  private mutating func take(_ name: String) -> Value? {
    read.insert(name)
    return values[name]
  }
}
