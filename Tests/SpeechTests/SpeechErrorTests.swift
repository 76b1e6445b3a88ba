import Testing

@testable import Speech

@Suite struct SpeechErrorTests {
  @Test func `an error names what is missing`() {
    #expect("\(SpeechError.unknownVoice("xx"))" == "no voice xx")
    #expect("\(SpeechError.textTooLong(limit: 5))".contains("5 characters"))
  }
}
