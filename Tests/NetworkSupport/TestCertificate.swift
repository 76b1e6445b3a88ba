import Glibc

/// A self-signed certificate for localhost, 127.0.0.1 and ::1 with a key that everybody may read: for tests only.
package enum TestCertificate {
  /// Paths of the PEM files, written to a directory of their own.
  package static let files: (certificate: String, key: String) = {
    var template = Array("/tmp/parley-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { fatalError("cannot make a directory in /tmp") }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (write(certificate, "\(directory)/cert.pem"), write(key, "\(directory)/key.pem"))
  }()

  private static func write(_ text: String, _ path: String) -> String {
    guard let file = fopen(path, "w") else { fatalError("cannot write \(path)") }
    fputs(text, file)
    fclose(file)
    return path
  }

  package static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBrTCCAVSgAwIBAgIUE8o5YLegeizUVA4ZnfruwzdwKVkwCgYIKoZIzj0EAwIw
    FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDIxMTc0M1oYDzIxMjYxMDI3
    MjExNzQzWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
    PQMBBwNCAATAQ83nFjXOjaNxV8X5JvbafCojyAFaDM6inS5gJLensVY3YdJluB2P
    R1Jccv9G5vK5AGzycsUL7MVZ4wZ5SOAKo4GBMH8wHQYDVR0OBBYEFG0zwwWa8CSj
    yKOQMEVIufZdGuj/MB8GA1UdIwQYMBaAFG0zwwWa8CSjyKOQMEVIufZdGuj/MA8G
    A1UdEwEB/wQFMAMBAf8wLAYDVR0RBCUwI4IJbG9jYWxob3N0hwR/AAABhxAAAAAA
    AAAAAAAAAAAAAAABMAoGCCqGSM49BAMCA0cAMEQCIAPvoB6mbrfc8K5BYS5fZesv
    XjP0Bbz5RC+ZQ7Mgiwz2AiBaD+vvBpbCfn4Hkkv0bPbrSSbO7fXVh9B1rR/8jllw
    GA==
    -----END CERTIFICATE-----

    """

  private static let key = """
    -----BEGIN PRIVATE KEY-----
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+I+HCpcaPHQNjct/
    OtLNBPQeLXplWerHz1EWoo5VSMahRANCAATAQ83nFjXOjaNxV8X5JvbafCojyAFa
    DM6inS5gJLensVY3YdJluB2PR1Jccv9G5vK5AGzycsUL7MVZ4wZ5SOAK
    -----END PRIVATE KEY-----

    """
}
