-- The statements of the PostgreSQL store, each under its name. :name becomes $1, $2, … in queries.positional.

-- name: progress
SELECT partition, next_offset FROM progress WHERE feed = :feed AND topic = :topic

-- name: progress_start
INSERT INTO progress (feed, topic, partition, next_offset) VALUES (:feed, :topic, :partition, :next_offset)
ON CONFLICT DO NOTHING RETURNING 1

-- name: progress_move
UPDATE progress SET next_offset = :next_offset
WHERE feed = :feed AND topic = :topic AND partition = :partition AND next_offset = :expected RETURNING 1

-- name: history_merge
-- lattice.merge in SQL: the greater order wins whole, the earliest start of one try is kept. Locks every row it
-- meets, also where the report loses; the rows come sorted, so that two writers cannot wait for each other.
INSERT INTO history
    (deployment, dag_id, run_id, task_id, map_index, try_number, rank, time, state, ended_at, error, started_at)
SELECT * FROM unnest(:deployment::text[], :dag_id::text[], :run_id::text[], :task_id::text[], :map_index::bigint[],
    :try_number::bigint[], :rank::bigint[], :time::bigint[], :state::text[], :ended_at::bigint[], :error::text[],
    :started_at::bigint[])
ON CONFLICT (dag_id, run_id, deployment, task_id, map_index) DO UPDATE SET
    try_number = excluded.try_number, rank = excluded.rank, time = excluded.time, state = excluded.state,
    ended_at = excluded.ended_at, error = excluded.error,
    started_at = CASE WHEN excluded.try_number > history.try_number THEN excluded.started_at
        ELSE least(excluded.started_at, history.started_at) END
WHERE (excluded.try_number, excluded.rank, excluded.time, excluded.state,
        coalesce(excluded.ended_at, -1), excluded.error IS NOT NULL, coalesce(excluded.error, ''))
    > (history.try_number, history.rank, history.time, history.state,
        coalesce(history.ended_at, -1), history.error IS NOT NULL, coalesce(history.error, ''))

-- name: history_start
-- The start that a row which lost knows, if it is of the same try.
UPDATE history AS kept SET started_at = told.started_at
FROM unnest(:deployment::text[], :dag_id::text[], :run_id::text[], :task_id::text[], :map_index::bigint[],
    :try_number::bigint[], :started_at::bigint[])
    AS told (deployment, dag_id, run_id, task_id, map_index, try_number, started_at)
WHERE kept.dag_id = told.dag_id AND kept.run_id = told.run_id AND kept.deployment = told.deployment
    AND kept.task_id = told.task_id AND kept.map_index = told.map_index AND kept.try_number = told.try_number
    AND (kept.started_at IS NULL OR kept.started_at > told.started_at)

-- name: history
SELECT deployment, dag_id, run_id, task_id, map_index, try_number, state, time, started_at, ended_at, error
FROM history WHERE deployment = :deployment AND dag_id = :dag_id AND run_id = :run_id ORDER BY task_id, map_index

-- name: dead_letter_add
INSERT INTO dead_letter (at, body) SELECT :at::bigint, body FROM unnest(:bodies::bytea[]) AS body

-- name: dead_letters
SELECT body FROM dead_letter ORDER BY seq DESC LIMIT :limit

-- name: head
SELECT position FROM journal_head

-- name: journal_add
-- The lock on the counter is held until the commit, so that positions become visible in order.
WITH moved AS (UPDATE journal_head SET position = position + :total::bigint RETURNING position),
own AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now)
INSERT INTO journal (first_position, count, at, body)
SELECT moved.position - :total::bigint + part.first, part.count,
    CASE WHEN :at::bigint > own.now + :ahead::bigint THEN own.now ELSE :at::bigint END, part.body
FROM moved, own, unnest(:firsts::bigint[], :counts::bigint[], :bodies::bytea[]) AS part (first, count, body)
RETURNING first_position + count - 1

-- name: journal_read
SELECT first_position, count, at, body FROM journal
WHERE first_position >= coalesce(
        (SELECT max(first_position) FROM journal WHERE first_position <= :after::bigint + 1), 0)
    AND first_position <= :after::bigint + :limit::bigint AND first_position + count > :after::bigint + 1
