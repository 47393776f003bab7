-- The whole schema. Text is compared by bytes, as the other stores do. A body is the msgpack of a struct; the columns beside it are what queries need.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Tables of one row have the column `one`.

-- One row holds a run of inputs, at positions first_position .. first_position + count - 1.
CREATE TABLE journal (
    first_position BIGINT PRIMARY KEY,
    count BIGINT NOT NULL,
    at BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX journal_age ON journal (at, count);

CREATE TABLE journal_head (one SMALLINT PRIMARY KEY CHECK (one = 1), position BIGINT NOT NULL);
INSERT INTO journal_head VALUES (1, 0);

CREATE TABLE progress (
    feed TEXT COLLATE "C" NOT NULL,
    topic TEXT COLLATE "C" NOT NULL,
    partition BIGINT NOT NULL,
    next_offset BIGINT NOT NULL,
    PRIMARY KEY (feed, topic, partition)
);

-- task_id '' is the dagrun itself. rank is the port's STATE_RANK of state.
CREATE TABLE history (
    deployment TEXT COLLATE "C" NOT NULL,
    dag_id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    task_id TEXT COLLATE "C" NOT NULL,
    map_index BIGINT NOT NULL,
    try_number BIGINT NOT NULL,
    rank BIGINT NOT NULL,
    time BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    ended_at BIGINT,
    error TEXT COLLATE "C",
    started_at BIGINT,
    PRIMARY KEY (dag_id, run_id, deployment, task_id, map_index)
);
CREATE INDEX history_age ON history (time);

CREATE TABLE dead_letter (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at BIGINT NOT NULL, body BYTEA NOT NULL);
CREATE INDEX dead_letter_age ON dead_letter (at);

-- The lease is alive until `until` by the clock of this server.
CREATE TABLE lease (
    one SMALLINT PRIMARY KEY CHECK (one = 1),
    owner TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL
);
INSERT INTO lease VALUES (1, '', 0, '-infinity');

CREATE TABLE controller (one SMALLINT PRIMARY KEY CHECK (one = 1), position BIGINT NOT NULL);
INSERT INTO controller VALUES (1, 0);

-- Not a column of controller: whoever presses the button must not wait for a long step.
CREATE TABLE freeze_flag (one SMALLINT PRIMARY KEY CHECK (one = 1), frozen BOOLEAN NOT NULL);
INSERT INTO freeze_flag VALUES (1, false);

CREATE TABLE key_state (key TEXT COLLATE "C" PRIMARY KEY, body BYTEA NOT NULL);
CREATE TABLE timer (key TEXT COLLATE "C" PRIMARY KEY, count BIGINT NOT NULL, body BYTEA NOT NULL);
CREATE TABLE rule_set (content_hash TEXT COLLATE "C" PRIMARY KEY, body BYTEA NOT NULL);

-- token is '' unless the action is claimed; until is the end of that claim.
CREATE TABLE outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    lane TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    incident TEXT COLLATE "C" NOT NULL,
    replaces TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    state TEXT COLLATE "C" NOT NULL DEFAULT 'pending',
    tries BIGINT NOT NULL DEFAULT 0,
    detail TEXT COLLATE "C" NOT NULL DEFAULT '',
    token TEXT COLLATE "C" NOT NULL DEFAULT '',
    until BIGINT NOT NULL DEFAULT 0,
    uncertain BOOLEAN NOT NULL DEFAULT false,
    body BYTEA NOT NULL
);
CREATE INDEX outbox_open ON outbox (lane, seq) WHERE state IN ('pending', 'claimed');
CREATE INDEX outbox_done ON outbox (at) WHERE state IN ('delivered', 'refused', 'unknown');
CREATE INDEX outbox_incident ON outbox (incident, seq) WHERE incident <> '';

-- Changes of targets that were let through in this minute since 1970.
CREATE TABLE rate (one SMALLINT PRIMARY KEY CHECK (one = 1), minute BIGINT NOT NULL, count BIGINT NOT NULL);
INSERT INTO rate VALUES (1, 0, 0);

CREATE TABLE incident (
    id TEXT COLLATE "C" NOT NULL,
    episode BIGINT NOT NULL,
    phase TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (id, episode)
);
CREATE INDEX incident_updated ON incident (updated_at);
CREATE INDEX incident_open ON incident (updated_at) WHERE phase <> 'resolved';

CREATE TABLE decision (seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, incident TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, body BYTEA NOT NULL);
CREATE INDEX decision_story ON decision (incident, seq);
CREATE INDEX decision_age ON decision (at);

CREATE TABLE snapshot (position BIGINT PRIMARY KEY, at BIGINT NOT NULL);
CREATE TABLE snapshot_state (
    position BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (position, key)
);
CREATE TABLE snapshot_timer (
    position BIGINT NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (position, key)
);
