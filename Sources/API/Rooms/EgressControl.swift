package import LiveKitProtocol
package import Rooms

/// Records rooms for whoever asks over Twirp or REST.
package protocol EgressControl: Sendable {
  func start(_ plan: EgressPlan) async throws(RoomError) -> Livekit_EgressInfo
  /// - Throws: `.notFound`, or `.failedPrecondition` for one that has no layout or is over.
  func updateLayout(_ id: String, _ layout: String) async throws(RoomError) -> Livekit_EgressInfo
  /// Newest first. Nil asks for nothing.
  func list(room: String?, id: String?, active: Bool) async throws(RoomError) -> [Livekit_EgressInfo]
  /// Ends the recording; its file is made afterwards.
  func stop(_ id: String) async throws(RoomError) -> Livekit_EgressInfo
}
