"""The dispatcher: claims actions, checks the brakes right before the call, performs, and journals the outcome.

Owns claims and their expiry. Decides nothing about pipelines: a refusal goes back to the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from remediator.actions.port import Executor, Prover, Questioner
from remediator.model.action import QUESTIONS, DryRun, LogTail, Look, Report, Survey
from remediator.model.inputs import Answer, Input, Looked, Performed, Previewed, Reported, Surveyed, Swept, Tailed
from remediator.model.outcome import EXPIRED, FROZEN, GAVE_UP, Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import MINUTE, SECOND, Duration, Instant
from remediator.runtime import audit
from remediator.store.audit import AuditEntry
from remediator.store.port import Claim, Go, Store

CLAIM_DURATION: Duration = 90 * SECOND
"""Unless configured. Longer than any executor's own time limits, so that a living dispatcher keeps its claim."""
CLAIM_LIMIT = 200
GO_VALID: Duration = 10 * SECOND
"""A process that stood still for longer since it asked does not act: the freeze may have been pressed meanwhile."""
MAX_TRIES = 50
"""Calls of one action that may end in RetryAfter; `not_after` usually ends it earlier."""
QUICK_TRIES = 10
SLOWER: Duration = 3 * SECOND
"""How much longer each try after those waits, up to a minute: 50 tries outlast an outage of half an hour."""


class Job(msgspec.Struct, frozen=True):
    """Claims that are performed in one go: one action, or questions of one kind to one target."""

    kind: str
    claims: tuple[Claim, ...]


class Dispatcher:
    """One of any number. `told` is told of every outcome that was written."""

    def __init__(
        self,
        name: str,
        store: Store,
        clock: Callable[[], Instant],
        executors: Mapping[str, Executor],
        questioners: Mapping[str, Questioner],
        changes_per_minute: int = 60,
        told: Callable[[str, str], None] = lambda kind, state: None,
        claim_duration: Duration = CLAIM_DURATION,
    ) -> None:
        self.claim_duration = claim_duration
        self._name = name
        self._store = store
        self._clock = clock
        self._executors = executors
        self._questioners = questioners
        self._changes_per_minute = changes_per_minute
        self._told = told

    async def claim(self, limit: int = CLAIM_LIMIT) -> list[Job]:
        """What is to be done now; each job may be worked on beside the others."""
        claims = await self._store.claim(self._name, self._clock(), self.claim_duration, limit)
        return jobs_of(claims)

    async def work(self, job: Job) -> None:
        """Perform the job's actions and write what came of them."""
        if job.kind in QUESTIONS:
            await self._ask(job)
        else:
            await self._act(job.claims[0])

    # -- questions ----------------------------------------------------------------------------------------------

    async def _ask(self, job: Job) -> None:
        actions = [claim.action for claim in job.claims]
        questioner = self._questioners.get(job.kind)
        if questioner is None:
            answers = [unanswered(claim, f"nothing answers {job.kind}") for claim in job.claims]
        else:
            answers = list(await questioner.ask(actions, self._clock()))
        for claim, answer in zip(job.claims, answers, strict=True):
            await self._finish(claim, answer, "delivered", answer.error)

    # -- actions ------------------------------------------------------------------------------------------------

    async def _act(self, claim: Claim) -> None:
        asked = self._clock()
        go = await self._store.confirm(claim, asked, self._changes_per_minute)
        if self._clock() >= min(claim.until, asked + GO_VALID):
            return  # it stood still since it asked: the claim runs out, and whoever has it next asks again
        if go is Go.PROVE:
            await self._write(claim, await self._prove(claim), proved=True)
            return
        outcome = await self._perform(claim) if go is Go.YES else outcome_of(go, claim, self._clock())
        if outcome is not None:
            await self._write(claim, outcome)

    async def _perform(self, claim: Claim) -> Outcome:
        executor = self._executors.get(claim.action.kind)
        if executor is None:
            return Refused(f"nothing performs {claim.action.kind}")
        return await executor.perform(claim.action, uncertain=claim.uncertain)

    async def _prove(self, claim: Claim) -> Outcome:
        executor = self._executors.get(claim.action.kind)
        if not isinstance(executor, Prover):
            return Unknown("the store is a backup, and nothing tells whether this was done")
        return await executor.prove(claim.action)

    async def _write(self, claim: Claim, outcome: Outcome, *, proved: bool = False) -> None:
        final = at_last(claim, outcome)
        if isinstance(final, RetryAfter):
            until = self._clock() + max(final.after, min((claim.tries - QUICK_TRIES) * SLOWER, MINUTE))
            await self._store.postpone(claim, until, uncertain=final.uncertain, detail=final.reason)
            return
        performed = Performed(claim.action.id, claim.action.key, claim.action.kind, final, proved)
        state, detail = state_of(final)
        await self._finish(claim, performed, state, detail, audit.result(claim.action, final, state, detail))

    async def _finish(
        self, claim: Claim, result: Input, state: str, detail: str, documented: AuditEntry | None = None
    ) -> None:
        if await self._store.finish(claim, result, state, detail, self._clock(), documented):
            self._told(claim.action.kind, state)


def jobs_of(claims: Sequence[Claim]) -> list[Job]:
    """Questions of one kind to one target go together, everything else by itself."""
    groups: dict[tuple[str, str], list[Claim]] = {}
    jobs: list[Job] = []
    for claim in claims:
        kind = claim.action.kind
        if kind in QUESTIONS:
            groups.setdefault((kind, claim.action.target), []).append(claim)
        else:
            jobs.append(Job(kind, (claim,)))
    return [*jobs, *(Job(kind, tuple(group)) for (kind, _), group in groups.items())]


def outcome_of(go: Go, claim: Claim, now: Instant) -> Outcome | None:
    """What a claim that may not be performed becomes; None: it is somebody else's."""
    match go:
        case Go.FROZEN:
            return Unknown("frozen, and an earlier call may have acted") if claim.uncertain else Refused(FROZEN)
        case Go.EXPIRED:
            why = f"{EXPIRED} {claim.action.kind} expired"
            return Unknown(f"{why}, and an earlier call may have acted") if claim.uncertain else Refused(why)
        case Go.RATE:
            return RetryAfter(MINUTE - now % MINUTE, "the deployment has had its changes of this minute")
    return None


def at_last(claim: Claim, outcome: Outcome) -> Outcome:
    """A retry that would be one too many is an end."""
    if not isinstance(outcome, RetryAfter) or claim.tries < MAX_TRIES:
        return outcome
    why = f"{GAVE_UP} {claim.tries + 1} tries: {outcome.reason}"
    return Unknown(why) if claim.uncertain or outcome.uncertain else Refused(why)


def state_of(outcome: Delivered | Refused | Unknown) -> tuple[str, str]:
    """The outbox row's state and detail."""
    if isinstance(outcome, Delivered):
        return "delivered", outcome.detail or outcome.ref
    return ("refused" if isinstance(outcome, Refused) else "unknown"), outcome.reason


def unanswered(claim: Claim, why: str) -> Answer:
    """The answer to a question that nobody can ask."""
    action = claim.action
    match action.params:
        case Look(run_id=run_id):
            return Looked(action.id, action.key, run_id, error=why)
        case Survey():
            return Surveyed(action.id, action.target, error=why)
        case Report():
            return Reported(action.id, error=why)
        case LogTail():
            return Tailed(action.id, action.key, error=why)
        case DryRun():
            return Previewed(action.id, action.key, error=why)
    return Swept(action.id, action.target, 0, 0, error=why)