ORDER BY first_position

-- name: journal_next
SELECT min(first_position) FROM journal WHERE first_position > :after

-- name: clock
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: lease_take
UPDATE lease SET owner = :owner, epoch = epoch + 1,
    until = clock_timestamp() + :duration::bigint * interval '1 microsecond'
WHERE owner IN ('', :owner) OR until <= clock_timestamp() RETURNING epoch

-- name: lease_renew
UPDATE lease SET until = clock_timestamp() + :duration::bigint * interval '1 microsecond'
WHERE owner = :owner AND epoch = :epoch RETURNING 1

-- name: lease_fence
-- Until this transaction ends, nobody else can take the lease.
UPDATE lease SET epoch = epoch WHERE owner = :owner AND epoch = :epoch RETURNING 1

-- name: lease_release
UPDATE lease SET owner = '', until = '-infinity' WHERE owner = :owner AND epoch = :epoch

-- name: position
SELECT position FROM controller

-- name: controller_move
UPDATE controller SET position = :position

-- name: freeze
UPDATE freeze_flag SET frozen = :frozen

-- name: frozen
SELECT frozen FROM freeze_flag

-- name: restored
SELECT restored_position FROM freeze_flag

-- name: restored_set
UPDATE freeze_flag SET restored_position = :position

-- name: timers
SELECT key, body FROM timer

-- name: timer_set
INSERT INTO timer (key, count, body) SELECT * FROM unnest(:keys::text[], :counts::bigint[], :bodies::bytea[])
ON CONFLICT (key) DO UPDATE SET count = excluded.count, body = excluded.body

-- name: timer_drop
DELETE FROM timer WHERE key = ANY(:keys::text[])

-- name: states
SELECT key, body FROM key_state WHERE key = ANY(:keys::text[])

-- name: state_set
INSERT INTO key_state (key, body) SELECT * FROM unnest(:keys::text[], :bodies::bytea[])
ON CONFLICT (key) DO UPDATE SET body = excluded.body

-- name: state_drop
DELETE FROM key_state WHERE key = ANY(:keys::text[])

-- name: rule_set_put
INSERT INTO rule_set (content_hash, body) VALUES (:content_hash, :body) ON CONFLICT DO NOTHING

-- name: rule_set
SELECT body FROM rule_set WHERE content_hash = :content_hash

-- name: action_add
INSERT INTO outbox (id, lane, kind, incident, replaces, at, not_before, uncertain, doubtful, body)
VALUES (:id, :lane, :kind, :incident, :replaces, :at, :not_before, :doubtful, :doubtful, :body)
ON CONFLICT DO NOTHING RETURNING 1

-- name: action_supersede
UPDATE outbox SET state = 'refused', detail = 'superseded', at = :at
WHERE lane = :lane AND replaces = :replaces AND state = 'pending' AND id <> :id AND NOT doubtful

-- name: action_cancel
UPDATE outbox SET state = 'refused', detail = :reason, at = :at
WHERE id = :id AND state = 'pending' AND NOT doubtful RETURNING body

-- name: action_doubt
-- Questions stay as they are: asking again changes nothing.
UPDATE outbox SET state = 'pending', token = '', not_before = 0, tries = 0, uncertain = true, doubtful = true
WHERE state IN ('pending', 'claimed')
    AND kind NOT IN ('airflow.look', 'airflow.sweep', 'airflow.survey', 'airflow.log', 'preview', 'report')
RETURNING 1

-- name: claim_turn
-- One claims at a time: what another takes from a lane must be seen before the lane gives more.
SELECT pg_advisory_xact_lock('outbox'::regclass::oid::bigint)

