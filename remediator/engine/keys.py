"""Keys of detectors: made, given back, and no more of a rule than it may have. What they hold is detector.py's."""

from __future__ import annotations

from remediator.engine.context import Alert, Context
from remediator.engine.detector_state import DetectorState
from remediator.model.ids import LEDGER_KEY, detector_key
from remediator.model.reasons import Reason
from remediator.rules.spec import Rule


def key_of(rule: Rule, values: tuple[str, ...]) -> str:
    """The state key of the rule for these values of its `per` fields."""
    return detector_key(rule.id, values)


def create(context: Context, rule: Rule, values: tuple[str, ...]) -> DetectorState | None:
    """An empty memory; None if the rule has as many as it may have."""
    used = context.ledger.detectors.get(rule.id, 0)
    if used >= context.policy.max_keys:
        text = f"rule {rule.id!r} has {used} keys of state, as many as it may; events of further keys are not counted"
        limit(context, rule.id, text)
        return None
    context.ledger.detectors[rule.id] = used + 1
    context.touch(LEDGER_KEY)
    return DetectorState(rule.id, context.rules.shape(rule), values, touched=context.now)


def forget(context: Context, state: DetectorState) -> None:
    """The key is given back."""
    left = context.ledger.detectors.get(state.rule, 0) - 1
    context.ledger.detectors.pop(state.rule, None)
    if left > 0:
        context.ledger.detectors[state.rule] = left
    context.touch(LEDGER_KEY)


def has_room(context: Context, state: DetectorState) -> bool:
    """May a key be kept that only might matter? Half of them are for those that do."""
    return context.ledger.detectors.get(state.rule, 0) <= context.policy.max_keys // 2


def limit(context: Context, rule_id: str, text: str) -> None:
    """Something is not remembered: say so."""
    context.effects.alerts.append(Alert("rule_limit", rule_id, text, Reason.LIMIT_REACHED))
