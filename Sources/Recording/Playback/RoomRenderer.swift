package import Core
import Glibc

/// Makes the file that a plan asks for out of a room's spool.
package enum RoomRenderer {
  /// - Parameters:
  ///   - stem: Path of the file without its extension, which follows from what was recorded.
  ///   - progress: 0…1; false ends the rendering.
  package static func render(
    spool: String, plan: RenderPlan, stem: String, progress: (Double) -> Bool = { _ in true }
  ) throws(RecordingError) -> RenderedMedia {
    let scan = try SpoolScan(path: spool)
    let usable = scan.streams.values.filter(\.isUsable).sorted { $0.began < $1.began }
    let videos = plan.video ? usable.filter(\.isVideo) : []
    let audios = plan.audio ? usable.filter { !$0.isVideo } : []
    guard !videos.isEmpty || !audios.isEmpty else { throw .container("nothing was received to record") }
    let wanted = plan.container.flatMap(MediaContainer.init(rawValue:))
    if plan.keepsTracks, videos.count <= 1, audios.count <= 1 {
      let payload = videos.first?.payload
      let container = wanted ?? MediaContainer.usual(video: payload)
      if payload.map(container.carries) ?? true {
        let renderer = TrackRenderer(
          video: videos.first?.description.id, audio: audios.first?.description.id, container: container,
          title: scan.header.attributes["title"] ?? "")
        return try atomically(stem, container) { path throws(RecordingError) in
          try renderer.render(scan, to: path, progress: progress)
        }
      }
    }
    var composite = plan
    composite.video = !videos.isEmpty
    composite.audio = !audios.isEmpty
    let container = wanted ?? (composite.video ? (plan.videoCodec == .h264 ? .mp4 : .webm) : .ogg)
    return try atomically(stem, container) { path throws(RecordingError) in
      try CompositeRenderer(scan: scan, plan: composite, container: container).render(to: path, progress: progress)
    }
  }

  /// A file that is not whole has another name.
  private static func atomically(
    _ stem: String, _ container: MediaContainer, _ body: (String) throws(RecordingError) -> RenderedMedia
  ) throws(RecordingError) -> RenderedMedia {
    let path = stem + "." + container.fileExtension
    let partial = path + ".part"
    unlink(partial)
    do throws(RecordingError) {
      var file = try body(partial)
      let descriptor = open(partial, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { throw RecordingError(errno, path: partial) }
      defer { close(descriptor) }
      guard fsync(descriptor) == 0, rename(partial, path) == 0 else { throw RecordingError(errno, path: path) }
      file.path = path
      return file
    } catch {
      unlink(partial)
      throw error
    }
  }
}
