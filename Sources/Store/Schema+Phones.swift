extension Schema {
  /// Trunks and dispatch rules of rooms. What routing looks at together is kept together, as JSON.
  static let v4 = """
    CREATE TABLE room_trunks (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      id TEXT NOT NULL,
      direction TEXT NOT NULL,
      name TEXT NOT NULL,
      definition TEXT NOT NULL,
      original BLOB NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE dispatch_rules (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      id TEXT NOT NULL,
      name TEXT NOT NULL,
      definition TEXT NOT NULL,
      original BLOB NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;

    \(generationTriggers(of: ["room_trunks", "dispatch_rules"]))
    """
}
