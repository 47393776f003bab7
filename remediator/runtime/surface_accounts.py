"""What the daemon shows and obeys about people: proposals, the audit, reports. A press enters through the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from remediator.engine.ledger_state import LedgerState
from remediator.engine.restore import words
from remediator.engine.saved import decode_ledger_state
from remediator.engine.state import WorldState
from remediator.model.ids import LEDGER_KEY
from remediator.model.incident import Incident, Proposal
from remediator.model.inputs import Pressed
from remediator.model.policy import Policy
from remediator.model.shares import Loss
from remediator.model.time import HOUR, SECOND, Duration, Instant, format_instant
from remediator.runtime import audit
from remediator.runtime.foresight import Foresight
from remediator.runtime.report import Tally
from remediator.runtime.standing import open_proposals
from remediator.runtime.surface_rules import unmatched_view
from remediator.store.audit import AuditHead, AuditRow
from remediator.store.port import Answer, Store
from remediator.web.port import NotThere, Over, View

MOST_INCIDENTS = 5_000
DECISIONS_PAGE = 2_000
MOST_DECISIONS = 400_000
"""What one report reads; a longer time is cut off at its beginning and says so."""
PREFIX_LEAST = 4
RESTORE_COUNTS = ("actions", "done", "not_done", "unknown", "dagruns", "looked", "cases", "healed")


class AccountsSurface:
    """Implements `web.port.Accounts`. woken: called when something was journalled.

    foresight: says what a yes would do; None where nobody asks for it.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], Instant],
        policy: Callable[[], Policy],
        woken: Callable[[], None],
        foresight: Foresight | None = None,
    ) -> None:
        self._foresight = foresight
        self._store = store
        self._clock = clock
        self._policy = policy
        self._woken = woken

    async def proposals(self) -> list[View]:
        now = self._clock()
        found = open_proposals(await self._open_incidents(), now)
        return [proposal_view(incident, proposal, now) for incident, proposal in found]

    async def proposal(self, proposal: str) -> View:
        if (given := await self._store.answered(proposal)) is not None:
            raise _was_answered(given)
        incident, found = self._open(proposal, await self._proposed())
        seen = {} if self._foresight is None else await self._foresight.view(found)
        more = {"error": incident.error, "failures": incident.failures, "episode": incident.episode}
        return {**proposal_view(incident, found, self._clock()), **more, **seen}

    async def _proposed(self) -> list[tuple[Incident, Proposal]]:
        incidents = await self._open_incidents()
        return [(incident, proposal) for incident in incidents for proposal in incident.proposals]

    async def _open_incidents(self) -> list[Incident]:
        return await self._store.incidents(open_only=True, limit=MOST_INCIDENTS)

    async def answer(self, proposal: str, command: str, actor: str, reason: str) -> View:
        given = await self._store.answered(proposal)
        if given is None:
            incident, found = self._open(proposal, await self._proposed())
            pressed = Pressed(actor, command, reason, subject=found.id, key=found.key)
            entry = audit.answer(pressed, found, incident.id, incident.deployment)
            given = await self._store.answer(pressed, self._clock(), entry)
            self._woken()
        return _answer_view(given, command)

    def _open(self, proposal: str, proposed: list[tuple[Incident, Proposal]]) -> tuple[Incident, Proposal]:
        """The one that is meant. Raises NotThere, Over."""
        fits = [pair for pair in proposed if pair[1].id == proposal]
        if not fits and len(proposal) >= PREFIX_LEAST:
            fits = [pair for pair in proposed if pair[1].id.startswith(proposal)]
        if not fits:
            raise NotThere(
                f"no proposal that waits for an answer has the id {proposal!r}: it is unknown, expired, not needed any "
                "more, or was answered (asked with its whole id, this tells by whom)"
            )
        if len(fits) > 1:
            raise NotThere(f"{len(fits)} proposals have an id that begins with {proposal!r}: name more of it")
        incident, found = fits[0]
        if found.expires_at <= self._clock():
            raise Over(f"proposal {found.id} expired at {format_instant(found.expires_at)}")
        return incident, found

    async def audit(self, after: int, limit: int, since: Instant) -> View:
        page = await self._store.audit(after, limit, since)
        return {"head": head_view(page.head), "entries": [audit_view(row) for row in page.rows]}

    async def report(self, since: Duration) -> View:
        now = self._clock()
        begin = max(0, now - since)
        tally = Tally(begin, now)
        is_cut = await self._read_decisions(tally, begin)
        incidents = await self._store.incidents(open_only=False, limit=MOST_INCIDENTS)
        unmatched = await unmatched_view(self._store, since, now, self._policy().unclassified_route)
        view = tally.view(incidents, await self._ledger())
        view["unclassified"] = unmatched["unmatched"]
        view["more"] = is_cut or unmatched["more"] or len(incidents) >= MOST_INCIDENTS
        return view

    async def _read_decisions(self, tally: Tally, begin: Instant) -> bool:
        """True if there were more than one report reads."""
        at, after = begin, 0
        for _ in range(MOST_DECISIONS // DECISIONS_PAGE):
            page = await self._store.decisions_since(at, after, DECISIONS_PAGE)
            for _, decision in page:
                tally.take(decision)
            if len(page) < DECISIONS_PAGE:
                return False
            after, at = page[-1][0], page[-1][1].at
        return True

    async def _ledger(self) -> LedgerState:
        body = (await self._store.load_states([LEDGER_KEY])).get(LEDGER_KEY)
        return LedgerState() if body is None else decode_ledger_state(body)


def proposal_view(incident: Incident, proposal: Proposal, now: Instant) -> View:
    """A change that waits for a person."""
    return {
        "id": proposal.id,
        "action": proposal.action,
        "text": proposal.text,
        "previewed": proposal.preview,
        "affects": proposal.affects,
        "deployment": incident.deployment,
        "dag_id": incident.dag_id,
        "task_id": incident.task_id,
        "incident": incident.id,
        "title": incident.title,
        "severity": incident.severity,
        "rule": incident.rule,
        "owner": incident.owner,
        "asked_at": format_instant(proposal.asked_at) if proposal.asked_at else None,
        "expires_at": format_instant(proposal.expires_at),
        "expires_in_s": (proposal.expires_at - now) / SECOND,
    }


def _was_answered(given: Answer) -> Over:
    done = {"approve": "approved", "reject": "rejected"}.get(given.command, given.command)
    return Over(f"proposal {given.proposal} was {done} by {given.actor} at {format_instant(given.at)}")


def _answer_view(given: Answer, command: str) -> View:
    """Raises Over if it was answered otherwise."""
    if given.command != command:
        raise _was_answered(given)
    return {
        "proposal": given.proposal,
        "command": given.command,
        "actor": given.actor,
        "at": format_instant(given.at),
        "repeated": not given.is_new,
    }


def loss_of(ledger: LedgerState, deployment: str, now: Instant) -> Loss:
    """What no event announced in the last hour."""
    failures, unannounced = (
        sum(at > now - HOUR for at in counted.get(deployment, [])) for counted in (ledger.failures, ledger.unannounced)
    )
    return Loss(failures, unannounced)


def loss_view(loss: Loss) -> View:
    """Final failures of the last hour, how many of them no event announced, and their share; None of no failure."""
    return {
        "failures_last_hour": loss.expected,
        "unannounced_last_hour": loss.unannounced,
        "loss_rate": None if loss.share is None else round(loss.share, 3),
    }


def freeze_view(world: WorldState, *, frozen: bool) -> View:
    """Who stopped all changes; {} if nobody did, or it is not decided upon yet."""
    found = world.freeze
    if not frozen or found is None:
        return {}
    return {"freeze": {"by": found.by, "at": format_instant(found.at), "reason": found.why}}


def restored_view(policy: Policy, world: WorldState, ledger: LedgerState) -> View:
    """What is found after the store came back from a backup; {} when it did not, or the thaw has come."""
    found = ledger.restore
    if found is None:
        return {}
    return {
        "restored": {
            **{name: getattr(found, name) for name in RESTORE_COUNTS},
            "by": found.by,
            "at": format_instant(found.at),
            "since": format_instant(found.since),
            "looking": not found.told,
            "found": found.told or words(policy, world, found),
        }
    }


def head_view(head: AuditHead) -> View:
    """The ends of the chain."""
    return dict(msgspec.structs.asdict(head))


def audit_view(row: AuditRow) -> View:
    """One link. An entry that is no JSON any more is shown as text: it does not fit its hash either."""
    try:
        entry: Any = msgspec.json.decode(row.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        entry = {"damaged": row.body.decode(errors="replace")}
    return {
        "seq": row.seq,
        "at": format_instant(row.at),
        "entry": entry,
        "prev_hash": row.prev_hash,
        "hash": row.hash,
    }
