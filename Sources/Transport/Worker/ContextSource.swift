internal import CNice
internal import Glibc

/// Owns one `GSource` that calls a closure on its context's thread.
final class ContextSource {
  private let source: UnsafeMutablePointer<GSource>
  /// Must not keep the owner of this source alive. Set before the context runs, or on its thread.
  var handler: () -> Void = {}

  /// GLib keeps the pointer to this table for ever; it is written once and never again.
  nonisolated(unsafe) private static let functions: UnsafeMutablePointer<GSourceFuncs> = {
    let table = UnsafeMutablePointer<GSourceFuncs>.allocate(capacity: 1)
    table.initialize(to: GSourceFuncs())
    table.pointee.dispatch = { _, _, data in
      guard let data else { return 0 }
      Unmanaged<ContextSource>.fromOpaque(data).takeUnretainedValue().handler()
      return 1
    }
    return table
  }()

  init(context: OpaquePointer) {
    source = g_source_new(ContextSource.functions, guint(MemoryLayout<GSource>.size))
    // Not retained: `destroy()` in `deinit` comes before the object goes.
    g_source_set_callback(source, nil, Unmanaged.passUnretained(self).toOpaque(), nil)
    g_source_attach(source, context)
  }

  /// From any thread: the handler runs once the monotonic clock reaches `microseconds`; 0 is now, -1 is never.
  func setReadyTime(_ microseconds: Int64) { g_source_set_ready_time(source, Int(microseconds)) }

  /// The handler runs whenever `descriptor` is readable.
  func watch(_ descriptor: Int32) { g_source_add_unix_fd(source, descriptor, G_IO_IN) }

  /// No call of the handler starts after this. On the context's thread, or when that thread has ended.
  func destroy() { g_source_destroy(source) }

  deinit {
    g_source_destroy(source)
    g_source_unref(source)
  }
}
