/// A codec library refused. What must die is the packet, unless it came from making the codec.
package struct AudioError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The C function that failed.
  package let function: String
  /// What it returned.
  package let code: Int32
  /// The name that the library's header gives the code.
  package let name: String

  package init(function: String, code: Int32, name: String) {
    self.function = function
    self.code = code
    self.name = name
  }

  /// The codec library has no memory for another state.
  static func allocation(_ function: String) -> AudioError {
    AudioError(function: function, code: 0, name: "NULL")
  }

  package var description: String { "\(function): \(name) (\(code))" }
}

/// Mono 16-bit linear samples at a rate that the context gives. The memory belongs to the caller.
package typealias Samples = UnsafeMutableBufferPointer<Int16>

extension Samples {
  /// A part of the buffer as a buffer of its own; bounds are clamped.
  @inline(__always)
  package func part(from start: Int, count: Int) -> Samples {
    let from = Swift.min(Swift.max(0, start), self.count)
    let length = Swift.max(0, Swift.min(count, self.count - from))
    guard let base = baseAddress else { return Samples(start: nil, count: 0) }
    return Samples(start: base + from, count: length)
  }
}

/// Rounds and limits to 16 bits. Not-a-number becomes silence.
@inline(__always)
func clamped(_ value: Float) -> Int16 {
  if value >= 32767 { return 32767 }
  if value <= -32768 { return -32768 }
  return value == value ? Int16(value) : 0
}

@inline(__always)
func clamped(_ value: Int32) -> Int16 { Int16(truncatingIfNeeded: max(-32768, min(32767, value))) }
