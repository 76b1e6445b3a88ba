import Audio
import Core
import Glibc
import RTP
import Testing

@testable import Bridge

@Suite struct ConferenceTests {
  private static let tones = [440.0, 620, 830, 1_150, 1_480, 1_910]

  /// The shares of all six tones in what was heard.
  private func shares(_ samples: [Int16], rate: Int) -> [Double] {
    Self.tones.map { Sound.shareInWindows(of: $0, in: samples, rate: rate) }
  }

  @Test func eachPhoneHearsExactlyTheOthersAndNeverItself() throws {
    let room = Conference()
    try room.addPhone(Peer(.pcmu, id: 1), tone: Self.tones[0])
    try room.addPhone(Peer(.g722, id: 2), tone: Self.tones[1])
    try room.addPhone(Peer(.opus, id: 3), tone: Self.tones[2])
    for tone in Self.tones[3...] { try room.addMicrophone(tone: tone) }
    room.run(.seconds(4))
    for index in 0..<3 {
      let samples = try room.heard(by: index)
      #expect(samples.count > room.peers[index].rate * 9 / 10)
      let shares = shares(samples, rate: room.peers[index].rate)
      for tone in 0..<6 where tone != index { #expect(shares[tone] > 0.1, "\(index) hears \(tone): \(shares)") }
      #expect(shares[index] < 0.001, "\(index) hears itself: \(shares)")
      #expect(shares.reduce(0, +) > 0.9, "\(index) hears something else: \(shares)")
    }
    #expect(room.mixer.talkerCount == 6)
    #expect(room.mixer.decoderCountInUse == 3)
    #expect(room.phones.allSatisfy { $0.underflows == 0 && $0.port.overflow == (0, 0) })
  }

  @Test func othersReceiveAPhoneAsATrackOfItsOwn() throws {
    let room = Conference()
    try room.addPhone(Peer(.pcma, id: 1), tone: Self.tones[0])
    try room.addPhone(Peer(.opus, id: 2), tone: Self.tones[1])
    try room.addMicrophone(tone: Self.tones[2])
    room.run(.seconds(5))
    for index in 0..<2 {
      let ear = room.ears[index]
      let shares = shares(Array(ear.heard.suffix(48_000)), rate: 48_000)
      #expect(shares[index] > 0.95, "\(shares)")
      #expect(ear.levels.count == ear.headers.count)
      #expect(ear.levels.last?.isVoice == true)
      // A sine of 5,000 is −19 dBov, brought down by gain control to about −23.
      #expect((18...25).contains(ear.levels.last?.attenuation ?? 0), "\(String(describing: ear.levels.last))")
      #expect(zip(ear.headers, ear.headers.dropFirst()).allSatisfy { $1.sequence == $0.sequence &+ 1 })
      #expect(zip(ear.headers, ear.headers.dropFirst()).allSatisfy { $1.timestamp == $0.timestamp &+ 960 })
      #expect(ear.reports >= 1)
    }
  }

  @Test func aTrackThatNobodyWantsIsNotEncodedButItsLevelIsTold() throws {
    let room = Conference()
    let phone = try room.addPhone(Peer(.pcma, id: 1), tone: 440)
    var levels: [UInt8] = []
    let track = try #require(phone.track)
    track.isWanted = { false }
    track.onLevel = { levels.append($0) }
    room.run(.seconds(1))
    #expect(track.framesEncoded == 0)
    #expect(room.ears[0].headers.isEmpty)
    #expect(levels.count > 40)
    #expect((levels.last ?? 127) < 30)
    track.isWanted = { true }
    room.run(.seconds(1))
    #expect(track.framesEncoded > 40)
    // The time that nobody took stands in the timestamps.
    #expect((room.ears[0].headers.first?.timestamp ?? 0) > 45_000)
  }

  @Test func aSilentPhoneSendsAFewPacketsOnly() throws {
    let room = Conference()
    try room.addPhone(Peer(.pcma, id: 1))
    room.run(.seconds(4))
    let headers = room.ears[0].headers
    #expect((20...40).contains(headers.count), "\(headers.count)")
    #expect(room.mixer.talkerCount == 0)
  }

  @Test func aMutedPhoneIsHeardByNobodyAndHearsOn() throws {
    let room = Conference()
    let phone = try room.addPhone(Peer(.pcma, id: 1), tone: Self.tones[0])
    try room.addPhone(Peer(.pcmu, id: 2), tone: Self.tones[1])
    room.run(.seconds(2))
    phone.isMuted = true
    room.run(.milliseconds(100))
    let before = room.ears[0].headers.count
    room.run(.seconds(2))
    #expect(room.ears[0].headers.count == before)
    // Comfort noise is all that is left.
    #expect(Sound.rms(try room.heard(by: 1)) < 40)
    #expect(shares(try room.heard(by: 0), rate: 8_000)[1] > 0.9)
    phone.isMuted = false
    room.run(.seconds(2))
    #expect(shares(try room.heard(by: 1), rate: 8_000)[0] > 0.9)
  }

  @Test func whoJoinsAndLeavesIsHeardOnlyMeanwhile() throws {
    let room = Conference()
    try room.addPhone(Peer(.pcmu, id: 1), tone: Self.tones[0])
    try room.addPhone(Peer(.g722, id: 2), tone: Self.tones[1])
    room.run(.seconds(2))
    let late = try room.addPhone(Peer(.opus, id: 3, at: room.now), tone: Self.tones[2])
    let microphone = try room.addMicrophone(tone: Self.tones[3])
    room.run(.seconds(2))
    var shares = shares(try room.heard(by: 0), rate: 8_000)
    #expect(shares[1] > 0.2 && shares[2] > 0.2 && shares[3] > 0.2, "\(shares)")
    room.mixer.remove(late)
    room.mixer.remove(microphone.track)
    room.run(.seconds(2))
    shares = self.shares(try room.heard(by: 0), rate: 8_000)
    #expect(shares[1] > 0.95 && shares[2] < 0.001 && shares[3] < 0.001, "\(shares)")
    #expect(room.mixer.decoderCountInUse == 0)
  }

  @Test func widebandPhonesHearWideband() throws {
    let room = Conference()
    try room.addPhone(Peer(.g722, id: 1))
    try room.addPhone(Peer(.opus, id: 2))
    try room.addPhone(Peer(.pcmu, id: 3))
    try room.addMicrophone(tone: 6_000)
    room.run(.seconds(3))
    #expect(Sound.shareInWindows(of: 6_000, in: try room.heard(by: 0), rate: 16_000) > 0.9)
    let opus = try room.heard(by: 1)
    let share = Sound.shareInWindows(of: 6_000, in: opus, rate: 16_000)
    // Opus at 32 kbps adds some noise to a sine.
    #expect(share > 0.8, "\(share) of \(Sound.rms(opus))")
    // Above 4 kHz nothing is left, and nothing is folded down.
    #expect(Sound.rms(try room.heard(by: 2)) < 60)
  }

  @Test func onlyTheLoudestAreDecoded() throws {
    var configuration = ConferenceMixer.Configuration()
    configuration.maximumTalkers = 3
    let room = Conference(configuration)
    try room.addPhone(Peer(.pcmu, id: 1))
    let tones = stride(from: 300.0, to: 3_300, by: 300).map { $0 }
    // Each louder than the one before; the last is silent.
    let peaks = [500.0, 650, 900, 1_200, 1_600, 2_100, 2_800, 7_500, 10_000, 0]
    for (tone, peak) in zip(tones, peaks) { try room.addMicrophone(tone: peak > 0 ? tone : nil, peak: peak) }
    room.run(.seconds(4))
    #expect(room.mixer.talkerCount == 3)
    #expect(room.mixer.decoderCountInUse <= 5)
    let samples = try room.heard(by: 0)
    let heard = tones.filter { Sound.shareInWindows(of: $0, in: samples, rate: 8_000) > 0.05 }
    #expect(heard.count == 3 && heard.contains(2_400) && heard.contains(2_700), "\(heard)")
    #expect(room.microphones[9].track.packetsUndecoded > 150)
  }

  @Test func whenNobodyTalksThereIsComfortNoise() throws {
    let room = Conference()
    try room.addPhone(Peer(.opus, id: 1))
    try room.addMicrophone(tone: nil)
    room.run(.seconds(2))
    let samples = try room.heard(by: 0)
    let level = 20 * log10(Sound.rms(samples) / 32_768)
    #expect((-72 ... -60).contains(level), "\(level) dBov")
  }
}
