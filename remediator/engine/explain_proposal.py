"""What a person is asked: the rule behind a proposal, the change that a yes would issue, and what would hold it back.

Read-only, on states of its own that nobody saves, with the functions that issue for real.
"""

from __future__ import annotations

import msgspec

from remediator.engine import approvals, changes, retries
from remediator.engine.context import Context, Effects
from remediator.engine.explain import Live
from remediator.engine.explain_steps import Ground, change_checks
from remediator.engine.explain_views import YES, Check
from remediator.engine.state import Case, DagState
from remediator.engine.steps import RETRY, approval_of, next_step, rule_of
from remediator.model.action import Action
from remediator.model.ids import CONDITIONS_KEY, LEDGER_KEY, WORLD_KEY
from remediator.model.incident import Proposal
from remediator.rules.index import RuleSet
from remediator.rules.spec import Rule, Step

OVER = "nobody waits for this proposal any more"
OTHERS = "it lets all that waits go on, each by its own rule; what each would change is seen when its turn comes"
ASKED_ANEW = "the rule has another step there by now: a yes would be asked for anew"


class Foreseen(msgspec.Struct, frozen=True):
    """What a yes would mean now. action: None with `why_not`, if none can be named.

    rule: by its id, with file and line ('' and 0 of none). step: as 'do 1'. waiting: failures that wait for the answer.
    held_back: what would refuse or put off the change, first asked first.
    """

    action: Action | None = None
    why_not: str = ""
    rule: str = ""
    summary: str = ""
    file: str = ""
    line: int = 0
    mode: str = ""
    step: str = ""
    waiting: int = 0
    held_back: tuple[Check, ...] = ()


def keys_of(proposal: Proposal) -> list[str]:
    """Every key whose state is read."""
    return sorted({WORLD_KEY, LEDGER_KEY, CONDITIONS_KEY, proposal.key})


def foresee(rules: RuleSet, live: Live, proposal: Proposal) -> Foreseen:
    """What a yes to the proposal would issue. live: states of its own; they are changed as a yes would."""
    if proposal.key == WORLD_KEY:
        return _of_breaker(rules, live, proposal)
    state = live.keyed.get(proposal.key)
    found = approvals.find(state, proposal.id) if isinstance(state, DagState) else []
    if not found or not isinstance(state, DagState):
        return Foreseen(why_not=OVER)
    context = Context(key=proposal.key, position=0, now=live.world.now, rules=rules, world=live.world,
                      ledger=live.ledger, conditions=live.conditions, effects=Effects())  # fmt: skip
    return _of_cases(context, state, found)


def _of_cases(context: Context, state: DagState, found: list[tuple[str, Case]]) -> Foreseen:
    run_id, first = found[0]
    rule, step, place = rule_of(context, first.rule), next_step(context, first), f"{first.stage} {first.index + 1}"
    seen = _by(rule, step=place, waiting=len(found))
    if step is None or approval_of(context, first) != first.asked:
        return msgspec.structs.replace(seen, why_not=ASKED_ANEW)
    for _, case in found:
        case.approved[case.asked] = "a person"
    ground = Ground(state, state.dagruns[run_id], first, state.incidents[first.incident])
    held_back = tuple(check for check in change_checks(context, rule, ground, step) if check.verdict != YES)
    wanted = _wanted(context, ground, run_id, [case for _, case in found], step)
    named = {"why_not": wanted} if isinstance(wanted, str) else {"action": wanted}
    return msgspec.structs.replace(seen, held_back=held_back, **named)


def _wanted(context: Context, ground: Ground, run_id: str, cases: list[Case], step: Step) -> Action | str:
    number = ground.run.issued + 1
    if step.action == RETRY:
        chosen = {name: case for name, case in ground.run.cases.items() if any(case is one for one in cases)}
        return retries.wanted(context, ground.state, run_id, chosen, number)
    return changes.wanted(context, ground.state, ground.case, step, number)


def _of_breaker(rules: RuleSet, live: Live, proposal: Proposal) -> Foreseen:
    """Its name is the rule's and the error's."""
    for name, breaker in live.ledger.breakers.items():
        if breaker.proposal == proposal.id and breaker.opened_at is not None:
            rule = rules.rules.get(name.rpartition("/")[0])
            seen = Foreseen() if rule is None else _by(rule)
            return msgspec.structs.replace(seen, why_not=OTHERS, waiting=breaker.waiting)
    return Foreseen(why_not=OVER)


def _by(rule: Rule, *, step: str = "", waiting: int = 0) -> Foreseen:
    return Foreseen(rule=rule.id, summary=rule.summary, file=rule.file, line=rule.line, mode=rule.mode.value,
                    step=step, waiting=waiting)  # fmt: skip
