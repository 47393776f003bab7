"""Outcomes: what became of one call to the outside. Remote faults are values, never exceptions."""

from __future__ import annotations

import msgspec

from remediator.model.time import Duration


class Delivered(msgspec.Struct, frozen=True, tag="delivered", omit_defaults=True):
    """It happened. `ref` names the result at the target, such as a message's channel and timestamp.

    before: what an undo needs to know of how it was, such as the number of slots.
    left: of several task instances those that were not touched, because somebody else was faster; as 'load[3]'.
    theirs: those of `left` that a person marked failed.
    """

    ref: str = ""
    detail: str = ""
    before: str = ""
    left: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()


class RetryAfter(msgspec.Struct, frozen=True, tag="retry", omit_defaults=True):
    """It may succeed later. Never journalled: the outbox waits and tries again.

    uncertain: it may have happened, so the next try must look first.
    """

    after: Duration
    reason: str
    uncertain: bool = False


class Refused(msgspec.Struct, frozen=True, tag="refused", omit_defaults=True):
    """It did not happen and will not: the target, a brake or the clock said no.

    affects: how many task instances it would have touched, if that was too many; a person may still want it.
    theirs: a person wants it to be as it is, and knows of it.
    """

    reason: str
    affects: int = 0
    theirs: bool = False


class Unknown(msgspec.Struct, frozen=True, tag="unknown", omit_defaults=True):
    """It may have happened; looking could not tell. Counts as spent budget."""

    reason: str


FROZEN = "frozen"
"""The reason of a refusal by the freeze: what was refused is wanted again after the thaw."""
NOT_DONE = "the store is a backup, and this was not done"
"""The reason of a refusal of what a restored store still held: it is decided anew, and never done as it was."""
WANTED_AGAIN = frozenset({FROZEN, NOT_DONE})
"""Reasons of refusals that say nothing against the change itself."""
EXPIRED, GAVE_UP = "not done before", "gave up after"
"""How the reasons begin of what came to no answer in its time: nobody said no."""


def ran_out(outcome: Refused | Unknown) -> bool:
    """Did its time or its tries run out, so that the same may be wanted again?"""
    return outcome.reason.startswith((EXPIRED, GAVE_UP))


Outcome = Delivered | RetryAfter | Refused | Unknown
FinalOutcome = Delivered | Refused | Unknown
