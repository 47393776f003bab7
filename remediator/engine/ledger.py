"""The ledger: what is counted over all keys, so that no DAG alone can outrun a limit. Caps, losses, pauses, pages.

Owns the arithmetic and the bounds of what is remembered. Forbids nothing itself: brakes.py asks.
"""

from __future__ import annotations

from remediator.engine import breakers
from remediator.engine.context import Alert, Context
from remediator.engine.doublings import is_power_of_two
from remediator.engine.ledger_state import Digest, LedgerState, UnderWay
from remediator.model.globs import any_covers
from remediator.model.ids import LEDGER_KEY
from remediator.model.policy import Maintenance
from remediator.model.shares import Loss, percent
from remediator.model.time import HOUR, MINUTE, Duration, Instant

MAX_PAUSES = 2_000
MAX_UNDOING = 2_000
MAX_COUNTED = 1_000
LOST_AT_LEAST = 10
"""From so many within an hour on, missing events are reported."""
MAX_DIGEST = 20
"""Pages that a digest names; the rest it counts."""


# -- caps ---------------------------------------------------------------------------------------------------------


def capped(context: Context, deployment: str) -> str:
    """'' if one more change may be issued now, else what is full."""
    ledger, policy = context.ledger, context.policy
    lately = sum(1 for at in ledger.issued.get(deployment, []) if at > context.now - MINUTE)
    if lately >= policy.changes_per_minute:
        return f"{lately} of {policy.changes_per_minute} changes in the last minute are used"
    busy = sum(1 for one in ledger.under_way.get(deployment, {}).values() if one.until > context.now)
    if busy >= policy.concurrent_changes:
        return f"{busy} of {policy.concurrent_changes} changes are under way"
    return ""


def begin(context: Context, deployment: str, action_id: str, lasts: Duration) -> None:
    """A change is issued. It counts as under way until it is said to be over, but not for ever."""
    ledger = context.ledger
    kept = [at for at in ledger.issued.get(deployment, []) if at > context.now - MINUTE]
    ledger.issued[deployment] = [*kept, context.now]
    busy = ledger.under_way.setdefault(deployment, {})
    for old in [name for name, one in busy.items() if one.until <= context.now]:
        del busy[old]
        breakers.free_probe(context, old)
    busy[action_id] = UnderWay(context.key, context.now + lasts)
    context.touch(LEDGER_KEY)


def end_others(context: Context, deployment: str, active: set[str]) -> None:
    """Of this key only these changes are still under way. A probe that ended without a result may be tried anew."""
    busy = context.ledger.under_way.get(deployment)
    if not busy:
        return
    over = [name for name, one in busy.items() if one.key == context.key and name not in active]
    for name in over:
        del busy[name]
        breakers.free_probe(context, name)
    if not busy:
        del context.ledger.under_way[deployment]
    if over:
        context.touch(LEDGER_KEY)


def keys_under_way(ledger: LedgerState) -> list[str]:
    """The keys that have changes or undos under way, in order."""
    changing = {one.key for busy in ledger.under_way.values() for one in busy.values()}
    return sorted(changing | set(ledger.undoing.values()))


def begin_undo(context: Context, action_id: str) -> None:
    """An undo is issued. It counts under no cap: what is changed for a time goes back in time."""
    undoing = context.ledger.undoing
    undoing[action_id] = context.key
    if len(undoing) > MAX_UNDOING:
        del undoing[next(iter(undoing))]
    context.touch(LEDGER_KEY)


def end_undo(context: Context, action_id: str) -> None:
    """An undo has ended."""
    if context.ledger.undoing.pop(action_id, None) is not None:
        context.touch(LEDGER_KEY)


# -- what no event said -------------------------------------------------------------------------------------------


def count_failure(context: Context, deployment: str) -> None:
    """One more final failure of the deployment, announced or not."""
    _note(context, context.ledger.failures, deployment)


