import Transport

#if canImport(Glibc)
  import Glibc
#endif

/// libFuzzer's own main loop.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ argc: UnsafeMutablePointer<CInt>, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// SwiftPM names an executable's entry after its target.
@_cdecl("FuzzSCTP_main")
public func main(_ argc: CInt, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> CInt {
  nonisolated(unsafe) let argv = argv
  // Data channels live on a worker's thread, so the whole run does. Its loop never turns: no timer fires.
  Peers.worker.perform {
    var argc = argc
    var argv = argv
    exit(
      runDriver(&argc, &argv) { data, size in
        fuzzSCTP(UnsafeRawBufferPointer(start: data, count: size))
        return 0
      })
  }
  while true { pause() }
}