-- name: claim_take
-- The head of each lane that has no live claim; of a lane whose head is a look, every look.
-- Rows that a step is just cancelling are left for the next claim.
WITH waiting AS (
    SELECT seq, kind, not_before, min(seq) OVER lane AS head,
        bool_or(state = 'claimed' AND until > :now) OVER lane AS is_busy,
        first_value(kind) OVER (PARTITION BY lane ORDER BY seq) AS head_kind
    FROM outbox WHERE state IN ('pending', 'claimed') WINDOW lane AS (PARTITION BY lane)
), offered AS (
    SELECT seq, head FROM waiting
    WHERE NOT is_busy AND not_before <= :now
        AND (seq = head OR (head_kind = 'airflow.look' AND kind = 'airflow.look'))
    ORDER BY head, seq LIMIT :limit
), picked AS (
    SELECT one.seq, offered.head, one.state FROM offered JOIN outbox AS one ON one.seq = offered.seq
    WHERE one.state = 'pending' OR (one.state = 'claimed' AND one.until <= :now)
    FOR UPDATE OF one SKIP LOCKED
)
UPDATE outbox SET state = 'claimed', token = :token || '#' || outbox.seq, until = :until,
    uncertain = outbox.uncertain OR picked.state = 'claimed'
FROM picked WHERE outbox.seq = picked.seq
RETURNING picked.head, outbox.seq, outbox.token, outbox.uncertain, outbox.tries, outbox.body

-- name: claim_until
SELECT until, doubtful FROM outbox WHERE id = :id AND state = 'claimed' AND token = :token

-- name: claim_finish
UPDATE outbox SET state = :state, detail = :detail, at = :at, token = ''
WHERE id = :id AND state = 'claimed' AND token = :token RETURNING 1

-- name: claim_delete
DELETE FROM outbox WHERE id = :id AND state = 'claimed' AND token = :token RETURNING 1

-- name: claim_postpone
UPDATE outbox SET state = 'pending', token = '', not_before = :not_before, detail = :detail, tries = tries + 1,
    uncertain = uncertain OR :uncertain
WHERE id = :id AND state = 'claimed' AND token = :token RETURNING 1

-- name: rate_count
INSERT INTO rate AS known (target, minute, count)
SELECT CAST(:target AS TEXT), CAST(:minute AS BIGINT), 1 WHERE CAST(:allowed AS BIGINT) > 0
ON CONFLICT (target) DO UPDATE
SET count = CASE WHEN known.minute = excluded.minute THEN known.count + 1 ELSE 1 END, minute = excluded.minute
WHERE CASE WHEN known.minute = excluded.minute THEN known.count ELSE 0 END < CAST(:allowed AS BIGINT) RETURNING 1

-- name: incident_put
INSERT INTO incident (id, episode, phase, updated_at, body) VALUES (:id, :episode, :phase, :updated_at, :body)
ON CONFLICT (id, episode) DO UPDATE SET phase = excluded.phase, updated_at = excluded.updated_at, body = excluded.body

-- name: incidents
SELECT body FROM incident ORDER BY updated_at DESC, id, episode LIMIT :limit

-- name: incidents_open
SELECT body FROM incident WHERE phase <> 'resolved' ORDER BY updated_at DESC, id, episode LIMIT :limit

-- name: incident
SELECT body FROM incident WHERE id = :id ORDER BY episode DESC LIMIT 1

-- name: incident_ids
SELECT DISTINCT id FROM incident WHERE id >= :prefix AND id < :prefix || chr(1114111) LIMIT 2

-- name: decision_add
INSERT INTO decision (incident, at, body)
SELECT told.incident, told.at, told.body
FROM unnest(:incidents::text[], :ats::bigint[], :bodies::bytea[]) WITH ORDINALITY AS told (incident, at, body, place)
ORDER BY told.place

-- name: decisions
SELECT body FROM decision WHERE incident = :incident ORDER BY seq DESC LIMIT :limit

-- name: actions
SELECT body, state, tries, detail, at FROM outbox ORDER BY seq DESC LIMIT :limit

-- name: actions_of
SELECT body, state, tries, detail, at FROM outbox WHERE incident = :incident AND incident <> ''
ORDER BY seq DESC LIMIT :limit

-- name: sizes
SELECT (SELECT position FROM journal_head), (SELECT position FROM controller), (SELECT frozen FROM freeze_flag),
    (SELECT coalesce(sum(count), 0)::bigint FROM journal), (SELECT count(*) FROM dead_letter),
    (SELECT count(*) FROM incident WHERE phase <> 'resolved'),
    (SELECT coalesce(sum(count), 0)::bigint FROM timer),
    (SELECT at FROM journal WHERE first_position + count > (SELECT position FROM controller) + 1
        AND first_position >= coalesce((SELECT max(first_position) FROM journal
            WHERE first_position <= (SELECT position FROM controller) + 1), 0) ORDER BY first_position LIMIT 1)

