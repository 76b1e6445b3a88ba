/// Header fields in order (RFC 3261 §7.3).
///
/// A parsed message keeps its bytes once; a field is a range of them until it is asked for. Fields that are set hold text.
/// Line breaks in text that is set become spaces, so that a value cannot add a header.
package struct Headers: Sendable {
  struct Field: Sendable {
    var name: HeaderName
    var start: Int32
    var end: Int32
    /// The value when it does not lie in `source`.
    var text: String?
  }

  /// The bytes that ranges refer to.
  var source: [UInt8]
  var fields: [Field]

  package init() {
    source = []
    fields = []
  }

  init(source: [UInt8], fields: [Field]) {
    self.source = source
    self.fields = fields
  }

  package var count: Int { fields.count }
  package var isEmpty: Bool { fields.isEmpty }

  /// All fields as (name, value), in order; one element a header line.
  package var lines: [(name: HeaderName, value: String)] { fields.map { ($0.name, value(of: $0)) } }

  func value(of field: Field) -> String {
    field.text ?? Grammar.string(source.span, Int(field.start), Int(field.end))
  }

  /// The value of the first line with this name; nil when there is none. Setting replaces all lines; nil removes them.
  package subscript(name: HeaderName) -> String? {
    get { first(name).map { value(of: $0) } }
    set { if let newValue { set(name, newValue) } else { remove(name) } }
  }

  package func contains(_ name: HeaderName) -> Bool { fields.contains { $0.name == name } }

  /// Every value: lines in order, and each line split at commas where the header is a list (RFC 3261 §7.3.1).
  package func all(_ name: HeaderName) -> [String] {
    var values: [String] = []
    for field in fields where field.name == name {
      guard name.isList else {
        values.append(value(of: field))
        continue
      }
      withBytes(of: field) { bytes, start, end in
        var i = start
        while i <= end {
          let stop = Grammar.elementEnd(bytes, i, end)
          let range = Grammar.trimmed(bytes, i, stop)
          if !range.isEmpty { values.append(Grammar.string(bytes, range.lowerBound, range.upperBound)) }
          i = stop + 1
        }
      }
    }
    return values
  }

  /// Replaces all lines of this name by one, at the place of the first.
  package mutating func set(_ name: HeaderName, _ value: String) {
    let text = value.withoutLineBreaks
    guard let index = fields.firstIndex(where: { $0.name == name }) else {
      fields.append(Field(name: name, start: 0, end: 0, text: text))
      return
    }
    fields[index] = Field(name: name, start: 0, end: 0, text: text)
    var i = fields.count - 1
    while i > index {
      if fields[i].name == name { fields.remove(at: i) }
      i -= 1
    }
  }

  /// Adds a line behind all others.
  package mutating func append(_ name: HeaderName, _ value: String) {
    fields.append(Field(name: name, start: 0, end: 0, text: value.withoutLineBreaks))
  }

  /// Adds a line before the first of its name (or before everything): for Via, Route and Record-Route.
  package mutating func prepend(_ name: HeaderName, _ value: String) {
    let index = fields.firstIndex { $0.name == name } ?? 0
    fields.insert(Field(name: name, start: 0, end: 0, text: value.withoutLineBreaks), at: index)
  }

  package mutating func remove(_ name: HeaderName) { fields.removeAll { $0.name == name } }

  /// Copies all lines of `name` from other headers, behind everything.
  package mutating func copy(_ name: HeaderName, from other: Headers) {
    for field in other.fields where field.name == name { append(name, other.value(of: field)) }
  }

  /// A part of these headers, sharing their bytes.
  func selecting(where isIncluded: (HeaderName) -> Bool) -> Headers {
    Headers(source: source, fields: fields.filter { isIncluded($0.name) })
  }

  func first(_ name: HeaderName) -> Field? {
    for field in fields where field.name == name { return field }
    return nil
  }

  /// The bytes of a value as span, start and end.
  @inline(__always)
  func withBytes<R, E: Error>(
    of field: Field, _ body: (Span<UInt8>, Int, Int) throws(E) -> R
  ) throws(E) -> R {
    if let text = field.text {
      let bytes = text.utf8Span.span
      return try body(bytes, 0, bytes.count)
    }
    return try body(source.span, Int(field.start), Int(field.end))
  }
}

extension Headers: CustomStringConvertible {
  package var description: String {
    lines.map { "\($0.name): \($0.value)" }.joined(separator: "\n")
  }
}
