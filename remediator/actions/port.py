"""The executor ports. Remote faults come back as outcomes; an exception out of an executor is a bug."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from remediator.model.action import Action, Guarantee
from remediator.model.inputs import Answer
from remediator.model.outcome import Outcome
from remediator.model.time import Instant


class Executor(Protocol):
    """Performs actions of one kind. Stateless between calls but for connections and tokens."""

    guarantee: Guarantee

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Do it once. `uncertain`: it may have been done already; a `provable` executor looks before it acts.

        A call whose result is not known is looked up at once; if that fails too, RetryAfter(uncertain=True).
        """


class Preview(msgspec.Struct, frozen=True):
    """What a change would do, in one or two sentences that are bounded, secrets masked.

    affects: how many task instances it would touch (0: none, or nobody knows).
    refused: why it would be refused if it were done now, '' if nothing is in its way.
    error: why nobody could say what it would do; the text is empty then.
    """

    text: str
    affects: int = 0
    refused: str = ""
    error: str = ""


@runtime_checkable
class Previewer(Protocol):
    """An executor of changes: it can say what it would do, for whoever has to approve it."""

    async def preview(self, action: Action) -> Preview:
        """What it would do now. Sends nothing that changes anything; a remote fault is in the answer."""


@runtime_checkable
class Prover(Protocol):
    """An executor that can find out what became of an action of the lost time after a backup."""

    async def prove(self, action: Action) -> Outcome:
        """Delivered if it was done, Refused if not, Unknown if nothing tells, RetryAfter if it cannot be asked now.

        It is not done. What a repeat cannot harm, such as the edit of a message, may be done instead of proved.
        """


class Questioner(Protocol):
    """Answers questions of one kind, several of one target (deployment) in as few calls as possible."""

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]:
        """One answer for each action, in order. What could not be asked is answered with `error`."""
