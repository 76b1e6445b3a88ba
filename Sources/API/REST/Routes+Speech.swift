import Hummingbird
import NIOCore

extension RESTRoutes {
  /// Speech for trying voices and for making prompts.
  mutating func addSpeech() {
    let speech = services.speech

    on(.post, "/v1/speech", .apiKey) { call in
      guard let speech else { throw RESTError(.serviceUnavailable, "unavailable", "This server does not speak.") }
      var input = try await call.body()
      let text = try input.requiredText("text")
      let language = try input.text("language") ?? ""
      let voice = try input.text("voice")
      let speed = try input.integer("speed")
      try input.finish()
      if let speed, !(50...200).contains(speed) { throw RESTError.invalid("speed must be from 50 to 200 percent.") }
      let wav: [UInt8]
      do {
        wav = try await speech.speak(text, language: language, voice: voice, speed: speed)
      } catch SpeechRefusal.invalid(let why) {
        throw RESTError.invalid(why)
      } catch SpeechRefusal.unavailable(let why) {
        throw RESTError(.serviceUnavailable, "unavailable", why)
      }
      return Response(
        status: .ok,
        headers: [.contentType: "audio/wav", .contentLength: "\(wav.count)", .cacheControl: "no-store"],
        body: ResponseBody(byteBuffer: ByteBuffer(bytes: wav)))
    }

    on(.get, "/v1/speech/voices", .apiKey) { call in
      try call.allowQuery()
      guard let speech else { throw RESTError(.serviceUnavailable, "unavailable", "This server does not speak.") }
      return .json(await speech.voices())
    }
  }
}
