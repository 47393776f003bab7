"""The audit: one entry for everything that was changed, told or commanded, each chained to the one before it.

Owns the entry's shape, its canonical bytes, and the chain: hash = blake2b-256(previous hash + canonical entry), in hex.
Does no I/O. What is documented by an entry and the entry itself are written in one transaction, by the stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from remediator.model.action import CHANGES_TARGET, Action, DryRun, LogTail, Look, Message, Page, Survey, Sweep
from remediator.model.time import Instant

GENESIS = "0" * 64
"""What the first entry of all is chained to."""
MAX_TEXT = 2_000
MAX_PARAMS = 8_000
"""Bytes of an action's parameters; larger ones are left out, their hash stands for them."""
FAULTS_SHOWN = 20


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who or what did what to which target, why, and with which result.

    event: 'wanted' (an action is in the outbox), 'cancelled', 'result', 'command' (a person's), 'activated' (a rule
    set), 'pruned'. actor: 'rule ID', 'remediator', or a person and how they were known.
    what: the action's kind or the command. target: the deployment or receiver; subject: what of it.
    result: of a result: delivered, refused, unknown. position: of the journal entry that was decided on.
    match: what the rule was matched with. params: of a change, as it is sent.
    """

    event: str
    actor: str
    what: str
    target: str = ""
    subject: str = ""
    why: str = ""
    rule: str = ""
    rule_set: str = ""
    match: dict[str, str] = {}
    incident: str = ""
    action_id: str = ""
    proposal: str = ""
    approved_by: str = ""
    result: str = ""
    detail: str = ""
    position: int = 0
    params: dict[str, Any] = {}


class AuditRow(msgspec.Struct, frozen=True):
    """One link. body: the entry's canonical JSON."""

    seq: int
    at: Instant
    body: bytes
    prev_hash: str
    hash: str


class AuditHead(msgspec.Struct, frozen=True):
    """The chain's ends: the last link, and the last one that was pruned (what the first kept link is chained to)."""

    seq: int = 0
    hash: str = GENESIS
    anchor_seq: int = 0
    anchor_hash: str = GENESIS


class AuditPage(msgspec.Struct, frozen=True):
    """Links in order, and the chain's ends at the same moment."""

    head: AuditHead
    rows: list[AuditRow]


_encoder = msgspec.json.Encoder(order="sorted")


def canonical(entry: AuditEntry | dict[str, Any]) -> bytes:
    """Its JSON: sorted keys, no spaces, defaults left out. The same for an entry that was decoded from it."""
    return _encoder.encode(entry)


def link_hash(prev_hash: str, seq: int, at: Instant, body: bytes) -> str:
    """blake2b-256 over the previous hash (its 32 bytes) and '{"at":…,"entry":…,"seq":…}'."""
    text = b'{"at":%d,"entry":%s,"seq":%d}' % (at, body, seq)
    return blake2b(bytes.fromhex(prev_hash) + text, digest_size=32).hexdigest()


def chain(head: AuditHead, entries: Iterable[AuditEntry], at: Instant) -> tuple[list[AuditRow], AuditHead]:
    """The entries as links after `head`, and the new head."""
    rows: list[AuditRow] = []
    seq, last = head.seq, head.hash
    for entry in entries:
        body = canonical(entry)
        seq += 1
        rows.append(AuditRow(seq, at, body, last, link_hash(last, seq, at, body)))
        last = rows[-1].hash
    return rows, msgspec.structs.replace(head, seq=seq, hash=last)


# -- what is audited ----------------------------------------------------------------------------------------------


def is_audited(action: Action) -> bool:
    """Changes, pages and first messages. Questions, edits, and lines of our own log are not."""
    match action.params:
        case Look() | Sweep() | Survey() | LogTail() | DryRun():
            return False
        case Page(event_action=event_action):
            return event_action == "trigger"
        case Message(ref=ref):
            return not ref
    return action.kind in CHANGES_TARGET


