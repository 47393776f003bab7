"""Does one change once: look, decide, send, and look again if the answer does not tell. The changes decide."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import ClassVar, Generic, Protocol, TypeVar

import msgspec

from remediator.actions.airflow import verdict
from remediator.actions.airflow.errors import Answered, Fault
from remediator.actions.airflow.verdict import SOON, LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Guarantee
from remediator.model.outcome import NOT_DONE, Outcome, Refused, RetryAfter
from remediator.model.time import SECOND, Duration

T = TypeVar("T")
Seen = TypeVar("Seen")
Call = TypeVar("Call")
Answer = TypeVar("Answer")


class Send(msgspec.Struct, Generic[Call], frozen=True):
    """What was seen allows the call."""

    call: Call


class Change(Protocol[Seen, Call, Answer]):
    """One action on its way. Only `look`, `send` and `preview` touch the network; they raise Fault."""

    guarantee: ClassVar[Guarantee]

    async def look(self) -> Seen:
        """How things stand."""

    def decide(self, seen: Seen) -> Send[Call] | Outcome:
        """Is it done, refused, or to be sent?"""

    async def send(self, call: Call) -> Answer:
        """The call that changes something."""

    def answered(self, call: Call, answer: Answer) -> Outcome:
        """What the answer to the call means."""

    def conflict(self, fault: Answered) -> Outcome | LookAgain:
        """What a 409 means here."""

    def done(self, seen: Seen) -> Outcome | None:
        """The look after a call whose answer did not tell: what came of it, None if it did not happen."""

    async def preview(self) -> Preview:
        """What it would do now."""


class Watch:
    """Measures how old a look is."""

    def __init__(self) -> None:
        self._started = asyncio.get_running_loop().time()

    @property
    def age(self) -> Duration:
        """Since it was made."""
        return round((asyncio.get_running_loop().time() - self._started) * SECOND)

    @property
    def is_stale(self) -> bool:
        """May the look no longer be acted on?"""
        return self.age > verdict.LOOK_VALID


async def tried(call: Awaitable[T]) -> T | Fault:
    """The call's result, its fault as a value."""
    try:
        return await call
    except Fault as fault:
        return fault


async def once(change: Change[Seen, Call, Answer], *, uncertain: bool) -> Outcome:
    """Do it unless it is done already. Every call looks first, so that a repeat after a crash is harmless."""
    watch = Watch()
    seen = await tried(change.look())
    decided = verdict.look_failed(seen, uncertain=uncertain) if isinstance(seen, Fault) else change.decide(seen)
    if not isinstance(decided, Send):
        return decided
    if watch.is_stale:
        return verdict.look_too_old(uncertain=uncertain)
    answer = await tried(change.send(decided.call))
    judged = _judged(change, decided.call, answer, uncertain=uncertain)
    return _after(change, await tried(change.look()), judged) if isinstance(judged, LookAgain) else judged


async def proved(change: Change[Seen, Call, Answer]) -> Outcome:
    """What became of an earlier call; nothing is sent. change: made as uncertain."""
    seen = await tried(change.look())
    decided = verdict.look_failed(seen, uncertain=True) if isinstance(seen, Fault) else change.decide(seen)
    return Refused(NOT_DONE) if isinstance(decided, Send) else decided


def _judged(
    change: Change[Seen, Call, Answer], call: Call, answer: Answer | Fault, *, uncertain: bool
) -> Outcome | LookAgain:
    if not isinstance(answer, Fault):
        return change.answered(call, answer)
    if isinstance(answer, Answered) and answer.status == 409:
        return change.conflict(answer)
    return verdict.refused(answer, uncertain=uncertain)


def _after(change: Change[Seen, Call, Answer], seen: Seen | Fault, again: LookAgain) -> Outcome:
    if isinstance(seen, Fault):
        return RetryAfter(SOON, f"cannot tell whether it happened: {seen}", uncertain=True)
    return change.done(seen) or again.unchanged
