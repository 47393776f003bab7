"""Breakers: a rule that does not help against an error stops trying it, but for one probe now and then.

Owns what opens and closes them, whose turn the probe is, and the one question that people are asked about it. How a
case waits is waits.py's.
"""

from __future__ import annotations

from remediator.engine.context import Alert, Context
from remediator.engine.doublings import is_power_of_two
from remediator.engine.ledger_state import Breaker, Rate
from remediator.engine.state import Case
from remediator.engine.steps import next_step, task_of
from remediator.model.ids import LEDGER_KEY, WORLD_KEY, stable_id
from remediator.model.incident import Proposal
from remediator.model.inputs import Pressed
from remediator.model.policy import Policy
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, Duration, Instant, format_duration

CLOCK = "breaker"
"""Wakes all who wait for a breaker."""
ALERT = "breaker_open"
MAX_BREAKERS = 2_000
MAX_RATES = 5_000
MAX_RESULTS = 20
TURN: Duration = 2 * MINUTE
"""For a look and a backoff; who has not tried by then has lost its turn."""
MAX_DOUBLINGS = 16


def name_of(case: Case) -> str:
    """A breaker is one rule's, for one error."""
    return f"{case.rule}/{case.signature}"


def _of(context: Context, case: Case) -> Breaker | None:
    """The open breaker that the case meets."""
    breaker = context.ledger.breakers.get(name_of(case))
    return breaker if breaker is not None and breaker.opened_at is not None else None


# -- waiting for it -----------------------------------------------------------------------------------------------


def open_for(context: Context, case: Case) -> str:
    """'' if the rule may try for this error, else why not. After a rest one probe is let through."""
    breaker = _of(context, case)
    if breaker is None or (not breaker.probe and context.now >= _lets_through_at(context, case, breaker)):
        return ""
    helped, tried = sum(breaker.results), len(breaker.results)
    return f"rule {case.rule!r} helped in {helped} of its last {tried} changes for this error"


def next_turn(context: Context, case: Case) -> Instant:
    """When a case that waits may ask again whether the probe is its turn. The end of the probe wakes it anyway."""
    breaker = _of(context, case)
    if breaker is None:
        return context.now
    soonest = _lets_through_at(context, case, breaker)
    return max(soonest, context.now + TURN) if breaker.probe else soonest


def _lets_through_at(context: Context, case: Case, breaker: Breaker) -> Instant:
    """When the rest is over, and the turn of another."""
    rested = rests_until(context.policy, breaker)
    return rested if breaker.turn_of == _holder(case) else max(rested, breaker.turn_until)


def _holder(case: Case) -> str:
    """Whose turn it is."""
    return f"{case.incident}/{case.event.run_id or ''}/{task_of(case)}"


def take_turn(context: Context, case: Case) -> None:
    """The case goes on: if the breaker is still open, it is the one to probe it, and the others go on waiting."""
    breaker = _of(context, case)
    if breaker is not None:
        breaker.turn_of, breaker.turn_until = _holder(case), context.now + TURN
        context.touch(LEDGER_KEY)


def is_given_up(context: Context, case: Case) -> bool:
    """Did a person say that waiting is in vain?"""
    breaker = _of(context, case)
    return breaker is not None and breaker.given_up


def begin_waiting(context: Context, case: Case, route: str, *, paged: bool) -> None:
    """One more case waits. People are asked once, and see how many wait at each doubling of their number."""
    breaker = _of(context, case)
    if breaker is None:
        return
    breaker.waiting += 1
    context.touch(LEDGER_KEY)
    if is_power_of_two(breaker.waiting):
        is_first = breaker.waiting == 1
        _raise_alert(context, case, breaker, route if is_first else "", paged=paged and is_first)


def rests_until(policy: Policy, breaker: Breaker) -> Instant:
    """After a no nothing is probed for long: then what was wrong may have been mended."""
    lasts = policy.self_alert_every if breaker.given_up else rest(policy, breaker.in_vain)
    return (breaker.opened_at or 0) + lasts


