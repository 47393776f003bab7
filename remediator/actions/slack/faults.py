"""What Slack's refusals mean. Pure.

Slack documents that some aspect of a call may have succeeded under internal_error and fatal_error.
"""

from __future__ import annotations

from remediator.actions.retry_after import asked_seconds
from remediator.model.outcome import Outcome, Refused, RetryAfter
from remediator.model.time import SECOND, Duration

RETRY: Duration = 5 * SECOND
NOT_DONE = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded", "request_timeout", "team_added_to_org", "accesslimited"}
)
PERHAPS_DONE = frozenset({"internal_error", "fatal_error", "service_unavailable"})


def outcome_of(status: int, error: str, retry_after: str | None, *, repeatable: bool) -> Outcome:
    """The outcome of a call that Slack answered without ok. `repeatable`: doing it twice is doing it once."""
    text = f"Slack said {error or f'HTTP {status}'}"
    if status == 429 or error in NOT_DONE:
        return RetryAfter(pause(retry_after), text)
    if status >= 500 or error in PERHAPS_DONE or not error:
        return RetryAfter(pause(retry_after), text, uncertain=not repeatable)
    return Refused(text)


def pause(retry_after: str | None) -> Duration:
    """The Retry-After header in whole seconds, bounded, or our own pause."""
    asked = asked_seconds(retry_after)
    return RETRY if asked is None else asked * SECOND
