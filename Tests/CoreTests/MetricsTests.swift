import Core
import Testing

@Suite struct MetricsTests {
  @Test func countersGaugesAndReadingsAreWritten() {
    let registry = MetricsRegistry()
    let counter = registry.counter("b_total", "Counts\nthings.", labels: [("kind", "a\"b\\c\nd")])
    counter.increment()
    counter.increment(by: 4)
    let gauge = registry.gauge("a", "A gauge.")
    gauge.set(5)
    gauge.add(-7)
    registry.reading("c", "Read.") { 1.5 }
    #expect(
      registry.prometheusText() == """
        # HELP a A gauge.
        # TYPE a gauge
        a -2
        # HELP b_total Counts\\nthings.
        # TYPE b_total counter
        b_total{kind="a\\"b\\\\c\\nd"} 5
        # HELP c Read.
        # TYPE c gauge
        c 1.5

        """)
  }

  @Test func theSameNameAndLabelsAreTheSameObject() {
    let registry = MetricsRegistry()
    let first = registry.counter("x_total", "X.", labels: [("a", "1")])
    #expect(first === registry.counter("x_total", "X.", labels: [("a", "1")]))
    #expect(first !== registry.counter("x_total", "X.", labels: [("a", "2")]))
  }

  @Test func aNameOfAnotherKindDoesNotDisturbTheFirst() {
    let registry = MetricsRegistry()
    registry.counter("x_total", "X.").increment()
    registry.gauge("x_total", "X.").set(9)
    registry.gauge("x_total", "X.", labels: [("a", "b")]).set(9)
    #expect(registry.prometheusText().contains("x_total 1\n"))
    #expect(!registry.prometheusText().contains("9"))
  }

  @Test func histogramsAreCumulative() {
    let registry = MetricsRegistry()
    let histogram = registry.histogram("h", "H.", bounds: [0.1, 1])
    for value in [0.05, 0.1, 0.5, 3, .nan, .infinity] { histogram.observe(value) }
    histogram.observe(.milliseconds(500))
    let text = registry.prometheusText()
    #expect(text.contains("h_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 5\n"))
    #expect(text.contains("h_sum 4.15\nh_count 5\n"))
  }

  @Test func countingFromManyTasksLosesNothing() async {
    let counter = Counter()
    await withTaskGroup { group in
      for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { counter.increment() } } }
    }
    #expect(counter.value == 80_000)
  }
}

@Suite struct RFC3339Tests {
  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (1_763_672_000_123, "2025-11-20T20:53:20.123Z"),
      (951_782_400_000, "2000-02-29T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
      (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
    ] as [(Int64, String)])
  func writesAndReads(_ milliseconds: Int64, _ text: String) {
    #expect(WallTime(milliseconds: milliseconds).rfc3339 == text)
    #expect(WallTime(rfc3339: text)?.milliseconds == milliseconds)
  }

  @Test func everyDayOfFourCenturiesSurvives() {
    var day: Int64 = -719_468
    while day < 160_000 {
      let time = WallTime(milliseconds: day * 86_400_000 + 43_200_000)
      if time.rfc3339.count == 24 { #expect(WallTime(rfc3339: time.rfc3339) == time) }
      day += 37
    }
  }

  @Test func readsOffsetsFractionsAndDates() {
    let base = WallTime(rfc3339: "2026-11-20T08:00:00Z")
    #expect(WallTime(rfc3339: "2026-11-20T10:00:00+02:00") == base)
    #expect(WallTime(rfc3339: "2026-11-20t02:30:00-05:30") == base)
    #expect(WallTime(rfc3339: "2026-11-20 08:00:00.000000z") == base)
    #expect(WallTime(rfc3339: "2026-11-20T08:00:00.5Z").map { $0.milliseconds } == base.map { $0.milliseconds + 500 })
    #expect(WallTime(rfc3339: "2026-11-20") == WallTime(rfc3339: "2026-11-20T00:00:00Z"))
  }

  @Test(arguments: [
    "", "2026", "2026-13-01", "2026-02-29", "2026-00-10", "2026-01-00", "2026-01-01T", "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00+2:00", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00Zx", "x026-01-01",
    "2026-01-01T00:00:00+",
  ])
  func refuses(_ text: String) { #expect(WallTime(rfc3339: text) == nil) }
}
