"""The ledger: what is counted over all keys, so that no DAG alone can outrun a limit. Caps, breakers, rates, pages.

Owns the arithmetic and the bounds of what is remembered. Forbids nothing itself: brakes.py asks.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from remediator.engine.context import Alert, Context
from remediator.engine.ledger_state import Breaker, Rate, UnderWay
from remediator.engine.state import Case
from remediator.model.ids import LEDGER_KEY
from remediator.model.policy import Maintenance
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE, Duration, Instant, format_duration

MAX_BREAKERS = 2_000
MAX_RATES = 5_000
MAX_RESULTS = 20
MAX_COUNTED = 1_000
LOST_AT_LEAST = 10
LOST_SHARE = 0.2
"""From so many, and such a share of the final failures of an hour on, missing events are reported."""
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
        _free_probe(context, old)
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
        _free_probe(context, name)
    if not busy:
        del context.ledger.under_way[deployment]
    if over:
        context.touch(LEDGER_KEY)


def _free_probe(context: Context, action_id: str) -> None:
    for breaker in context.ledger.breakers.values():
        if breaker.probe == action_id:
            breaker.probe = ""


# -- breakers and rates -------------------------------------------------------------------------------------------


def _name(case: Case) -> str:
    return f"{case.rule}/{case.signature}"


def breaker_open(context: Context, case: Case) -> str:
    """'' if the rule may try for this error, else why a person is asked. After a rest one probe is let through."""
    breaker = context.ledger.breakers.get(_name(case))
    if breaker is None or breaker.opened_at is None:
        return ""
    if not breaker.probe and context.now >= breaker.opened_at + context.policy.breaker_rest:
        return ""
    helped, tried = sum(breaker.results), len(breaker.results)
    return f"rule {case.rule!r} helped in {helped} of its last {tried} changes for this error"


def note_probe(context: Context, case: Case, action_id: str) -> None:
    """The change that is issued now is the probe of an open breaker, if there is one."""
    breaker = context.ledger.breakers.get(_name(case))
    if breaker is not None and breaker.opened_at is not None and not breaker.probe:
        breaker.probe = action_id
        context.touch(LEDGER_KEY)
        text = "one change is let through to see whether it helps again"
        context.decide(Reason.BREAKER_PROBES, text, incident=case.incident, action_id=action_id, rule=case.rule)


def record(context: Context, case: Case, deployment: str, *, helped: bool) -> None:
    """A change has ended with a proof, or without one."""
    ledger, policy = context.ledger, context.policy
    rate = ledger.rates.setdefault(f"{case.rule}/{case.signature}/{deployment}", Rate())
    rate.helped += helped
    rate.in_vain += not helped
    if len(ledger.rates) > MAX_RATES:
        del ledger.rates[next(iter(ledger.rates))]
    breaker = ledger.breakers.pop(_name(case), None) or Breaker()
    ledger.breakers[_name(case)] = breaker
    if len(ledger.breakers) > MAX_BREAKERS:
        del ledger.breakers[next(iter(ledger.breakers))]
    context.touch(LEDGER_KEY)
    if breaker.counted == case.action_id:
        return
    breaker.counted = case.action_id
    _take_result(context, case, breaker, helped=helped)
    if policy.breaker_sample <= len(breaker.results) and breaker.opened_at is None:
        _open_if_in_vain(context, case, breaker)


def _take_result(context: Context, case: Case, breaker: Breaker, *, helped: bool) -> None:
    breaker.results = [*breaker.results, helped][-MAX_RESULTS:]
    if breaker.opened_at is None or breaker.probe != case.action_id:
        return
    breaker.probe = ""
    if helped:
        breaker.results, breaker.opened_at = [True], None
        context.decide(Reason.BREAKER_CLOSED, "the probe helped", incident=case.incident, rule=case.rule)
    else:
        breaker.opened_at = context.now


def _open_if_in_vain(context: Context, case: Case, breaker: Breaker) -> None:
    helped, tried = sum(breaker.results), len(breaker.results)
    if helped >= context.policy.breaker_rate * tried:
        return
    breaker.opened_at = context.now
    text = (
        f"rule {case.rule!r} helped in {helped} of its last {tried} changes for one error; it asks from now on, and "
        f"tries again in {format_duration(context.policy.breaker_rest)}"
    )
    context.decide(Reason.BREAKER_OPEN, text, incident=case.incident, rule=case.rule)
    context.effects.alerts.append(Alert("breaker_open", _name(case), text))


# -- what no event said -------------------------------------------------------------------------------------------


def count_failure(context: Context, deployment: str) -> None:
    """One more final failure of the deployment, announced or not."""
    _note(context, context.ledger.failures, deployment)


def count_unannounced(context: Context, deployment: str) -> None:
    """A failure that no event announced. Killed tasks announce nothing; many of them mean that events are lost."""
    lately = len(_note(context, context.ledger.unannounced, deployment))
    failures = max(lately, len(context.ledger.failures.get(deployment, [])) + 1)
    if lately >= LOST_AT_LEAST and lately >= LOST_SHARE * failures:
        text = (
            f"{lately} of {failures} final failures of deployment {deployment!r} within an hour were announced by no "
            "event: its feed may lose them"
        )
        context.effects.alerts.append(Alert("events_missing", deployment, text))


def _note(context: Context, counted: dict[str, list[Instant]], deployment: str) -> list[Instant]:
    kept = [at for at in counted.get(deployment, []) if at > context.now - HOUR][-MAX_COUNTED:]
    counted[deployment] = [*kept, context.now]
    context.touch(LEDGER_KEY)
    return counted[deployment]


# -- pages --------------------------------------------------------------------------------------------------------


def page_allowed(context: Context, route: str, limit: int | None) -> bool:
    """May one more page go out on the route within this hour? If so, it counts."""
    if limit is None:
        return True
    lately = [at for at in context.ledger.pages.get(route, []) if at > context.now - HOUR]
    context.touch(LEDGER_KEY)
    if len(lately) >= limit:
        return False
    context.ledger.pages[route] = [*lately, context.now]
    return True


def digest(context: Context, route: str, title: str) -> str:
    """What the digest of the route says now that this page has joined it."""
    titles = context.ledger.digests.setdefault(route, [])
    titles.append(title)
    shown = titles[:MAX_DIGEST]
    more = f" and {len(titles) - len(shown)} more" if len(titles) > len(shown) else ""
    del titles[10 * MAX_DIGEST :]
    return f"{len(titles)} more incidents would have paged {route!r} this hour: {'; '.join(shown)}{more}"


def is_worth_repeating(context: Context, route: str) -> bool:
    """Has the digest doubled since it was last said aloud?"""
    count = len(context.ledger.digests.get(route, []))
    return count > 1 and count & (count - 1) == 0


def digest_over(context: Context, route: str) -> None:
    """The digest was told long enough ago: the next one begins empty."""
    if context.ledger.digests.pop(route, None) is not None:
        context.touch(LEDGER_KEY)


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
    return any(fnmatchcase(deployment, glob) for glob in window.deployments)
