extension RenderQueue {
  /// Runs a job when those before it are done.
  /// - Throws: What the job throws; `.container` once the queue is stopping.
  package func perform<Outcome: Sendable>(
    _ job: @escaping @Sendable () throws(RecordingError) -> Outcome
  ) async throws(RecordingError) -> Outcome {
    let result = await run { () -> Result<Outcome, RecordingError> in
      do throws(RecordingError) {
        return .success(try job())
      } catch {
        return .failure(error)
      }
    }
    guard let result else { throw .container("the server is stopping") }
    return try result.get()
  }
}
