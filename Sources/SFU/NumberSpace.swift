/// Maps the rising numbers of a source into a space of ours: what is dropped leaves no gap, what is missing keeps its
/// place, and a source that joins goes on behind the one before.
///
/// A sequence of packets and a sequence of pictures are both such numbers. Holds a window of the last `64 * words` numbers
/// of the source, as two bit maps; everything is constant time but late numbers, which count bits.
struct NumberSpace<let words: Int>: Sendable {
  /// What becomes of a number.
  enum Verdict: Hashable, Sendable {
    /// Ours.
    case output(Int64)
    /// It was given out, or dropped, before.
    case repeated
    /// Older than the source's first number or the window.
    case tooOld
  }

  static var window: Int64 { Int64(words * 64) }

  /// Highest number of the source; nil before the first.
  private(set) var highestInput: Int64?
  /// Highest number of ours, given out or kept free for what is missing.
  private(set) var highestOutput: Int64
  private var first: Int64 = 0
  private var highestForwarded: Int64 = 0
  // Bit n & (64 * words - 1) stands for the source's number n.
  private var settled: InlineArray<words, UInt64> = .init(repeating: 0)
  private var dropped: InlineArray<words, UInt64> = .init(repeating: 0)

  /// - Parameter next: The first number of ours.
  init(next: Int64) { highestOutput = next - 1 }

  /// A source begins at `input`. Nothing of it has been seen, nothing before it will be let through.
  ///
  /// - Parameter gap: Numbers of ours that stay free before it.
  mutating func join(_ input: Int64, gap: Int64 = 0) {
    highestOutput &+= gap
    highestInput = input &- 1
    highestForwarded = input &- 1
    first = input
    for word in 0..<words {
      settled[word] = 0
      dropped[word] = 0
    }
  }

  /// The number of ours for a number that goes through.
  mutating func forward(_ input: Int64) -> Verdict {
    guard let highest = highestInput else {
      join(input)
      return forward(input)
    }
    if input > highest {
      advance(from: highest, to: input)
      highestOutput &+= input - highest
      set(&settled, input)
      highestForwarded = input
      return .output(highestOutput)
    }
    guard input >= first, highest - input < Self.window else { return .tooOld }
    guard !test(settled, input) else { return .repeated }
    set(&settled, input)
    highestForwarded = max(highestForwarded, input)
    return .output(output(of: input, highest))
  }

  /// A number that does not go through. What follows closes up.
  ///
  /// - Returns: For one that came behind later ones the number of ours that was kept free for it and now stays empty.
  @discardableResult
  mutating func drop(_ input: Int64) -> Int64? {
    guard let highest = highestInput else { return nil }
    if input > highest {
      advance(from: highest, to: input)
      highestOutput &+= input - highest - 1
      set(&settled, input)
      set(&dropped, input)
      return nil
    }
    guard input >= first, highest - input < Self.window, !test(settled, input) else { return nil }
    set(&settled, input)
    guard input > highestForwarded else { return output(of: input, highest) }
    // No later number was given out: those that are kept free close up.
    set(&dropped, input)
    highestOutput &-= 1
    return nil
  }

  /// Whether the number was given out; nil where it was neither given out nor dropped, or cannot be told any more.
  func wasForwarded(_ input: Int64) -> Bool? {
    guard let highest = highestInput, input <= highest, input >= first, highest - input < Self.window,
      test(settled, input)
    else { return nil }
    return !test(dropped, input)
  }

  /// Ours for a number inside the window.
  func output(of input: Int64) -> Int64? {
    guard let highest = highestInput, input <= highest, input >= first, highest - input < Self.window else {
      return nil
    }
    return output(of: input, highest)
  }

  private func output(of input: Int64, _ highest: Int64) -> Int64 {
    // Between them lie as many of ours as were not dropped. `highest` itself may have been.
    var between = highest - input
    var position = input + 1
    while position <= highest {
      let bit = position & 63
      let count = min(64 - bit, highest - position + 1)
      let mask = (count == 64 ? ~0 : (UInt64(1) << UInt64(count)) - 1) << UInt64(bit)
      between -= Int64((dropped[Int(position >> 6) & (words - 1)] & mask).nonzeroBitCount)
      position += count
    }
    return highestOutput - between
  }

  /// Clears the bits of the numbers that enter the window.
  private mutating func advance(from highest: Int64, to input: Int64) {
    highestInput = input
    if input - highest >= Self.window {
      for word in 0..<words {
        settled[word] = 0
        dropped[word] = 0
      }
      return
    }
    var position = highest + 1
    while position <= input {
      clear(&settled, position)
      clear(&dropped, position)
      position += 1
    }
  }

  private func test(_ map: borrowing InlineArray<words, UInt64>, _ number: Int64) -> Bool {
    map[Int(truncatingIfNeeded: number >> 6) & (words - 1)] >> UInt64(truncatingIfNeeded: number & 63) & 1 != 0
  }

  private func set(_ map: inout InlineArray<words, UInt64>, _ number: Int64) {
    map[Int(truncatingIfNeeded: number >> 6) & (words - 1)] |= 1 << UInt64(truncatingIfNeeded: number & 63)
  }

  private func clear(_ map: inout InlineArray<words, UInt64>, _ number: Int64) {
    map[Int(truncatingIfNeeded: number >> 6) & (words - 1)] &= ~(1 << UInt64(truncatingIfNeeded: number & 63))
  }
}
