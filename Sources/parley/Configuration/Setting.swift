import Yams

/// One setting in words.
struct SettingDescription: Sendable, Equatable {
  /// Dotted, such as `http.tls.listen`.
  let name: String
  /// Continues "must be …".
  let expectation: String
  /// As it would be written in the file.
  let fallback: String
  let summary: String
  let isRequired: Bool
  let fields: [SettingDescription]
  /// The environment variable that overrides it; nil where only the file can give it.
  let environmentName: String?
}

/// One setting of `Root`: its name, kind, default and explanation, declared once. Reading, `parley config` and the
/// check of the reference page all come from it.
struct Setting<Root: Sendable>: Sendable {
  let name: String
  let isRequired: Bool
  let description: SettingDescription
  /// Reads the node into the root; false where it was refused.
  let read: @Sendable (Node, String, inout ConfigurationReader, inout Root) -> Bool
  /// Reads an environment variable's text; false where it is not acceptable. Nil: only YAML can give it.
  let readText: (@Sendable (String, inout Root) -> Bool)?
  let show: @Sendable (Root) -> String
  let isSecret: Bool

  /// - Parameter fallback: the default in words, where the value does not say it.
  init<Value: Sendable>(
    _ name: String, _ path: any WritableKeyPath<Root, Value> & Sendable, _ kind: Kind<Value>, in blank: Root,
    fallback: String? = nil, required: Bool = false, _ summary: String
  ) {
    self.name = name
    isRequired = required
    isSecret = kind.isSecret
    description = SettingDescription(
      name: name, expectation: kind.expectation,
      fallback: required ? "" : fallback ?? kind.show(blank[keyPath: path]), summary: summary, isRequired: required,
      fields: kind.fields, environmentName: kind.parse == nil ? nil : environmentVariable(name))
    read = { node, name, reader, root in
      guard let value = kind.read(node, name, &reader) else { return false }
      root[keyPath: path] = value
      return true
    }
    if let parse = kind.parse {
      readText = { text, root in
        guard let value = parse(text) else { return false }
        root[keyPath: path] = value
        return true
      }
    } else {
      readText = nil
    }
    show = { kind.show($0[keyPath: path]) }
  }

  func isDefault(_ root: Root, _ blank: Root) -> Bool { show(root) == show(blank) && !isSecret }
}

/// `http.tls.listen` → `PARLEY_HTTP_TLS_LISTEN`.
private func environmentVariable(_ name: String) -> String {
  "PARLEY_" + name.uppercased().map { $0 == "." || $0 == "-" ? "_" : String($0) }.joined()
}