def rest(policy: Policy, in_vain: int) -> Duration:
    """How long an open breaker lets nothing through, doubled with each probe in vain."""
    return min(policy.breaker_rest << min(in_vain, MAX_DOUBLINGS), policy.breaker_rest_max)


# -- the probe ----------------------------------------------------------------------------------------------------


def note_probe(context: Context, case: Case, action_id: str) -> None:
    """The change that is issued now is the probe of an open breaker, if there is one."""
    breaker = _of(context, case)
    if breaker is not None and not breaker.probe:
        breaker.probe = action_id
        context.touch(LEDGER_KEY)
        text = "one change is let through to see whether it helps again"
        context.decide(Reason.BREAKER_PROBES, text, incident=case.incident, action_id=action_id, rule=case.rule)


def go_on(context: Context, case: Case) -> None:
    """The probe is delivered, and only a further change of its case can prove anything: the turn stays with it."""
    breaker = _of(context, case)
    if breaker is None or breaker.probe != case.action_id:
        return
    step = next_step(context, case)
    wait = step.wait + step.backoff.initial if step is not None else 0
    breaker.probe, breaker.turn_of, breaker.turn_until = "", _holder(case), context.now + wait + TURN
    context.touch(LEDGER_KEY)


def free_probe(context: Context, action_id: str) -> None:
    """The change is over. If it was a probe and has no result, another may be tried."""
    for breaker in context.ledger.breakers.values():
        if breaker.probe == action_id:
            breaker.probe, breaker.turn_until = "", 0


# -- results ------------------------------------------------------------------------------------------------------


def record(context: Context, case: Case, deployment: str, *, helped: bool) -> None:
    """A change has ended with a proof, or without one."""
    _rate(context, case, deployment, helped=helped)
    breaker = context.ledger.breakers.pop(name_of(case), None) or Breaker()
    context.ledger.breakers[name_of(case)] = breaker  # the latest used come last
    _forget(context.ledger.breakers)
    if case.action_id in breaker.results_of:
        return
    under_way = [one for one in breaker.results_of if any(one in busy for busy in context.ledger.under_way.values())]
    breaker.results_of = [*under_way, case.action_id]
    breaker.results = [*breaker.results, helped][-MAX_RESULTS:]
    if breaker.opened_at is None:
        _open_if_in_vain(context, case, breaker)
    elif breaker.probe == case.action_id:
        _end_probe(context, case, breaker, helped=helped)


def _forget(breakers: dict[str, Breaker]) -> None:
    """The longest unused goes; an open one only if there is no other."""
    if len(breakers) > MAX_BREAKERS:
        del breakers[next((name for name, one in breakers.items() if one.opened_at is None), next(iter(breakers)))]


def told_rate(context: Context, case: Case, deployment: str) -> str:
    """'; the rule helped in 3 of 4 of its changes for this error in prod', or '' if none has ended."""
    rate = context.ledger.rates.get(f"{case.rule}/{case.signature}/{deployment}")
    if rate is None:
        return ""
    ended = rate.helped + rate.in_vain
    return f"; the rule helped in {rate.helped} of {ended} of its changes for this error in {deployment}"


def _rate(context: Context, case: Case, deployment: str, *, helped: bool) -> None:
    rates = context.ledger.rates
    name = f"{case.rule}/{case.signature}/{deployment}"
    rate = rates[name] = rates.pop(name, Rate())  # the latest used come last
    rate.helped += helped
    rate.in_vain += not helped
    if len(rates) > MAX_RATES:
        del rates[next(iter(rates))]
    context.touch(LEDGER_KEY)


def _end_probe(context: Context, case: Case, breaker: Breaker, *, helped: bool) -> None:
    if helped:
        context.decide(Reason.BREAKER_CLOSED, "the probe helped", incident=case.incident, rule=case.rule)
        _close(context, name_of(case), breaker, [True], "the probe helped")
        return
    breaker.probe, breaker.turn_until = "", 0
    breaker.opened_at, breaker.in_vain = context.now, breaker.in_vain + 1
    context.effects.wakes.append(CLOCK)
    text = f"a probe did not help: {_story(context, case, breaker)}"
    context.decide(Reason.DID_NOT_HELP, text, incident=alert_id(name_of(case)), rule=case.rule)
    _raise_alert(context, case, breaker, "", paged=False)