-- name: outbox_sizes
SELECT kind, state, count(*) FROM outbox GROUP BY kind, state

-- name: snapshot_add
INSERT INTO snapshot (position, at) SELECT position, :at::bigint FROM controller ON CONFLICT DO NOTHING RETURNING 1

-- name: snapshot_states
INSERT INTO snapshot_state (position, key, body) SELECT :position::bigint, key, body FROM key_state

-- name: snapshot_timers
INSERT INTO snapshot_timer (position, key, body) SELECT :position::bigint, key, body FROM timer

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
    ORDER BY at LIMIT :limit) RETURNING 1

-- name: prune_decision
DELETE FROM decision WHERE seq IN (SELECT seq FROM decision WHERE at < :before ORDER BY at LIMIT :limit) RETURNING 1

-- name: prune_dead_letter
DELETE FROM dead_letter WHERE seq IN (
    SELECT seq FROM dead_letter WHERE at < :before ORDER BY at LIMIT :limit) RETURNING 1

-- name: prune_incident
DELETE FROM incident WHERE (id, episode) IN (
    SELECT id, episode FROM incident WHERE updated_at < :before AND phase = 'resolved'
    ORDER BY updated_at LIMIT :limit) RETURNING 1

-- name: prune_history
-- The rows that a matcher is just writing are young again: they are passed over, not waited for.
DELETE FROM history WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM history WHERE time < :before ORDER BY time LIMIT :limit FOR UPDATE SKIP LOCKED)) RETURNING 1

-- name: prune_outbox
DELETE FROM outbox WHERE seq IN (
    SELECT seq FROM outbox WHERE state IN ('delivered', 'refused', 'unknown') AND at < :outbox_before
    ORDER BY at LIMIT :limit) RETURNING 1

-- name: audit_lock
-- Held until the commit, so that links are chained in the order in which they become visible. Always taken right
-- before the journal's counter.
SELECT seq, hash, anchor_seq, anchor_hash FROM audit_head FOR UPDATE

-- name: audit_head
SELECT seq, hash, anchor_seq, anchor_hash FROM audit_head

-- name: audit_add
WITH moved AS (UPDATE audit_head SET seq = :seq, hash = :hash)
INSERT INTO audit (seq, at, body, prev_hash, hash)
SELECT * FROM unnest(:seqs::bigint[], :ats::bigint[], :bodies::bytea[], :prev_hashes::text[], :hashes::text[])

-- name: audit_read
SELECT seq, at, body, prev_hash, hash FROM audit WHERE seq > :after AND at >= :since ORDER BY seq LIMIT :limit

-- name: audit_old
-- The last of the oldest rows that may go: all before it are older than :before, too.
SELECT seq, hash FROM audit
WHERE seq < coalesce((SELECT seq FROM audit WHERE at >= :before ORDER BY seq LIMIT 1), (SELECT max(seq) + 1 FROM audit))
    AND seq < (SELECT min(seq) FROM audit) + :limit
ORDER BY seq DESC LIMIT 1

-- name: audit_drop
DELETE FROM audit WHERE seq <= :last RETURNING 1

-- name: audit_anchor
UPDATE audit_head SET anchor_seq = :last, anchor_hash = :hash

-- name: answer_add
INSERT INTO answer (proposal, command, actor, at) VALUES (:proposal, :command, :actor, :at)
ON CONFLICT DO NOTHING RETURNING 1

-- name: answer
SELECT proposal, command, actor, at FROM answer WHERE proposal = :proposal

-- name: prune_answer
DELETE FROM answer WHERE proposal IN (
    SELECT proposal FROM answer WHERE at < :before ORDER BY at LIMIT :limit) RETURNING 1

-- name: decisions_since
SELECT seq, body FROM decision WHERE at >= :since AND (at > :since OR seq > :after) ORDER BY at, seq LIMIT :limit
