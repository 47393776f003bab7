-- The statements of the SQLite store, each under its name. Loaded once by queries.load_queries.

-- name: progress
SELECT partition, next_offset FROM progress WHERE feed = :feed AND topic = :topic

-- name: progress_start
INSERT INTO progress (feed, topic, partition, next_offset) VALUES (:feed, :topic, :partition, :next_offset)
ON CONFLICT DO NOTHING

-- name: progress_move
UPDATE progress SET next_offset = :next_offset
WHERE feed = :feed AND topic = :topic AND partition = :partition AND next_offset = :expected

-- name: history_merge
-- lattice.merge in SQL: the greater order wins whole, the earliest start of one try is kept.
INSERT INTO history
    (deployment, dag_id, run_id, task_id, map_index, try_number, rank, time, state, ended_at, error, started_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    try_number = excluded.try_number, rank = excluded.rank, time = excluded.time, state = excluded.state,
    ended_at = excluded.ended_at, error = excluded.error,
    started_at = CASE WHEN excluded.try_number > history.try_number THEN excluded.started_at
        ELSE coalesce(min(excluded.started_at, history.started_at), excluded.started_at, history.started_at) END
WHERE (excluded.try_number, excluded.rank, excluded.time, excluded.state,
        coalesce(excluded.ended_at, -1), excluded.error IS NOT NULL, coalesce(excluded.error, ''))
    > (history.try_number, history.rank, history.time, history.state,
        coalesce(history.ended_at, -1), history.error IS NOT NULL, coalesce(history.error, ''))

-- name: history_start
-- The start that a row which lost knows, if it is of the same try.
UPDATE history SET started_at = ?
WHERE deployment = ? AND dag_id = ? AND run_id = ? AND task_id = ? AND map_index = ? AND try_number = ?
    AND (started_at IS NULL OR started_at > ?)

-- name: history
SELECT deployment, dag_id, run_id, task_id, map_index, try_number, state, time, started_at, ended_at, error
FROM history WHERE deployment = :deployment AND dag_id = :dag_id AND run_id = :run_id ORDER BY task_id, map_index

-- name: dead_letter_add
INSERT INTO dead_letter (at, body) VALUES (?, ?)

-- name: dead_letters
SELECT body FROM dead_letter ORDER BY seq DESC LIMIT :limit

-- name: head
SELECT position FROM journal_head

-- name: head_move
UPDATE journal_head SET position = position + :count RETURNING position

-- name: journal_add
INSERT INTO journal (first_position, count, at, body) VALUES (?, ?, ?, ?)

-- name: journal_read
SELECT first_position, count, at, body FROM journal
WHERE first_position >= coalesce((SELECT max(first_position) FROM journal WHERE first_position <= :after + 1), 0)
    AND first_position <= :after + :limit AND first_position + count > :after + 1
ORDER BY first_position

-- name: journal_next
SELECT min(first_position) FROM journal WHERE first_position > :after

-- name: lease_take
UPDATE lease SET owner = :owner, epoch = epoch + 1 RETURNING epoch

-- name: lease_owner
SELECT owner FROM lease

-- name: lease_held
SELECT 1 FROM lease WHERE owner = :owner AND epoch = :epoch

-- name: lease_release
UPDATE lease SET owner = '' WHERE owner = :owner AND epoch = :epoch

-- name: controller
SELECT position, frozen FROM controller

-- name: controller_move
UPDATE controller SET position = :position, frozen = coalesce(:frozen, frozen)

-- name: freeze
UPDATE controller SET frozen = :frozen

-- name: restored
SELECT restored_position FROM controller

-- name: restored_set
UPDATE controller SET restored_position = :position

-- name: timers
SELECT key, body FROM timer

-- name: timer_set
INSERT INTO timer (key, count, body) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET count = excluded.count, body = excluded.body

-- name: timer_drop
DELETE FROM timer WHERE key = ?

-- name: state
SELECT body FROM key_state WHERE key = :key

-- name: state_set
INSERT INTO key_state (key, body) VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body

-- name: state_drop
DELETE FROM key_state WHERE key = ?

-- name: rule_set_put
INSERT INTO rule_set (content_hash, body) VALUES (:content_hash, :body) ON CONFLICT DO NOTHING

-- name: rule_set
SELECT body FROM rule_set WHERE content_hash = :content_hash

-- name: action_add
INSERT INTO outbox (id, lane, kind, incident, replaces, at, not_before, uncertain, doubtful, body)
VALUES (:id, :lane, :kind, :incident, :replaces, :at, :not_before, :doubtful, :doubtful, :body) ON CONFLICT DO NOTHING

-- name: action_supersede
UPDATE outbox SET state = 'refused', detail = 'superseded', at = :at
WHERE lane = :lane AND replaces = :replaces AND state = 'pending' AND id <> :id AND NOT doubtful

-- name: action_cancel
UPDATE outbox SET state = 'refused', detail = :reason, at = :at
WHERE id = :id AND state = 'pending' AND NOT doubtful RETURNING body

-- name: action_doubt
-- Questions stay as they are: asking again changes nothing.
UPDATE outbox SET state = 'pending', token = '', not_before = 0, tries = 0, uncertain = 1, doubtful = 1
WHERE state IN ('pending', 'claimed')
    AND kind NOT IN ('airflow.look', 'airflow.sweep', 'airflow.survey', 'airflow.log', 'preview', 'report')

-- name: claimable
-- The head of each lane that has no live claim; of a lane whose head is a look, every look. head_kind is the kind of
-- the row with the least seq, which SQLite promises as long as min is the only min or max of the query.
WITH lane AS (
    SELECT lane, min(seq) AS head, kind AS head_kind FROM outbox WHERE state IN ('pending', 'claimed')
    GROUP BY lane HAVING total(state = 'claimed' AND until > :now) = 0
), offered AS (
    SELECT lane.head, one.seq FROM lane JOIN outbox AS one ON one.lane = lane.lane
        AND one.state IN ('pending', 'claimed') AND one.not_before <= :now
        AND (one.seq = lane.head OR (lane.head_kind = 'airflow.look' AND one.kind = 'airflow.look'))
    ORDER BY lane.head, one.seq LIMIT :limit
)
SELECT outbox.seq, state, tries, uncertain, body FROM offered JOIN outbox ON outbox.seq = offered.seq
ORDER BY offered.head, outbox.seq

-- name: claim_take
UPDATE outbox SET state = 'claimed', token = ?, until = ?, uncertain = ? WHERE seq = ?

-- name: claim_until
SELECT until, doubtful FROM outbox WHERE id = :id AND state = 'claimed' AND token = :token

-- name: claim_finish
UPDATE outbox SET state = :state, detail = :detail, at = :at, token = ''
WHERE id = :id AND state = 'claimed' AND token = :token

-- name: claim_delete
DELETE FROM outbox WHERE id = :id AND state = 'claimed' AND token = :token

-- name: claim_postpone
UPDATE outbox SET state = 'pending', token = '', not_before = :not_before, detail = :detail, tries = tries + 1,
    uncertain = max(uncertain, :uncertain)
WHERE id = :id AND state = 'claimed' AND token = :token

-- name: rate_count
INSERT INTO rate AS known (target, minute, count)
SELECT CAST(:target AS TEXT), CAST(:minute AS BIGINT), 1 WHERE CAST(:allowed AS BIGINT) > 0
ON CONFLICT (target) DO UPDATE
SET count = CASE WHEN known.minute = excluded.minute THEN known.count + 1 ELSE 1 END, minute = excluded.minute
WHERE CASE WHEN known.minute = excluded.minute THEN known.count ELSE 0 END < CAST(:allowed AS BIGINT)

-- name: incident_put
INSERT INTO incident (id, episode, phase, updated_at, body) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET phase = excluded.phase, updated_at = excluded.updated_at, body = excluded.body

-- name: incidents
SELECT body FROM incident ORDER BY updated_at DESC, id, episode LIMIT :limit

-- name: incidents_open
SELECT body FROM incident WHERE phase <> 'resolved' ORDER BY updated_at DESC, id, episode LIMIT :limit

-- name: incident
SELECT body FROM incident WHERE id = :id ORDER BY episode DESC LIMIT 1

-- name: incident_ids
SELECT DISTINCT id FROM incident WHERE id >= :prefix AND id < :prefix || char(1114111) LIMIT 2

-- name: decision_add
INSERT INTO decision (incident, at, body) VALUES (?, ?, ?)

-- name: decisions
SELECT body FROM decision WHERE incident = :incident ORDER BY seq DESC LIMIT :limit

-- name: actions
SELECT body, state, tries, detail, at FROM outbox ORDER BY seq DESC LIMIT :limit

-- name: actions_of
SELECT body, state, tries, detail, at FROM outbox WHERE incident = :incident AND incident <> ''
ORDER BY seq DESC LIMIT :limit

-- name: sizes
SELECT (SELECT position FROM journal_head), (SELECT position FROM controller), (SELECT frozen FROM controller),
    (SELECT coalesce(sum(count), 0) FROM journal), (SELECT count(*) FROM dead_letter),
    (SELECT count(*) FROM incident WHERE phase <> 'resolved'), (SELECT coalesce(sum(count), 0) FROM timer),
    (SELECT at FROM journal WHERE first_position + count > (SELECT position FROM controller) + 1
        AND first_position >= coalesce((SELECT max(first_position) FROM journal
            WHERE first_position <= (SELECT position FROM controller) + 1), 0) ORDER BY first_position LIMIT 1)

-- name: outbox_sizes
SELECT kind, state, count(*) FROM outbox GROUP BY kind, state

-- name: snapshot_add
INSERT INTO snapshot (position, at) SELECT position, :at FROM controller WHERE true ON CONFLICT DO NOTHING

-- name: snapshot_states
INSERT INTO snapshot_state (position, key, body) SELECT :position, key, body FROM key_state

-- name: snapshot_timers
INSERT INTO snapshot_timer (position, key, body) SELECT :position, key, body FROM timer

-- name: snapshot_drop
DELETE FROM snapshot WHERE position NOT IN (SELECT position FROM snapshot ORDER BY position DESC LIMIT 2)

-- name: snapshot_state_drop
DELETE FROM snapshot_state WHERE position NOT IN (SELECT position FROM snapshot)

-- name: snapshot_timer_drop
DELETE FROM snapshot_timer WHERE position NOT IN (SELECT position FROM snapshot)

-- name: snapshot_oldest
SELECT min(position) FROM snapshot

-- name: snapshot_load
SELECT key, body FROM snapshot_state WHERE position = :position

-- name: snapshot_load_timers
SELECT key, body FROM snapshot_timer WHERE position = :position

-- name: prune_journal
DELETE FROM journal WHERE first_position IN (
    SELECT first_position FROM journal
    WHERE at < :before AND first_position + count - 1 <= coalesce((SELECT min(position) FROM snapshot), 0)
    ORDER BY at LIMIT :limit)

-- name: prune_decision
DELETE FROM decision WHERE seq IN (SELECT seq FROM decision WHERE at < :before ORDER BY at LIMIT :limit)

-- name: prune_dead_letter
DELETE FROM dead_letter WHERE seq IN (SELECT seq FROM dead_letter WHERE at < :before ORDER BY at LIMIT :limit)

-- name: prune_incident
DELETE FROM incident WHERE rowid IN (
    SELECT rowid FROM incident WHERE updated_at < :before AND phase = 'resolved' ORDER BY updated_at LIMIT :limit)

-- name: prune_history
DELETE FROM history WHERE rowid IN (SELECT rowid FROM history WHERE time < :before ORDER BY time LIMIT :limit)

-- name: prune_outbox
DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM outbox WHERE state IN ('delivered', 'refused', 'unknown') AND at < :outbox_before
    ORDER BY at LIMIT :limit)

