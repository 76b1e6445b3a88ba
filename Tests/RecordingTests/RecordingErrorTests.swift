import Testing

@testable import Recording

@Suite struct RecordingErrorTests {
  @Test func `an error names the file`() {
    #expect("\(RecordingError.io(path: "/a", errno: 28, text: "No space left"))" == "/a: No space left (errno 28)")
  }
}
