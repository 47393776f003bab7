-- The whole schema. A body is the msgpack of a struct; the columns beside it are what queries need.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Tables of one row have the column `one`.

-- One row holds a run of inputs, at positions first_position .. first_position + count - 1.
CREATE TABLE journal (
    first_position INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX journal_age ON journal (at, count);

CREATE TABLE journal_head (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL);
INSERT INTO journal_head VALUES (1, 0);

CREATE TABLE progress (
    feed TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (feed, topic, partition)
) WITHOUT ROWID;

-- task_id '' is the dagrun itself. rank is the port's STATE_RANK of state.
CREATE TABLE history (
    deployment TEXT NOT NULL,
    dag_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    map_index INTEGER NOT NULL,
    try_number INTEGER NOT NULL,
    rank INTEGER NOT NULL,
    time INTEGER NOT NULL,
    state TEXT NOT NULL,
    ended_at INTEGER,
    error TEXT,
    started_at INTEGER,
    PRIMARY KEY (dag_id, run_id, deployment, task_id, map_index)
);
CREATE INDEX history_age ON history (time);

CREATE TABLE dead_letter (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX dead_letter_age ON dead_letter (at);

CREATE TABLE lease (one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL, epoch INTEGER NOT NULL);
INSERT INTO lease VALUES (1, '', 0);

CREATE TABLE controller (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL, frozen INTEGER NOT NULL);
INSERT INTO controller VALUES (1, 0, 0);

CREATE TABLE key_state (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE timer (key TEXT PRIMARY KEY, count INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE rule_set (content_hash TEXT PRIMARY KEY, body BLOB NOT NULL);

-- token is '' unless the action is claimed; until is the end of that claim.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    lane TEXT NOT NULL,
    kind TEXT NOT NULL,
    incident TEXT NOT NULL,
    replaces TEXT NOT NULL,
    at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    tries INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    token TEXT NOT NULL DEFAULT '',
    until INTEGER NOT NULL DEFAULT 0,
    uncertain INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL
);
-- Holds all that a claim asks of every waiting row, so that it reads no body but those it takes.
CREATE INDEX outbox_open ON outbox (lane, seq, kind, state, until, not_before) WHERE state IN ('pending', 'claimed');
CREATE INDEX outbox_done ON outbox (at) WHERE state IN ('delivered', 'refused', 'unknown');
CREATE INDEX outbox_incident ON outbox (incident, seq) WHERE incident <> '';

-- Changes of targets that were let through in this minute since 1970.
CREATE TABLE rate (one INTEGER PRIMARY KEY CHECK (one = 1), minute INTEGER NOT NULL, count INTEGER NOT NULL);
INSERT INTO rate VALUES (1, 0, 0);

CREATE TABLE incident (
    id TEXT NOT NULL,
    episode INTEGER NOT NULL,
    phase TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (id, episode)
);
CREATE INDEX incident_updated ON incident (updated_at);
CREATE INDEX incident_open ON incident (updated_at) WHERE phase <> 'resolved';

CREATE TABLE decision (seq INTEGER PRIMARY KEY, incident TEXT NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX decision_story ON decision (incident, seq);
CREATE INDEX decision_age ON decision (at);

CREATE TABLE snapshot (position INTEGER PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE snapshot_state (
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (position, key)
);
CREATE TABLE snapshot_timer (
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (position, key)
);
