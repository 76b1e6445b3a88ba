import Audio

/// A clip at one rate, converted as far as somebody has come, for any number of listeners.
final class ClipStream {
  let sampleRate: Int
  private var player: ClipPlayer
  private let converted: FrameMemory
  private var length = 0

  init(_ clip: AudioClip, sampleRate: Int) throws(AudioError) {
    self.sampleRate = sampleRate
    player = try ClipPlayer(clip, sampleRate: sampleRate)
    // Whole frames, and one for what the resampler holds back.
    let total = clip.samples.count * sampleRate / clip.sampleRate
    let frame = sampleRate / 50
    converted = FrameMemory(count: (total / frame + 3) * frame)
  }

  /// Adds the samples from `position` on to a frame; false at the end of the clip.
  func add(to frame: Samples, from position: Int) -> Bool {
    while length < position + frame.count, !player.hasEnded, length < converted.samples.count {
      let room = converted.samples.part(from: length, count: sampleRate / 50)
      player.generate(into: room)
      length += room.count
    }
    let part = converted.samples.part(from: position, count: min(frame.count, max(0, length - position)))
    for i in 0..<part.count {
      frame[i] = Int16(truncatingIfNeeded: max(-32_768, min(32_767, Int32(frame[i]) + Int32(part[i]))))
    }
    return position + frame.count < length || !player.hasEnded && length < converted.samples.count
  }
}

/// A clip on its way to some listeners of a conference.
final class Announcement {
  let id: UInt64
  let clip: AudioClip
  private var streams: [ClipStream] = []
  /// Who still has to hear it.
  var listeners = 0
  var isCancelled = false

  init(id: UInt64, clip: AudioClip) {
    self.id = id
    self.clip = clip
  }

  /// Made when the announcement is, for every rate that somebody listens at. Nil where it could not be made.
  func prepare(sampleRate: Int) -> ClipStream? {
    if let stream = streams.first(where: { $0.sampleRate == sampleRate }) { return stream }
    guard let stream = try? ClipStream(clip, sampleRate: sampleRate) else { return nil }
    streams.append(stream)
    return stream
  }
}

/// The announcements that one listener has to hear, one after another, each over the talk, which becomes quieter.
struct AnnouncementQueue {
  private struct Item {
    var announcement: Announcement
    var stream: ClipStream
  }

  private var items: [Item] = []
  private var position = 0
  /// Of the talk: 1, or 0.25 (−12 dB) under an announcement.
  private var talk: Float = 1

  var isEmpty: Bool { items.isEmpty && talk == 1 }

  mutating func append(_ announcement: Announcement, _ stream: ClipStream) {
    announcement.listeners += 1
    items.append(Item(announcement: announcement, stream: stream))
  }

  /// Lays what is to be said over a frame.
  mutating func render(into frame: Samples) {
    while let first = items.first, first.announcement.isCancelled {
      items.removeFirst()
      position = 0
      first.announcement.listeners -= 1
    }
    let next: Float = items.isEmpty ? 1 : 0.25
    if talk != 1 || next != 1 { Fade.ramp(frame, from: talk, to: next) }
    talk = next
    guard let first = items.first else { return }
    if first.stream.add(to: frame, from: position) {
      position += frame.count
      return
    }
    items.removeFirst()
    position = 0
    first.announcement.listeners -= 1
  }

  /// The listener is gone.
  mutating func removeAll() {
    for item in items { item.announcement.listeners -= 1 }
    items = []
    position = 0
  }
}
