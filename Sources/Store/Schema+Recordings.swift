extension Schema {
  /// Recordings and their files, and who is recorded without being asked for.
  static let v3 = """
    CREATE TABLE recordings (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      id TEXT NOT NULL,
      kind TEXT NOT NULL,
      call TEXT,
      room TEXT,
      state TEXT NOT NULL,
      reason TEXT NOT NULL,
      started_at INTEGER NOT NULL,
      ended_at INTEGER,
      progress REAL NOT NULL,
      spool TEXT,
      attributes TEXT NOT NULL,
      PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX recordings_by_start ON recordings (tenant, started_at DESC, id DESC);
    CREATE INDEX recordings_by_call ON recordings (tenant, call) WHERE call IS NOT NULL;
    CREATE INDEX recordings_by_room ON recordings (tenant, room, started_at DESC) WHERE room IS NOT NULL;
    CREATE INDEX recordings_unfinished ON recordings (tenant, started_at) WHERE state IN ('recording', 'rendering');

    CREATE TABLE recording_files (
      tenant TEXT NOT NULL,
      recording TEXT NOT NULL,
      position INTEGER NOT NULL,
      name TEXT NOT NULL,
      location TEXT NOT NULL,
      format TEXT NOT NULL,
      content_type TEXT NOT NULL,
      bytes INTEGER NOT NULL,
      sha256 TEXT NOT NULL,
      duration REAL NOT NULL,
      PRIMARY KEY (tenant, recording, position),
      FOREIGN KEY (tenant, recording) REFERENCES recordings (tenant, id) ON DELETE CASCADE
    ) STRICT, WITHOUT ROWID;

    ALTER TABLE users ADD COLUMN record INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE trunks ADD COLUMN record INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE numbers ADD COLUMN record INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE routes ADD COLUMN record INTEGER NOT NULL DEFAULT 0;
    """
}
