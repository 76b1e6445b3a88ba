import LiveKitProtocol

/// What certain clients cannot do although they say they can.
enum ClientQuirks {
  /// Nil where nothing is known against the client.
  static func configuration(for client: Livekit_ClientInfo) -> Livekit_ClientConfiguration? {
    let browser = client.browser.lowercased()
    let os = client.os.lowercased()
    var configuration = Livekit_ClientConfiguration()
    if browser.contains("safari") {
      // Says that it decodes AV1 where the machine cannot.
      configuration.disabledCodecs.codecs = [codec("video/AV1")]
    } else if browser.contains("firefox"), os.contains("linux") || os.contains("android") {
      // Its H.264 encoder is a download that may be missing.
      configuration.disabledCodecs.publish = [codec("video/H264")]
    } else {
      return nil
    }
    return configuration
  }

  private static func codec(_ mime: String) -> Livekit_Codec {
    var codec = Livekit_Codec()
    codec.mime = mime
    return codec
  }
}
