/// Why a session description was refused, and where.
package struct SDPParseError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Kind: String, Hashable, Sendable {
    /// More bytes, media sections or lines than `SessionDescription.Limits` allows.
    case tooLarge = "too large"
    /// A line that is not `x=value`, or one with a NUL or a bare carriage return in it.
    case malformedLine = "malformed line"
    /// The first line is not `v=0` (RFC 8866 §5.1).
    case unsupportedVersion = "unsupported version"
    /// RFC 8866 §5.2.
    case malformedOrigin = "malformed o="
    case missingOrigin = "missing o="
    /// RFC 8866 §5.7.
    case malformedConnection = "malformed c="
    /// RFC 8866 §5.14.
    case malformedMedia = "malformed m="
  }

  package let kind: Kind
  /// Counted from 1.
  package let line: Int
  /// Of the line's first byte.
  package let offset: Int

  package init(_ kind: Kind, line: Int, offset: Int) {
    self.kind = kind
    self.line = line
    self.offset = offset
  }

  package var description: String { "SDP: \(kind.rawValue) in line \(line)" }
}
