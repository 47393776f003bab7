"""The store port: what every store must do, and in which order it must become visible.

Owns the contract. Each method is one transaction: all of it happens or none. No method decides anything about
pipelines. `now` is always the caller's clock, except for the lease, whose clock is the store's own, and for journal
entries, whose `at` a store with a clock of its own sets to that one if the caller's runs more than `AHEAD` before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from remediator.model.action import Action
from remediator.model.incident import Incident
from remediator.model.inputs import Entry, Input, Pressed
from remediator.model.reasons import Decision
from remediator.model.record import DeadLetter
from remediator.model.time import SECOND, Duration, Instant
from remediator.store.audit import AuditEntry, AuditPage

AHEAD: Duration = 60 * SECOND
"""One process whose clock is a day ahead would move the journalled now, which never goes back, for all of them."""
Timer = tuple[str, Instant]
"""(clock, at). clock: 'now', 'feed:<name>' (its watermark) or 'thaw'. At most one per key and clock."""

STATE_RANK: dict[str, int] = {"started": 1, "skipped": 2, "success": 3, "failed": 4}
"""The order in which states of one try win over each other in the history, whatever order they arrive in."""


class StoreError(Exception):
    """The store could not do it (full, locked, unreachable). Nothing of the transaction happened; try again."""


class Fenced(Exception):  # noqa: N818  (a state of affairs, not a fault)
    """Another controller holds the lease now. Nothing was written; drop all cached state."""


class HistoryRow(msgspec.Struct, frozen=True):
    """What became of one task instance, or of a dagrun (`task_id` ''); `try_number` is then its clear number.

    Merged as a lattice: greater (try_number, STATE_RANK[state], time) wins whole; started_at of one try is kept.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    state: str
    time: Instant
    started_at: Instant | None = None
    ended_at: Instant | None = None
    error: str | None = None


class MatcherBatch(msgspec.Struct, frozen=True):
    """All that came of the records [expected, next_offset) of one partition."""

    feed: str
    topic: str
    partition: int
    expected: int | None
    next_offset: int
    at: Instant
    inputs: Sequence[Input] = ()
    history: Sequence[HistoryRow] = ()
    dead_letters: Sequence[DeadLetter] = ()


class Lease(msgspec.Struct, frozen=True):
    """Who may decide. A commit under an epoch that is no longer the store's raises Fenced."""

    owner: str
    epoch: int


class StepCommit(msgspec.Struct, frozen=True):
    """All that came of the journal entries up to and including `position`.

    states: key -> encoded state, None to delete. timers: key -> all its timers, replacing the earlier ones.
    cancels: (action id, reason): a pending, unclaimed action becomes refused, and Performed(Refused(reason)) is
        appended to the journal; one that is claimed, done or to be proved is left alone.
    frozen: the new value of the freeze flag, None to leave it.
    audit: action id -> the audit entry that documents it, written if the action is new. A cancel of an action that is
        audited is documented by the store itself, if it was in time.
    """

    position: int
    at: Instant
    states: dict[str, bytes | None] = {}
    timers: dict[str, tuple[Timer, ...]] = {}
    actions: Sequence[Action] = ()
    cancels: Sequence[tuple[str, str]] = ()
    incidents: Sequence[Incident] = ()
    decisions: Sequence[Decision] = ()
    frozen: bool | None = None
    audit: dict[str, AuditEntry] = {}


class ControllerStart(msgspec.Struct, frozen=True):
    """Where a new controller goes on: the committed position and every timer."""

    position: int
    timers: dict[str, tuple[Timer, ...]]


class Claim(msgspec.Struct, frozen=True):
    """An action in a dispatcher's hands until `until`.

    uncertain: an earlier claim or call may have acted already; whoever performs it must look first or be keyed.
    tries: how many calls of it have ended in RetryAfter.
    """

    action: Action
    token: str
    until: Instant
    uncertain: bool
    tries: int


class Go(StrEnum):
    """May the claimed action be performed now?"""

    YES = "yes"
    LOST = "lost"
    FROZEN = "frozen"
    EXPIRED = "expired"
    RATE = "rate"
    PROVE = "prove"
    """Never to be done: the store came from a backup that held it, and what became of it is to be found out."""


