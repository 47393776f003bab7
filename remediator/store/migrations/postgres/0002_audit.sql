-- The audit chain: hash = blake2b-256(prev_hash + '{"at":…,"entry":<body>,"seq":…}'). Rows are never changed, and deleted
-- only from the oldest on. The head also holds what the oldest kept row is chained to.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    prev_hash TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL
);

CREATE TABLE audit_head (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    anchor_seq BIGINT NOT NULL,
    anchor_hash TEXT COLLATE "C" NOT NULL
);
INSERT INTO audit_head VALUES (
    1,
    0, '0000000000000000000000000000000000000000000000000000000000000000',
    0, '0000000000000000000000000000000000000000000000000000000000000000'
);

-- The first answer to each proposal: what makes a repeated press harmless.
CREATE TABLE answer (
    proposal TEXT COLLATE "C" PRIMARY KEY,
    command TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX answer_age ON answer (at);
