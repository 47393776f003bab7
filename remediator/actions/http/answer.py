"""What an endpoint's answer amounts to. Pure."""

from __future__ import annotations

import msgspec

from remediator.actions.retry_after import asked_seconds
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import SECOND, Duration

RETRY: Duration = 10 * SECOND
TEXT_LIMIT = 300
"""Characters of an answer that are kept: enough to recognise it."""
NOT_DONE = frozenset({425, 429})
"""The target says that it did nothing yet."""
PERHAPS_DONE = frozenset({408})
"""As any status of 500 and above: a proxy may answer so for a server that acted."""


class Answer(msgspec.Struct, frozen=True):
    """A status, the beginning of the body without secrets, and the Retry-After header."""

    status: int
    text: str = ""
    retry_after: str = ""


def outcome_of(answer: Answer, endpoint: str, *, uncertain: bool) -> Outcome:
    """uncertain: an earlier call may have acted, which a refusal of this one does not undo."""
    said = f"{endpoint} said HTTP {answer.status}"
    if 200 <= answer.status < 300:
        return Delivered(detail=f"HTTP {answer.status}")
    if answer.status in NOT_DONE:
        return RetryAfter(pause(answer.retry_after), said, uncertain=uncertain)
    if answer.status >= 500 or answer.status in PERHAPS_DONE:
        return RetryAfter(pause(answer.retry_after), said, uncertain=True)
    why = f"{said}: {_shown(answer)}"
    return Unknown(f"{why}; an earlier call may have acted") if uncertain else Refused(why)


def pause(retry_after: str) -> Duration:
    """The Retry-After header in whole seconds, bounded, or our own pause: a date or nonsense says nothing."""
    asked = asked_seconds(retry_after)
    return RETRY if asked is None else asked * SECOND


def _shown(answer: Answer) -> str:
    if 300 <= answer.status < 400:
        return "redirects are not followed"
    return " ".join(answer.text.split())[:TEXT_LIMIT] or "no reason given"
