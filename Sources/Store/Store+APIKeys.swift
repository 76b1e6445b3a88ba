package import Core
import GRDB

/// A key to the REST interface. Only the hash of its secret is stored.
package struct APIKey: Sendable, Hashable {
  package var tenant: TenantID
  package var name: String
  /// SHA-256 of the secret, lower-case hexadecimal. The secret has 256 random bits, so no salt or stretching is needed.
  package var secretSHA256: String
  package var createdAt: WallTime

  package init(tenant: TenantID = .default, name: String, secretSHA256: String, createdAt: WallTime) {
    self.tenant = tenant
    self.name = name
    self.secretSHA256 = secretSHA256
    self.createdAt = createdAt
  }
}

extension Store {
  package func apiKeys(tenant: TenantID = .default) async throws(StoreError) -> [APIKey] {
    try await read("read API keys") { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM api_keys WHERE tenant = ? ORDER BY name", arguments: [tenant.rawValue]
      ).map { row in
        APIKey(
          tenant: TenantID(rawValue: row["tenant"]), name: row["name"], secretSHA256: row["secret_sha256"],
          createdAt: WallTime(milliseconds: row["created_at"]))
      }
    }
  }

  /// - Throws: `.exists` where the tenant has a key of that name.
  package func add(_ key: APIKey) async throws(StoreError) {
    try await write(
      [
        ("tenant", key.tenant.rawValue), ("name", key.name), ("secret_sha256", key.secretSHA256),
        ("created_at", key.createdAt.milliseconds),
      ], into: "api_keys", key: [("tenant", key.tenant.rawValue), ("name", key.name)], mode: .create,
      what: "API key \(key.name)", problem: DirectoryRules.problem(withKeyName: key.name))
  }

  @discardableResult
  package func removeAPIKey(_ name: String, tenant: TenantID = .default) async throws(StoreError) -> Bool {
    try await remove(from: "api_keys", key: [("tenant", tenant.rawValue), ("name", name)], what: "API key \(name)")
  }
}
