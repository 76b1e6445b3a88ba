import Core
import Logging
import Recording

extension Configuration {
  /// Where files of rooms' recordings go.
  func recordingStorage(_ logger: Logger) -> RecordingStorage {
    var bucket: BucketDestination?
    if let name = storage.bucket, let key = storage.accessKey, let secret = storage.secret {
      bucket = BucketDestination(
        bucket: name, region: storage.region, endpoint: storage.endpoint, accessKey: key, secret: secret.revealed,
        forcePathStyle: storage.pathStyle)
    }
    return RecordingStorage(
      directory: recordingsDirectory, bucket: bucket, prefix: storage.prefix, encryptionKey: storage.keyBytes,
      logger: logger)
  }
}
