"""What a story is told from and what it is made of. Data only, and how to find things in it; tells nothing."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from remediator.model.action import CHANGES_TARGET, Action, Pause, Pool, Scale
from remediator.model.event import Event
from remediator.model.incident import Incident
from remediator.model.inputs import Fact, Input, Looked, Surveyed
from remediator.model.reasons import Decision, Reason
from remediator.model.record import Origin
from remediator.model.time import Instant
from remediator.runtime.story_words import run_of, task_and_try
from remediator.store.audit import AuditEntry
from remediator.store.port import ActionRow

PROOFS = frozenset({Reason.HELPED, Reason.DID_NOT_HELP})
ENDS = frozenset({*PROOFS, Reason.RECOVERED, Reason.LEFT_ALONE, Reason.GONE, Reason.RULE_REMOVED, Reason.RULE_CHANGED,
                  Reason.CALMED, Reason.ENDED_BY_EVENT})  # fmt: skip
"""How a case ends, or goes on to its next attempt."""
ISSUES = frozenset({Reason.RETRY_ISSUED, Reason.CHANGE_ISSUED, Reason.UNDONE, Reason.PAGED, Reason.NOTIFIED})
"""The decisions that an action comes of."""


class RuleWords(msgspec.Struct, frozen=True):
    """The rule as it is now. place: 'file:line', '' if it is not known any more."""

    id: str
    summary: str = ""
    mode: str = ""
    place: str = ""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one incident, as far as it is still kept.

    decisions: the incident's, in order. beside: those of no incident that belong to it: its rule over time, the freeze.
    inputs: journal position -> entry. feeds: deployment -> its feed.
    rule_set: what decides now, since `rule_set_since`. cut: is the beginning of the decisions left off?
    word: of a story of one action: what the audit says of who wanted it.
    """

    now: Instant
    incident: Incident | None = None
    decisions: tuple[Decision, ...] = ()
    beside: tuple[Decision, ...] = ()
    actions: tuple[ActionRow, ...] = ()
    inputs: dict[int, Input] = {}
    feeds: dict[str, str] = {}
    rules: dict[str, RuleWords] = {}
    rule_set: str = ""
    rule_set_since: Instant = 0
    cut: bool = False
    word: AuditEntry | None = None

    def told(self) -> list[Decision]:
        """Every decision, in order; what belongs to no incident comes before what it led to."""
        both = [(one.position, 0, one) for one in self.beside] + [(one.position, 1, one) for one in self.decisions]
        return [one for _, _, one in sorted(both, key=lambda each: each[:2])]

    def short(self, text: str) -> str:
        """The text without the dagrun's name, if there is but one and so nothing to tell apart."""
        runs = self.incident.dagruns if self.incident is not None else ()
        if len(runs) != 1 or not runs[0]:
            return text
        text = text.replace(f" of dagrun {runs[0]}", "").replace(f" in dagrun {runs[0]}", "")
        return text.replace(f"dagrun {runs[0]}", "the dagrun")

    def row(self, action_id: str) -> ActionRow | None:
        """The outbox row of an action."""
        return next((row for row in self.actions if row.action.id == action_id), None) if action_id else None

    def event_at(self, position: int) -> Event | None:
        """The event that was journalled there."""
        found = self.inputs.get(position)
        return found.event if isinstance(found, Fact) else None

    def origin_at(self, position: int) -> Origin | None:
        """The record that said the event; None of none, and of one that was journalled before that was noted."""
        found = self.inputs.get(position)
        return found.origin if isinstance(found, Fact) else None

    def is_surveyed(self, position: int) -> bool:
        """Was it a survey of the scheduler that was journalled there?"""
        return isinstance(self.inputs.get(position), Surveyed)

    def looked_at(self, position: int) -> Looked | None:
        """The scheduler's answer that was journalled there."""
        found = self.inputs.get(position)
        return found if isinstance(found, Looked) else None

    def changes(self) -> Iterator[ActionRow]:
        """What was to change something, in order."""
        return (row for row in self.actions if row.action.kind in CHANGES_TARGET)

    def proof_of(self, action_id: str) -> Decision | None:
        """What showed whether the action helped."""
        return next((one for one in self.decisions if one.action_id == action_id and one.reason in PROOFS), None)

    def undo_of(self, action: Action) -> ActionRow | None:
        """The later action that takes this one back."""
        later = list(self.actions)
        index = next((number for number, row in enumerate(later) if row.action.id == action.id), len(later))
        return next((row for row in later[index + 1 :] if is_undo(row.action, action)), None)

    def claim_of(self, final: Decision) -> Decision | None:
        """The event's claim that a decision about the same try of the same task followed."""
        subject, run = task_and_try(final.text), run_of(final.text)
        claims = [one for one in self.decisions
                  if one.reason is Reason.SUSPECTED and one.position <= final.position
                  and task_and_try(one.text) == subject and run_of(one.text) == run]  # fmt: skip
        return claims[-1] if claims else None


UNDONE = "undone"
"""Why an undo is made, as its parameters say."""


def is_undo(later: Action, first: Action) -> bool:
    """Does the later action take the first one back?"""
    return (
        getattr(later.params, "why", "") == UNDONE
        and later.target == first.target
        and subject_of(later) == subject_of(first) != ()
        and later.id != first.id
    )


def subject_of(action: Action) -> tuple[str, ...]:
    """What a change that can be taken back is made to; () for one that cannot."""
    match action.params:
        case Pause(dag_id=dag_id):
            return ("dag", dag_id)
        case Pool(pool=pool):
            return ("pool", pool)
        case Scale(namespace=namespace, kind=kind, name=name):
            return ("scale", namespace, kind, name)
    return ()


# -- the story ----------------------------------------------------------------------------------------------------


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the timeline, or several that say the same, folded. more: what shows it, and what came of it."""

    at: Instant
    reason: str
    text: str
    rule: str = ""
    action_id: str = ""
    more: tuple[str, ...] = ()
    count: int = 1
    until: Instant = 0


class Head(msgspec.Struct, frozen=True):
    """What somebody who was just woken has to know, one sentence each."""

    wrong: str
    done: str
    left: str


class Story(msgspec.Struct, frozen=True):
    """A story, ready to be read. facts: (name, text). log: its last lines. began: where its times begin to count.

    record: what began it; None if no record did, or it is not known any more; the facts say which.
    """

    head: Head
    facts: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    after: tuple[str, ...]
    log: tuple[str, ...]
    began: Instant
    record: Origin | None = None
