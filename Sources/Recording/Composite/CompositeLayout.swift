import Core

/// Who is where in the picture. Pure.
enum CompositeLayout {
  /// One thing to be shown, in the order of appearance.
  struct Item: Hashable {
    /// The stream, or a negative number for somebody without a picture.
    var id: Int
    var isScreen: Bool
    var isSpeaking: Bool
  }

  struct Place: Hashable {
    var id: Int
    var tile: Tile
  }

  private static let gap = 4

  /// - Parameter main: Who had the large place before; who speaks takes it.
  static func places(
    _ layout: RenderPlan.Layout, _ items: [Item], width: Int, height: Int, main: inout Int?
  ) -> [Place] {
    let whole = Tile(x: 0, y: 0, width: width, height: height)
    let screens = items.filter(\.isScreen)
    let people = items.filter { !$0.isScreen }
    guard let first = items.first else {
      main = nil
      return []
    }
    if let speaking = people.first(where: \.isSpeaking) {
      main = speaking.id
    } else if !items.contains(where: { $0.id == main }) {
      main = (people.first ?? first).id
    }
    // A screen comes first, whatever the layout.
    let large = screens.last?.id ?? main ?? first.id
    let rest = (people + screens).filter { $0.id != large }.map(\.id)
    switch layout {
    case .single: return [Place(id: large, tile: whole)]
    case .speaker: return featured(large, rest, whole)
    case .grid: return screens.isEmpty ? grid(items.map(\.id), whole) : featured(large, rest, whole)
    }
  }

  private static func featured(_ large: Int, _ rest: [Int], _ whole: Tile) -> [Place] {
    guard !rest.isEmpty else { return [Place(id: large, tile: whole)] }
    let isWide = whole.width >= whole.height
    let strip = (isWide ? whole.width : whole.height) / 5
    let main =
      isWide
      ? Tile(x: whole.x, y: whole.y, width: whole.width - strip - gap, height: whole.height)
      : Tile(x: whole.x, y: whole.y, width: whole.width, height: whole.height - strip - gap)
    // Five of a strip are told apart; more are not.
    let shown = Array(rest.prefix(5))
    let side = (isWide ? whole.height : whole.width) / max(shown.count, 3)
    return [Place(id: large, tile: main)]
      + shown.enumerated().map { index, id in
        Place(
          id: id,
          tile: isWide
            ? Tile(x: whole.width - strip, y: index * side, width: strip, height: side - gap)
            : Tile(x: index * side, y: whole.height - strip, width: side - gap, height: strip))
      }
  }

  private static func grid(_ ids: [Int], _ whole: Tile) -> [Place] {
    let shown = Array(ids.prefix(25))
    if shown.count == 1 { return [Place(id: shown[0], tile: whole)] }
    var columns = 1
    while columns * columns < shown.count { columns += 1 }
    if whole.width < whole.height { columns = (shown.count + columns - 1) / columns }
    let rows = (shown.count + columns - 1) / columns
    let (width, height) = (whole.width / columns, whole.height / rows)
    return shown.enumerated().map { index, id in
      let row = index / columns
      // The last row stands in the middle.
      let inRow = min(columns, shown.count - row * columns)
      let indent = (whole.width - inRow * width) / 2
      return Place(
        id: id,
        tile: Tile(
          x: indent + (index % columns) * width + gap / 2, y: row * height + gap / 2, width: width - gap,
          height: height - gap))
    }
  }
}