class ActionRow(msgspec.Struct, frozen=True):
    """An outbox row as people see it. state: pending, claimed, delivered, refused, unknown."""

    action: Action
    state: str
    tries: int
    detail: str
    at: Instant


class Answer(msgspec.Struct, frozen=True):
    """The first answer that a person gave to a proposal. is_new: it was written by the call that returns it."""

    proposal: str
    command: str
    actor: str
    at: Instant
    is_new: bool = False


class Counts(msgspec.Struct, frozen=True):
    """The store's size, for status and metrics."""

    journal_head: int
    controller_position: int
    journal_rows: int
    dead_letters: int
    outbox: dict[str, dict[str, int]]
    incidents_open: int
    timers: int
    frozen: bool
    oldest_unprocessed_at: Instant | None


class Store(Protocol):
    """Contract of every store. Errors of the medium are StoreError; nothing else is raised but Fenced."""

    async def open(self) -> None:
        """Connect and migrate to the newest schema. Raises StoreError with one clear line."""

    async def close(self) -> None:
        """Let go of everything. Idempotent."""

    async def now(self) -> Instant | None:
        """The store's own clock, which all who share it can follow; None: it has none, there is one process."""

    # -- matcher ------------------------------------------------------------------------------------------------

    async def progress(self, feed: str, topic: str) -> dict[int, int]:
        """Partition -> next offset to read. A partition that was never committed is absent."""

    async def commit_batch(self, batch: MatcherBatch) -> bool:
        """Write all of the batch and move progress from `expected` (None: no row yet) to `next_offset`.

        False, and nothing written, if progress is not at `expected`: another owner has the partition now.
        """

    # -- journal ------------------------------------------------------------------------------------------------

    async def append(
        self, inputs: Sequence[Input], at: Instant, *, frozen: bool | None = None, audit: Sequence[AuditEntry] = ()
    ) -> int:
        """Append inputs, return the last one's position. `frozen` sets the freeze flag, `audit` adds to the chain, in
        the same transaction.

        Positions start at 1, have no holes, and become visible in order: whoever has read up to position p never
        later finds an entry at or below p, however many writers commit side by side.
        """

    async def answer(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> Answer:
        """Append a person's answer to the proposal `pressed.subject` and its audit entry, if it is the first one.

        Otherwise nothing is written and the first one is returned: a repeated call changes nothing.
        """

    async def answered(self, proposal: str) -> Answer | None:
        """The answer that was given to a proposal, None if there is none, or not any more."""

    async def restored(self, pressed: Pressed, at: Instant, audit: AuditEntry) -> int:
        """This store is a backup put back: set the freeze flag, give every unfinished action that is no question back
        as one to be proved (`Go.PROVE`), and append `pressed` with their number, and its audit entry. Returns how many.

        An earlier life of the store may have decided on the entries before that one, too: see `commit_step`.
        """

    async def read_journal(self, after: int, limit: int) -> list[Entry]:
        """Entries with position > after, in order: at least one if there is any, about `limit`, never more than
        limit + the size of one append."""

    # -- lease --------------------------------------------------------------------------------------------------

    async def acquire_lease(self, owner: str, duration: Duration) -> Lease | None:
        """The lease with a new, higher epoch, if nobody else's is alive; None otherwise."""

    async def renew_lease(self, lease: Lease, duration: Duration) -> bool:
        """False if it was lost."""

    async def release_lease(self, lease: Lease) -> None:
        """Give it up at once, if it is still held."""

    # -- controller ---------------------------------------------------------------------------------------------

    async def controller_start(self) -> ControllerStart:
        """The committed position and every timer."""

    async def load_states(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The committed states of those keys that have one."""

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        """Write all of it under the lease's epoch. Raises Fenced, having written nothing, if it is not current.

        An action whose id is already in the outbox is left as it is (its cause was handled before). A new action
        with `replaces` supersedes pending, unclaimed actions of the same lane and value: they become refused with
        detail 'superseded' without a journal entry. A new one that is no question is to be proved (`Go.PROVE`) if
        `position` is before the latest `restored`: the earlier life of the store may have done it. So a step never
        goes on from before that entry to beyond it.
        """

    async def put_rule_set(self, content_hash: str, body: bytes) -> None:
        """Keep a rule set by its content hash. Idempotent."""

    async def rule_set(self, content_hash: str) -> bytes | None:
        """The body that was kept, if any."""

    # -- outbox -------------------------------------------------------------------------------------------------

    async def claim(self, worker: str, now: Instant, duration: Duration, limit: int) -> list[Claim]:
        """Claim due actions (not_before <= now), oldest lane head first, until now + duration.

        A lane gives its oldest unfinished action only; none while that one is claimed and the claim is alive.
        Exception: a lane whose head is a question ('airflow.look') gives all its due looks at once, so that they
        can be coalesced. A claim that has run out is given again, with uncertain=True and a new token.
        """

    async def confirm(self, claim: Claim, now: Instant, changes_per_minute: int) -> Go:
        """Asked right before the call. LOST if the token is not the row's or the claim has run out; PROVE if the row
        was there when the store was restored from a backup, or came of what its journal held then; FROZEN if the
        action changes a target and the freeze flag is set; EXPIRED if now > not_after; RATE if the action changes a
        target and that target's count of this minute, which all who share the store have in common, is used up (a YES
        counts). Otherwise YES.
        """

    async def finish(
        self,
        claim: Claim,
        result: Input | None,
        state: str,
        detail: str,
        at: Instant,
        audit: AuditEntry | None = None,
    ) -> bool:
        """End the action with `state` and append `result` (if any) to the journal. Rows of questions are deleted.
        `audit` (if any) is added to the chain.

        False, and nothing written, if the token is not the row's any more: the result is somebody else's to tell.
        """

    async def postpone(self, claim: Claim, not_before: Instant, *, uncertain: bool, detail: str) -> bool:
        """Give the action back for later, one try older; `uncertain` is sticky. False if the token is lost."""

    # -- read side ----------------------------------------------------------------------------------------------

    async def incidents(self, *, open_only: bool, limit: int) -> list[Incident]:
        """Latest updated first."""

    async def incident(self, incident_id: str) -> Incident | None:
        """The latest episode of one incident; `incident_id` may be a prefix that is unique."""

    async def decisions(self, incident_id: str, limit: int) -> list[Decision]:
        """The story of one incident, in order."""

    async def decisions_since(self, since: Instant, after: int, limit: int) -> list[tuple[int, Decision]]:
        """(number, decision) of all incidents, by time and number: those after (since, after).

        Pages: begin with after=0, go on with the `at` and the number of the last one.
        """

    async def actions(self, incident_id: str, limit: int) -> list[ActionRow]:
        """The outbox rows of one incident ('' for all), in order of creation."""

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Latest first."""

    async def history(self, deployment: str, dag_id: str, run_id: str) -> list[HistoryRow]:
        """What is known of one dagrun and its task instances."""

    async def audit(self, after: int, limit: int, since: Instant = 0) -> AuditPage:
        """Links of the audit chain with number > after, and written at or after `since`, in order."""

    async def counts(self) -> Counts:
        """Sizes and positions."""

    # -- retention ----------------------------------------------------------------------------------------------

    async def snapshot(self, lease: Lease, at: Instant) -> int:
        """Keep a copy of every key state and timer at the committed position; return that position.

        Keeps the latest two snapshots. Raises Fenced.
        """

    async def load_snapshot(self) -> tuple[int, dict[str, bytes]] | None:
        """(position, states) of the oldest kept snapshot: where a replay may start."""

    async def snapshot_timers(self, position: int) -> dict[str, tuple[Timer, ...]]:
        """All timers that were kept with the snapshot at this position."""

    async def prune(self, before: Instant, outbox_before: Instant, limit: int) -> int:
        """Delete at most `limit` rows: journal rows older than `before` and not above the oldest kept snapshot,
        decisions, resolved incidents, history, dead letters and answers older than `before`, finished outbox rows
        older than `outbox_before`. Returns how many went; call again until 0."""

    async def prune_audit(self, before: Instant, at: Instant, limit: int) -> int:
        """Delete the oldest links, at most `limit`, up to the first one that is not older than `before`.

        The chain keeps the last deleted one's number and hash as its anchor, and a link that says so. Returns how many
        went. Nothing else ever deletes or changes a link.
        """