def entry_of(action: Action, event: str, actor: str, **more: Any) -> AuditEntry:
    """What every entry about an action says of it."""
    return AuditEntry(
        event=event,
        actor=actor,
        what=action.kind,
        target=action.target,
        subject=subject_of(action),
        incident=action.incident,
        action_id=action.id,
        **more,
    )


def cancelled(action: Action, reason: str) -> AuditEntry:
    """The action was taken back before anybody had begun with it."""
    return entry_of(action, "cancelled", "remediator", why=reason[:MAX_TEXT])


def pruned(seq: int, last: str) -> AuditEntry:
    """Everything up to and including this link was deleted for its age."""
    return AuditEntry(
        event="pruned", actor="remediator", what="retention", why=f"entries up to {seq}, whose hash was {last}"
    )


def subject_of(action: Action) -> str:
    """What of the target an action is about: 'orders/run-1 load', 'pool default_pool', '#alerts'."""
    params: Any = action.params
    if isinstance(params, Message | Page):
        place = params.channel if isinstance(params, Message) else params.dedup_key
        return f"{place}: {params.incident.title}"[:MAX_TEXT]
    tasks = getattr(params, "tasks", ()) or ([params.task] if hasattr(params, "task") else ())
    named = [getattr(params, name, "") for name in ("dag_id", "run_id", "pool", "endpoint", "namespace", "name")]
    where = "/".join(str(part) for part in named if part)
    return " ".join([where, *(_task(task) for task in tasks)])[:MAX_TEXT]


def _task(task: Any) -> str:
    return str(task.task_id) if task.map_index < 0 else f"{task.task_id}[{task.map_index}]"


def params_of(action: Action) -> dict[str, Any]:
    """The parameters of a change; of what tells people none, since the subject says it."""
    if action.kind not in CHANGES_TARGET:
        return {}
    body = _encoder.encode(action.params)
    if len(body) > MAX_PARAMS:
        return {"left_out": f"{len(body)} bytes, blake2b-256 {blake2b(body, digest_size=32).hexdigest()}"}
    return dict(msgspec.json.decode(body))


# -- verifying ----------------------------------------------------------------------------------------------------


class Verifier:
    """Follows the chain link by link. `faults` says where it is broken; a break does not hide a later one."""

    def __init__(self, head: AuditHead) -> None:
        self.faults: list[str] = []
        self.checked = 0
        self.start = head.anchor_seq
        """What comes before is not there to be checked: pruned, or left out of an export."""
        self.seq = head.anchor_seq
        self.hash = head.anchor_hash
        self._head = head
        self._head_seen = head.seq == head.anchor_seq

    def take(self, rows: Sequence[AuditRow]) -> None:
        """The next links, in order of their number."""
        for row in rows:
            self._take(row)

    def _take(self, row: AuditRow) -> None:
        if row.seq != self.seq + 1:
            self._fault(f"entry {self.seq + 1} is missing; the next is {row.seq}")
        elif row.prev_hash != self.hash:
            self._fault(f"entry {row.seq} does not follow entry {self.seq}")
        try:
            is_whole = link_hash(row.prev_hash, row.seq, row.at, row.body) == row.hash
        except ValueError:
            is_whole = False
        if not is_whole:
            self._fault(f"entry {row.seq} was changed: its hash is not that of what it says")
        self.checked += 1
        self.seq, self.hash = row.seq, row.hash
        if row.seq == self._head.seq:
            self._head_seen = True
            if row.hash != self._head.hash:
                self._fault(f"entry {row.seq} is not the one that the head of the chain names")

    def end(self) -> list[str]:
        """No more links: the faults, a chain that is cut off among them."""
        if not self._head_seen:
            self._fault(f"the chain ends at entry {self.seq}; its head is entry {self._head.seq}")
        return self.faults

    def _fault(self, text: str) -> None:
        if len(self.faults) < FAULTS_SHOWN:
            self.faults.append(text)
