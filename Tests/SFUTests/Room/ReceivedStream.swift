import Core
import RTP

@testable import SFU

/// One stream as a subscriber sees it: asks for what is missing, decodes in order, checks what the payloads say.
struct ReceivedStream {
  let ssrc: SSRC
  let isVideo: Bool
  let clockRate: Int

  private struct Slot {
    var mark: Mark
    var timestamp: UInt32
    var startsFrame: Bool
    var isKey: Bool
    var pictureID: Int
  }

  private var unwrapper = SequenceUnwrapper()
  private var waiting: [Int64: Slot] = [:]
  /// When each missing number was noticed and asked for last.
  private var missing: [Int64: (since: Int, asked: Int)] = [:]
  private var first: Int64 = 0
  private var next: Int64?
  private var needsPicture = false
  private var lastPictureRequest = -1_000
  private var isDecoding = false
  private var isFrameBroken = false
  private var lastPictureID = -1
  private var lastSource = (layer: -1, frame: -1)
  private var report: (middle: UInt32, tick: Int)?

  private(set) var packets = 0
  private(set) var copies = 0
  /// Of numbers that never came.
  private(set) var holes = 0
  private(set) var frames = 0
  private(set) var firstFrame: Int?
  private(set) var layerSwitches = 0
  private(set) var pictureRequests = 0
  /// Whatever must never happen, in words.
  private(set) var faults: [String] = []
  private(set) var digest: UInt64 = 14_695_981_039_346_656_037
  /// Ticks in which a packet came, by tenths of a second.
  private(set) var heardIn: Set<Int> = []
  /// Media time of the last packet on the subscriber's NTP line, less its capture time: milliseconds. Needs a report.
  private(set) var skew: Double?
  private var lastReport: (ntp: Double, timestamp: UInt32)?

  init(ssrc: SSRC, isVideo: Bool) {
    self.ssrc = ssrc
    self.isVideo = isVideo
    clockRate = isVideo ? 90_000 : 48_000
  }

  mutating func receive(
    _ sequence: UInt16, _ header: RTPHeader, _ payload: ArraySlice<UInt8>, tick: Int
  ) {
    let before = unwrapper.highest
    let number = unwrapper.unwrap(sequence)
    packets += 1
    heardIn.insert(tick / 20)
    digest = (digest ^ UInt64(payload.last ?? 0) ^ UInt64(header.timestamp) << 8) &* 1_099_511_628_211
    digest = (digest ^ UInt64(sequence)) &* 1_099_511_628_211
    if let before, number > before + 1 {
      if number - before > 1_000 { fault("jump of \(number - before)") }
      for lost in (before + 1)..<number { missing[lost] = (tick, -100) }
    }
    if next == nil {
      next = number
      first = number
    }
    missing[number] = nil
    guard let next, number >= next, waiting[number] == nil else {
      copies += 1
      return
    }
    guard let slot = read(header, payload) else { return }
    waiting[number] = slot
    play(tick)
  }

  private mutating func fault(_ text: String) { if faults.count < 5 { faults.append(text) } }

  private mutating func read(_ header: RTPHeader, _ payload: ArraySlice<UInt8>) -> Slot? {
    if payload.isEmpty {
      // Padding in the place of what the server left out.
      return Slot(
        mark: Mark(milliseconds: -1, producer: 0, layer: 0, frame: 0, isLast: false), timestamp: 0, startsFrame: false,
        isKey: false, pictureID: -1)
    }
    var slot: Slot
    if isVideo {
      guard let vp8 = VP8Descriptor(parsing: Array(payload).span.bytes),
        let mark = Mark(payload.dropFirst(Int(vp8.length) + 1))
      else {
        fault("unreadable payload")
        return nil
      }
      slot = Slot(
        mark: mark, timestamp: header.timestamp, startsFrame: vp8.startsFrame, isKey: vp8.isKeyFrame,
        pictureID: Int(vp8.pictureID ?? 0))
      if header.marker != mark.isLast { fault("marker") }
    } else {
      guard let mark = Mark(payload) else {
        fault("unreadable payload")
        return nil
      }
      slot = Slot(mark: mark, timestamp: header.timestamp, startsFrame: true, isKey: true, pictureID: 0)
    }
    if let lastReport {
      let units = Double(Int32(bitPattern: slot.timestamp &- lastReport.timestamp))
      skew = (lastReport.ntp + units / Double(clockRate)) * 1_000 - Double(slot.mark.milliseconds)
    }
    return slot
  }

