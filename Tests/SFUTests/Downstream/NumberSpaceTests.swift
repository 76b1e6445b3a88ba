import Core
import TestSupport
import Testing

@testable import SFU

@Suite struct NumberSpaceTests {
  @Test func goesOnWhereTheSourceBeforeEnded() {
    var space = NumberSpace<4>(next: 10)
    #expect(space.forward(70_000) == .output(10))
    #expect(space.forward(70_001) == .output(11))
    space.join(500)
    #expect(space.forward(500) == .output(12))
    #expect(space.forward(499) == .tooOld)
  }

  @Test func closesOverWhatIsDroppedAndKeepsPlacesForWhatIsMissing() {
    var space = NumberSpace<4>(next: 0)
    #expect(space.forward(100) == .output(0))
    #expect(space.drop(101) == nil)
    #expect(space.forward(102) == .output(1))
    // 103 is missing.
    #expect(space.forward(104) == .output(3))
    #expect(space.drop(105) == nil)
    #expect(space.drop(107) == nil)
    #expect(space.forward(108) == .output(5))
    #expect(space.forward(103) == .output(2))
    #expect(space.forward(106) == .output(4))
    #expect(space.forward(106) == .repeated)
    #expect(space.forward(105) == .repeated)
  }

  @Test func namesTheHoleThatALateDropLeaves() {
    var space = NumberSpace<4>(next: 0)
    _ = space.forward(100)
    _ = space.forward(103)
    #expect(space.drop(102) == 2)
    #expect(space.drop(102) == nil)
    #expect(space.forward(104) == .output(4))
    #expect(space.forward(101) == .output(1))
  }

  @Test func forgetsWhatFallsOutOfTheWindow() {
    var space = NumberSpace<1>(next: 0)
    _ = space.forward(1_000)
    #expect(space.forward(1_064) == .output(64))
    #expect(space.forward(1_000) == .tooOld)
    #expect(space.forward(1_001) == .output(1))
    // A step over the whole window leaves nothing of the old bits.
    #expect(space.forward(1_264) == .output(264))
    #expect(space.forward(1_263) == .output(263))
  }

  @Test func leavesAGapWhereAskedTo() {
    var space = NumberSpace<1>(next: 5)
    _ = space.forward(1)
    space.join(900, gap: 1)
    #expect(space.forward(900) == .output(7))
  }

  /// Against a model that knows the order of the source.
  @Test(arguments: 0..<30) func agreesWithAListOfWhatWasForwarded(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var space = NumberSpace<4>(next: 1_000)
    // In order with losses and drops; late ones come up to 60 later.
    var late: [(due: Int, input: Int64)] = []
    var given: [Int64: Int64] = [:]
    var holes: Set<Int64> = []
    var dropped: Set<Int64> = []
    for step in 0..<3_000 {
      let input = Int64(step + 65_500)
      switch Int.random(in: 0..<10, using: &random) {
      case 0: late.append((step + Int.random(in: 1...60, using: &random), input))
      case 1:
        #expect(space.drop(input) == nil)
        dropped.insert(input)
      default:
        guard case .output(let output) = space.forward(input) else { return #expect(Bool(false), "\(input)") }
        given[input] = output
      }
      for (_, input) in late.filter({ $0.due == step }) {
        if Bool.random(using: &random) {
          switch space.forward(input) {
          case .output(let output): given[input] = output
          case .tooOld: #expect(given.isEmpty || input < given.keys.min() ?? 0)
          case .repeated: Issue.record("\(input) was never given out")
          }
        } else if let hole = space.drop(input) {
          holes.insert(hole)
        } else {
          // Nothing newer had come yet.
          dropped.insert(input)
        }
      }
    }
    // Order is kept, numbers are unique, and nothing dropped in order leaves room.
    let sorted = given.sorted { $0.key < $1.key }
    for (a, b) in zip(sorted, sorted.dropFirst()) {
      let between = ((a.key + 1)..<b.key).filter { !dropped.contains($0) }.count
      #expect(b.value - a.value == Int64(between + 1))
    }
    #expect(holes.isDisjoint(with: given.values))
  }
}