def count_unannounced(context: Context, deployment: str) -> None:
    """A failure that no event announced. Killed tasks announce nothing; many of them mean that events are lost."""
    lately = len(_note(context, context.ledger.unannounced, deployment))
    loss = Loss(len(context.ledger.failures.get(deployment, [])) + 1, lately)
    if loss.is_much(LOST_AT_LEAST):
        known = context.deployment(deployment)
        text = (
            f"{percent(loss.share)} ({lately} of {loss.expected}) of the final failures of deployment {deployment!r} "
            f"within an hour were announced by no event, though feed {known.feed if known else ''!r} has passed them: "
            "it may lose events"
        )
        context.effects.alerts.append(Alert("events_missing", deployment, text))


def _note(context: Context, counted: dict[str, list[Instant]], deployment: str) -> list[Instant]:
    kept = [at for at in counted.get(deployment, []) if at > context.now - HOUR][-MAX_COUNTED:]
    counted[deployment] = [*kept, context.now]
    context.touch(LEDGER_KEY)
    return counted[deployment]


# -- pauses -------------------------------------------------------------------------------------------------------


def note_pause(context: Context, place: str, delivered: bool | None) -> None:
    """A pause of ours is wanted (False) or made (True), or it is over, or was never ours (None)."""
    if delivered is None:
        context.ledger.our_pauses.pop(place, None)
    else:
        context.ledger.our_pauses[place] = delivered
        if len(context.ledger.our_pauses) > MAX_PAUSES:
            del context.ledger.our_pauses[next(iter(context.ledger.our_pauses))]
    context.touch(LEDGER_KEY)


def is_paused_by_us(context: Context, place: str) -> bool:
    """Was it a pause of ours that stopped it, as far as anybody has seen since?"""
    return context.ledger.our_pauses.get(place, False)


def paused_by_person(context: Context, place: str, *, paused: bool) -> bool:
    """The scheduler says whether 'deployment/dag' is paused: did somebody else do it?"""
    if not paused and is_paused_by_us(context, place):
        note_pause(context, place, None)  # somebody has let it go on: the next pause is not ours
    return paused and place not in context.ledger.our_pauses


# -- pages --------------------------------------------------------------------------------------------------------


def page_allowed(context: Context, route: str, limit: int) -> bool:
    """May one more page go out on the route within this hour? If so, it counts."""
    lately = [at for at in context.ledger.pages.get(route, []) if at > context.now - HOUR]
    context.touch(LEDGER_KEY)
    if len(lately) >= limit:
        return False
    context.ledger.pages[route] = [*lately, context.now]
    return True


def digest(context: Context, route: str, title: str) -> str:
    """What the digest of the route says now that this page has joined it."""
    held = context.ledger.page_digests.setdefault(route, Digest())
    held.count += 1
    held.titles = [*held.titles, title][:MAX_DIGEST]
    left = held.count - len(held.titles)
    more = f" and {left} more" if left else ""
    return f"{held.count} more incidents would have paged {route!r} this hour: {'; '.join(held.titles)}{more}"


def is_worth_repeating(context: Context, route: str, *, is_edited: bool) -> bool:
    """Has the digest doubled since it was last said aloud? If no message shows it: does it name one incident more?"""
    held = context.ledger.page_digests.get(route)
    if held is None or held.count < 2:
        return False
    return is_power_of_two(held.count) or (not is_edited and held.count <= MAX_DIGEST)


def digest_over(context: Context, route: str) -> None:
    """The digest was told long enough ago: the next one begins empty."""
    if context.ledger.page_digests.pop(route, None) is not None:
        context.touch(LEDGER_KEY)


# -- maintenance --------------------------------------------------------------------------------------------------


def window_begin(context: Context, deployment: str) -> Instant | None:
    """When the next maintenance of the deployment begins; None if none is known."""
    begins = (one.begin for one in context.policy.maintenance if one.begin > context.now and _is_for(one, deployment))
    return min(begins, default=None)


def window_end(context: Context, deployment: str) -> tuple[Instant, str] | None:
    """When the maintenance of the deployment is over, and what it is for; None if there is none."""
    windows = [
        (one.end, one.reason)
        for one in context.policy.maintenance
        if one.begin <= context.now < one.end and _is_for(one, deployment)
    ]
    return max(windows, default=None)


def _is_for(window: Maintenance, deployment: str) -> bool:
    return any_covers(window.deployments, deployment)
