extension Schema {
  /// What users want to become of their calls, and who moved whom in a call (JSON).
  static let v5 = """
    CREATE TABLE call_handling (
      tenant TEXT NOT NULL REFERENCES tenants(id),
      user TEXT NOT NULL,
      do_not_disturb INTEGER NOT NULL,
      forward_always TEXT,
      forward_busy TEXT,
      forward_no_answer TEXT,
      no_answer_after INTEGER NOT NULL,
      PRIMARY KEY (tenant, user)
    ) STRICT, WITHOUT ROWID;

    CREATE TRIGGER users_call_handling AFTER DELETE ON users BEGIN
      DELETE FROM call_handling WHERE tenant = OLD.tenant AND user = OLD.name;
    END;

    ALTER TABLE calls ADD COLUMN transfers TEXT;

    \(generationTriggers(of: ["call_handling"]))
    """
}