-- name: audit_head
SELECT seq, hash, anchor_seq, anchor_hash FROM audit_head

-- name: audit_add
INSERT INTO audit (seq, at, body, prev_hash, hash) VALUES (?, ?, ?, ?, ?)

-- name: audit_move
UPDATE audit_head SET seq = :seq, hash = :hash

-- name: audit_read
SELECT seq, at, CAST(body AS BLOB), prev_hash, hash FROM audit WHERE seq > :after AND at >= :since ORDER BY seq LIMIT :limit

-- name: audit_old
-- The last of the oldest rows that may go: all before it are older than :before, too.
SELECT seq, hash FROM audit
WHERE seq < coalesce((SELECT seq FROM audit WHERE at >= :before ORDER BY seq LIMIT 1), (SELECT max(seq) + 1 FROM audit))
    AND seq < (SELECT min(seq) FROM audit) + :limit
ORDER BY seq DESC LIMIT 1

-- name: audit_drop
DELETE FROM audit WHERE seq <= :last

-- name: audit_anchor
UPDATE audit_head SET anchor_seq = :last, anchor_hash = :hash

-- name: answer_add
INSERT INTO answer (proposal, command, actor, at) VALUES (:proposal, :command, :actor, :at) ON CONFLICT DO NOTHING

-- name: answer
SELECT proposal, command, actor, at FROM answer WHERE proposal = :proposal

-- name: prune_answer
DELETE FROM answer WHERE proposal IN (SELECT proposal FROM answer WHERE at < :before ORDER BY at LIMIT :limit)

-- name: decisions_since
SELECT seq, body FROM decision WHERE at >= :since AND (at > :since OR seq > :after) ORDER BY at, seq LIMIT :limit