def _open_if_in_vain(context: Context, case: Case, breaker: Breaker) -> None:
    helped, tried = sum(breaker.results), len(breaker.results)
    if tried < context.policy.breaker_sample or helped >= context.policy.breaker_rate * tried:
        return
    breaker.opened_at, breaker.since, breaker.waiting, breaker.given_up = context.now, context.now, 0, False
    breaker.proposal = stable_id("proposal", ALERT, name_of(case), context.position)
    text = _story(context, case, breaker)
    context.decide(Reason.BREAKER_OPEN, text, incident=case.incident, rule=case.rule)
    _raise_alert(context, case, breaker, "", paged=False)


def _close(context: Context, name: str, breaker: Breaker, results: list[bool], text: str) -> None:
    breaker.results, breaker.opened_at, breaker.probe, breaker.turn_until = results, None, "", 0
    breaker.in_vain, breaker.proposal, breaker.given_up, breaker.since = 0, "", False, 0
    context.touch(LEDGER_KEY)
    context.effects.wakes.append(CLOCK)
    context.effects.alerts.append(Alert(ALERT, name, text, Reason.RECOVERED, is_over=True))


# -- people -------------------------------------------------------------------------------------------------------


def _story(context: Context, case: Case, breaker: Breaker) -> str:
    helped, tried = sum(breaker.results), len(breaker.results)
    again = format_duration(rests_until(context.policy, breaker) - context.now)
    until = "people are told, and it" if breaker.given_up else "it waits from now on, and"
    rate = f"rule {case.rule!r} helped in {helped} of its last {tried} changes for one error"
    return f"{rate}; {until} tries again in {again}"


def _raise_alert(context: Context, case: Case, breaker: Breaker, route: str, *, paged: bool) -> None:
    """The breaker's own incident, with the question to people."""
    error = case.event.error
    kind = f" ({error.type or error.message or ''})"[:200] if error is not None else ""
    many = f"; {breaker.waiting} failures or more wait" if breaker.waiting else ""
    text = f"{_story(context, case, breaker)}{many}{kind}"
    ask = f"go on with rule {case.rule!r} for all failures of this kind, which is known not to have helped lately"
    proposals: tuple[Proposal, ...] = ()
    if breaker.proposal:
        until = context.now + context.policy.incident_expiry
        proposals = (Proposal(breaker.proposal, WORLD_KEY, "breaker.close", ask, until, breaker.since),)
    alert = Alert(ALERT, name_of(case), text, route=route, paged=paged, proposals=proposals)
    context.effects.alerts.append(alert)


def alerts(context: Context) -> set[str]:
    """The incidents of breakers that are open: a question stays while it can be answered."""
    return {alert_id(name) for name, one in context.ledger.breakers.items() if one.opened_at is not None}


def alert_id(name: str) -> str:
    """The incident of a breaker."""
    return stable_id("self", ALERT, name)


def answer(context: Context, pressed: Pressed) -> bool:
    """A person says whether to go on. False if nothing is asked any more."""
    breakers = context.ledger.breakers
    name = next((name for name, one in breakers.items() if one.proposal and one.proposal == pressed.subject), None)
    if name is None:
        return False
    breaker, text = breakers[name], f"by {pressed.actor}" + (f": {pressed.reason}" if pressed.reason else "")
    if pressed.command == "approve":
        context.decide(Reason.APPROVED, f"{name} {text}", incident=alert_id(name))
        _close(context, name, breaker, [], f"closed {text}")
        return True
    until = f"nothing is tried for {format_duration(context.policy.self_alert_every)}"
    context.decide(Reason.REJECTED, f"{name} {text}; {until}", incident=alert_id(name))
    breaker.given_up, breaker.proposal, breaker.opened_at = True, "", context.now
    context.touch(LEDGER_KEY)
    context.effects.wakes.append(CLOCK)
    context.effects.alerts.append(Alert(ALERT, name, f"waiting was given up {text}: people are told; {until}"))
    return True
