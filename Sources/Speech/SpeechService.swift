import AsyncHTTPClient
package import Audio
import Core
import Foundation
import NIOCore
import NIOHTTP1
import Synchronization

/// Any service that answers `POST /tts` with a WAV file, such as one before Piper:
///
///     POST /tts      {"text": "Hello", "voice": "en_GB-alba-medium", "speed": 1, "cache": true}  →  audio/wav
///     GET  /voices   a list of names, or of objects with a name, or an object of either
///     GET  /health   2xx while it works
package final class SpeechService: SpeechSource {
  /// The largest answer: three minutes of stereo at 48 kHz fit.
  private static let largestAnswer = 40 << 20

  package let engine: String
  private let url: String
  private let timeout: Duration
  private let client: HTTPClient
  private let breaker: Mutex<CircuitBreaker>

  /// - Parameters:
  ///   - url: of the service, without the path.
  ///   - timeout: of a whole request, answer included: a caller waits so long for a prompt, then hears espeak-ng.
  package init(url: String, timeout: Duration, breaker: CircuitBreaker = CircuitBreaker()) {
    self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
    engine = "service \(self.url)"
    self.timeout = timeout
    self.breaker = Mutex(breaker)
    var configuration = HTTPClient.Configuration()
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .nanoseconds(min(timeout, .seconds(3)).nanoseconds)
    // A caller is waiting: espeak-ng is the second attempt.
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  package func shutdown() async { try? await client.shutdown() }

  package var isSuspended: Bool { breaker.withLock { $0.isSuspended } }

  private struct Order: Encodable {
    let text: String
    let voice: String
    let speed: Double
    let cache = true
  }

  package func speak(_ text: SpokenText, voice: String, speed: Double) async throws(SpeechError) -> AudioClip {
    guard breaker.withLock({ $0.permits(now: .now()) }) else { throw .serviceSuspended }
    do {
      guard let body = try? JSONEncoder().encode(Order(text: text.text, voice: voice, speed: speed)) else {
        throw SpeechError.badAnswer
      }
      var request = HTTPClientRequest(url: url + "/tts")
      request.method = .POST
      request.headers.add(name: "Content-Type", value: "application/json")
      request.headers.add(name: "Accept", value: "audio/wav")
      request.body = .bytes(ByteBuffer(bytes: body))
      let clip: AudioClip
      do {
        clip = try WAVReader.read(try await answer(to: request), longest: 180)
      } catch let error as WAVError {
        throw SpeechError.badAudio(error)
      }
      breaker.withLock { $0.succeeded() }
      return clip
    } catch {
      let error = error as? SpeechError ?? .serviceUnreachable("\(error)")
      breaker.withLock {
        // A text or voice that it does not want says nothing about its health.
        if case .serviceRefused(400..<500) = error {
          $0.succeeded()
        } else {
          $0.failed(now: .now(), isGrave: error == .serviceTimeout)
        }
      }
      throw error
    }
  }

  /// The names of its voices.
  package func voices() async throws(SpeechError) -> [String] {
    let body = try await answer(to: HTTPClientRequest(url: url + "/voices"))
    guard let list = try? JSONDecoder().decode(VoiceList.self, from: Data(body)) else { throw .badAnswer }
    return list.names.sorted()
  }

  /// - Throws: where it does not answer 2xx.
  package func checkHealth() async throws(SpeechError) {
    _ = try await answer(to: HTTPClientRequest(url: url + "/health"))
  }

  private func answer(to request: HTTPClientRequest) async throws(SpeechError) -> [UInt8] {
    do {
      return try await withThrowingTaskGroup(of: [UInt8].self) { [client, timeout] group in
        group.addTask {
          var request = request
          request.headers.add(name: "User-Agent", value: "Parley")
          let response = try await client.execute(request, timeout: .nanoseconds(timeout.nanoseconds))
          let status = Int(response.status.code)
          guard (200...299).contains(status) else { throw SpeechError.serviceRefused(status: status) }
          let body = try await response.body.collect(upTo: Self.largestAnswer)
          return Array(body.readableBytesView)
        }
        // The client's own timeout ends with the head of the answer; this one does not.
        group.addTask {
          try await Task.sleep(for: timeout)
          throw SpeechError.serviceTimeout
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw SpeechError.serviceTimeout }
        return first
      }
    } catch let error as SpeechError {
      throw error
    } catch is NIOTooManyBytesError {
      throw .answerTooLong(limit: Self.largestAnswer)
    } catch let error as HTTPClientError where error == .deadlineExceeded || error == .connectTimeout {
      throw .serviceTimeout
    } catch {
      throw .serviceUnreachable(String("\(error)".prefix(200)))
    }
  }
}

/// The several forms in which services list their voices.
struct VoiceList: Decodable {
  let names: [String]

  private struct Named: Decodable {
    let name: String

    private enum Key: String, CodingKey, CaseIterable { case id, key, name, voice }

    init(from decoder: any Decoder) throws {
      if let name = try? decoder.singleValueContainer().decode(String.self) {
        self.name = name
        return
      }
      let container = try decoder.container(keyedBy: Key.self)
      guard let name = Key.allCases.lazy.compactMap({ try? container.decode(String.self, forKey: $0) }).first else {
        throw DecodingError.dataCorrupted(
          .init(codingPath: decoder.codingPath, debugDescription: "a voice without name"))
      }
      self.name = name
    }
  }

  private struct Wrapped: Decodable { let voices: VoiceList }
  private struct Anything: Decodable { init(from decoder: any Decoder) throws {} }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let list = try? container.decode([Named].self) {
      names = list.map(\.name)
    } else if let wrapped = try? container.decode(Wrapped.self) {
      names = wrapped.voices.names
    } else {
      names = try container.decode([String: Anything].self).map(\.key)
    }
  }
}
