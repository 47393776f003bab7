-- The audit chain: hash = blake2b-256(prev_hash + '{"at":…,"entry":<body>,"seq":…}'). Rows are never changed, and deleted
-- only from the oldest on. The head also holds what the oldest kept row is chained to.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE audit_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    anchor_seq INTEGER NOT NULL,
    anchor_hash TEXT NOT NULL
);
INSERT INTO audit_head VALUES (
    1,
    0, '0000000000000000000000000000000000000000000000000000000000000000',
    0, '0000000000000000000000000000000000000000000000000000000000000000'
);

-- The first answer to each proposal: what makes a repeated press harmless.
CREATE TABLE answer (proposal TEXT PRIMARY KEY, command TEXT NOT NULL, actor TEXT NOT NULL, at INTEGER NOT NULL);
CREATE INDEX answer_age ON answer (at);
