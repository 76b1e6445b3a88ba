import GRDB

/// The tables, as migrations. A migration that was released is never edited: a new one follows it.
///
/// Times are milliseconds since 1970 UTC. Every table carries the tenant. Tables are STRICT: SQLite itself
/// refuses a value of the wrong type, so reading a row cannot meet one.
enum Schema {
  /// The newest schema that this version knows; also the name of the last migration.
  static let version = 5

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("v1") { db in try db.execute(sql: v1) }
    migrator.registerMigration("v2") { db in try db.execute(sql: v2) }
    migrator.registerMigration("v3") { db in try db.execute(sql: v3) }
    migrator.registerMigration("v4") { db in try db.execute(sql: v4) }
    migrator.registerMigration("v5") { db in try db.execute(sql: v5) }
    return migrator
  }

  private static let v1 = """
    CREATE TABLE tenants (
      id TEXT NOT NULL PRIMARY KEY,
      name TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT;

    CREATE TABLE settings (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      name TEXT NOT NULL,
      value TEXT NOT NULL,
      PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE users (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      name TEXT NOT NULL,
      display TEXT NOT NULL,
      ha1_md5 TEXT NOT NULL,
      ha1_sha256 TEXT NOT NULL,
      enabled INTEGER NOT NULL,
      PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE trunks (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      name TEXT NOT NULL,
      host TEXT NOT NULL,
      port INTEGER NOT NULL,
      transport TEXT NOT NULL,
      codecs TEXT NOT NULL,
      allow TEXT NOT NULL,
      username TEXT,
      password TEXT,
      register INTEGER NOT NULL,
      enabled INTEGER NOT NULL,
      PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE numbers (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      number TEXT NOT NULL,
      target TEXT NOT NULL,
      PRIMARY KEY (tenant, number)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE routes (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      position INTEGER NOT NULL,
      match TEXT NOT NULL,
      target TEXT NOT NULL,
      number TEXT,
      PRIMARY KEY (tenant, position)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE api_keys (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      name TEXT NOT NULL,
      secret_sha256 TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE calls (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      id TEXT NOT NULL,
      caller TEXT NOT NULL,
      caller_display TEXT NOT NULL,
      dialled TEXT NOT NULL,
      direction TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      ringing_at INTEGER,
      answered_at INTEGER,
      ended_at INTEGER,
      outcome TEXT NOT NULL,
      ended_by TEXT,
      status INTEGER,
      reason TEXT NOT NULL,
      saved_at INTEGER NOT NULL,
      PRIMARY KEY (tenant, id)
    ) STRICT;
    CREATE INDEX calls_by_start ON calls (tenant, started_at DESC, id DESC);
    CREATE INDEX calls_by_caller ON calls (tenant, caller, started_at DESC);
    CREATE INDEX calls_by_dialled ON calls (tenant, dialled, started_at DESC);
    CREATE INDEX calls_running ON calls (tenant, started_at DESC) WHERE ended_at IS NULL;

    CREATE TABLE legs (
      tenant TEXT NOT NULL,
      call TEXT NOT NULL,
      position INTEGER NOT NULL,
      kind TEXT NOT NULL,
      party TEXT NOT NULL,
      sip_call_id TEXT NOT NULL,
      remote_address TEXT NOT NULL,
      transport TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      answered_at INTEGER,
      ended_at INTEGER,
      status INTEGER,
      reason TEXT NOT NULL,
      codec TEXT,
      packets_sent INTEGER NOT NULL,
      packets_received INTEGER NOT NULL,
      octets_sent INTEGER NOT NULL,
      octets_received INTEGER NOT NULL,
      packets_lost INTEGER NOT NULL,
      packets_rejected INTEGER NOT NULL,
      jitter REAL NOT NULL,
      round_trip REAL,
      PRIMARY KEY (tenant, call, position),
      FOREIGN KEY (tenant, call) REFERENCES calls (tenant, id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX legs_by_party ON legs (tenant, kind, party, started_at DESC);
    CREATE INDEX legs_by_sip_call ON legs (sip_call_id);

    -- Counts every change of users, trunks, numbers and routes, whichever process makes it: a running server polls it.
    CREATE TABLE generations (
      tenant TEXT NOT NULL PRIMARY KEY REFERENCES tenants(id),
      value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER tenant_generation AFTER INSERT ON tenants BEGIN
      INSERT INTO generations (tenant, value) VALUES (NEW.id, 0);
    END;
    \(generationTriggers(of: ["users", "trunks", "numbers", "routes"]))

    INSERT INTO tenants (id, name, created_at) VALUES ('default', 'default', 0);
    """

  static func generationTriggers(of tables: [String]) -> String {
    tables.map { table in
      [("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")].map { event, row in
        """
        CREATE TRIGGER \(table)_\(event.lowercased())_generation AFTER \(event) ON \(table) BEGIN
          UPDATE generations SET value = value + 1 WHERE tenant = \(row).tenant;
        END;
        """
      }.joined(separator: "\n")
    }.joined(separator: "\n")
  }

  /// The outbox of the webhooks: what happened, and for each URL whether it knows.
  private static let v2 = """
    CREATE TABLE webhook_events (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      tenant TEXT NOT NULL REFERENCES tenants(id),
      id TEXT NOT NULL,
      room TEXT NOT NULL,
      event TEXT NOT NULL,
      body TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      UNIQUE (tenant, id)
    ) STRICT;
    CREATE INDEX webhook_events_by_time ON webhook_events (tenant, created_at);

    CREATE TABLE webhook_deliveries (
      event INTEGER NOT NULL REFERENCES webhook_events(sequence) ON DELETE CASCADE,
      tenant TEXT NOT NULL,
      url TEXT NOT NULL,
      room TEXT NOT NULL,
      state TEXT NOT NULL,
      attempts INTEGER NOT NULL,
      next_attempt_at INTEGER NOT NULL,
      finished_at INTEGER,
      status INTEGER,
      problem TEXT NOT NULL,
      PRIMARY KEY (event, url)
    ) STRICT, WITHOUT ROWID;
    -- One queue a room and URL: its first row is the one that may be sent.
    CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (tenant, url, room, event) WHERE state = 'pending';
    """
}
