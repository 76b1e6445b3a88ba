import Core

/// Where finished recordings of rooms go, and how they are kept there.
struct StorageSection: Sendable {
  /// Nil: files stay in the directory of recordings.
  var bucket: String?
  var region = "us-east-1"
  /// Nil: Amazon's.
  var endpoint: String?
  var accessKey: String?
  var secret: Secret?
  var pathStyle = false
  var prefix = ""
  /// Nil: files are not encrypted.
  var encryptionKey: Secret?

  /// The key's 32 bytes; nil where it is not 64 hexadecimal digits.
  var keyBytes: [UInt8]? {
    encryptionKey.flatMap { Hex.decode($0.revealed) }.flatMap { $0.count == 32 ? $0 : nil }
  }
}

extension Configuration {
  static let storage: [Setting<Configuration>] = [
    Setting(
      "recordings.s3.bucket", \.storage.bucket, Kind<String>.text("a bucket's name").optional(), in: Configuration(),
      fallback: "(none: files stay in recordings.directory)",
      "The S3 bucket that files of rooms' recordings go to, in parts and again until they are there. Requests that name "
        + "a bucket of their own go to that."),
    Setting(
      "recordings.s3.region", \.storage.region, .text("a region"), in: Configuration(), "The bucket's region."),
    Setting(
      "recordings.s3.endpoint", \.storage.endpoint,
      Kind<String>.text("an http or https URL without a path", accepts: isWebURL).optional(), in: Configuration(),
      fallback: "(Amazon's, of the region)", "Where a service lives that speaks like S3."),
    Setting(
      "recordings.s3.access-key", \.storage.accessKey, Kind<String>.text("an access key").optional(),
      in: Configuration(), fallback: "(none)", "The identifier of the key that may write to the bucket."),
    Setting(
      "recordings.s3.secret", \.storage.secret, Kind<Secret>.secret.optional(), in: Configuration(), fallback: "(none)",
      "The secret of that key."),
    Setting(
      "recordings.s3.path-style", \.storage.pathStyle, .flag, in: Configuration(),
      "Whether the bucket stands in the path instead of the host's name. Addresses and localhost always have it there."),
    Setting(
      "recordings.s3.prefix", \.storage.prefix, .text("text", accepts: { $0.utf8.count <= 512 }), in: Configuration(),
      "What the names of objects begin with, such as recordings/."),
    Setting(
      "recordings.encryption-key", \.storage.encryptionKey, Kind<Secret>.secret.optional(), in: Configuration(),
      fallback: "(none: files are not encrypted)",
      "64 hexadecimal digits: files of rooms' recordings are encrypted with this key (AES-256-GCM) before they are stored, "
        + "and end in .enc. parley recordings decrypt reads them. Who loses the key loses the files."),
  ]
}