  /// Plays what is there in order; passes over what has been missing too long.
  private mutating func play(_ tick: Int) {
    while let next {
      if let slot = waiting.removeValue(forKey: next) {
        self.next = next + 1
        if slot.mark.milliseconds >= 0 { isVideo ? decode(slot, tick) : hear(slot) }
        continue
      }
      guard let lost = missing[next], tick - lost.since > 160 else { return }
      missing[next] = nil
      holes += 1
      self.next = next + 1
      isFrameBroken = true
    }
  }

  private mutating func hear(_ slot: Slot) {
    if slot.mark.frame <= lastSource.frame { fault("audio packet \(slot.mark.frame) after \(lastSource.frame)") }
    lastSource = (0, slot.mark.frame)
    frames += 1
  }

  private mutating func decode(_ slot: Slot, _ tick: Int) {
    if slot.startsFrame {
      let follows = slot.pictureID == (lastPictureID + 1) & 0x7FFF
      if slot.isKey {
        isDecoding = true
        if lastPictureID >= 0, !follows, !isFrameBroken {
          fault("key picture \(slot.pictureID) after \(lastPictureID)")
        }
        if lastSource.layer >= 0, lastSource.layer != slot.mark.layer { layerSwitches += 1 }
      } else if isFrameBroken || !follows {
        isDecoding = false
        // Behind the very first packet anything may have been lost.
        if !isFrameBroken, lastPictureID >= 0 { fault("picture \(slot.pictureID) after \(lastPictureID)") }
      } else if isDecoding, slot.mark.layer != lastSource.layer || slot.mark.frame != lastSource.frame + 1 {
        fault("frame \(slot.mark.layer)/\(slot.mark.frame) after \(lastSource)")
      }
      isFrameBroken = false
      lastPictureID = slot.pictureID
      lastSource = (slot.mark.layer, slot.mark.frame)
    }
    guard slot.mark.isLast, !isFrameBroken else { return }
    if isDecoding {
      frames += 1
      if firstFrame == nil { firstFrame = tick }
      needsPicture = false
    } else {
      needsPicture = true
    }
  }

  var isWaiting: Bool { !missing.isEmpty || needsPicture || !waiting.isEmpty }

  /// What to ask for now.
  mutating func takeRequests(tick: Int) -> (numbers: [UInt16], needsPicture: Bool) {
    play(tick)
    var numbers: [UInt16] = []
    if !missing.isEmpty {
      for number in missing.keys.sorted() where number > first {
        guard let entry = missing[number], tick - entry.since <= 160 else {
          if number < next ?? .min { missing[number] = nil }
          continue
        }
        guard tick > entry.since, tick - entry.asked >= 16 else { continue }
        missing[number] = (entry.since, tick)
        numbers.append(UInt16(truncatingIfNeeded: number))
      }
    }
    let asks = needsPicture && tick - lastPictureRequest >= 40
    if asks {
      lastPictureRequest = tick
      pictureRequests += 1
    }
    return (numbers, asks)
  }

  mutating func receive(_ senderReport: SenderReport, tick: Int) {
    report = (senderReport.ntp.middle, tick)
    let seconds = Double(senderReport.ntp.rawValue >> 32) + Double(senderReport.ntp.rawValue & 0xFFFF_FFFF) / 0x1p32
    lastReport = (seconds - 3_908_988_800, senderReport.rtpTimestamp)
  }

  func makeBlock(tick: Int) -> ReportBlock? {
    guard let highest = unwrapper.highest else { return nil }
    let delay = report.map { UInt32(tick - $0.tick) * 65_536 / 200 } ?? 0
    return ReportBlock(
      source: ssrc, fractionLost: 0, cumulativeLost: 0, extendedHighestSequence: UInt32(truncatingIfNeeded: highest),
      jitter: 0, lastSenderReport: report?.middle ?? 0, delaySinceLastSenderReport: delay)
  }
}
