"""A store that came from a backup: everything open is looked at, and what is found is told in one message.

Owns the count of it, in the ledger. Holds nothing back: that is the freeze's. Decides no case: that is judge's.
"""

from __future__ import annotations

from remediator.engine import feeds, looks
from remediator.engine.context import Alert, Context
from remediator.engine.ledger_state import Restore
from remediator.engine.state import NO_DAGRUN, DagRunState, DagState, WorldState
from remediator.model.ids import LEDGER_KEY
from remediator.model.inputs import Performed, Pressed
from remediator.model.outcome import Delivered, Refused
from remediator.model.policy import Policy
from remediator.model.reasons import Reason
from remediator.model.time import Instant, format_instant

ALERT = "restored"
SUBJECT = "store"


def begin(context: Context, world: WorldState, pressed: Pressed) -> None:
    """The store is a backup: sweep every deployment at once, from where the old store had got to."""
    known = [mark for name in world.feeds if (mark := feeds.watermark(world.feeds, name, context.policy))]
    since = min([*known, *(sweep.since for sweep in world.sweeps.values())], default=context.now)
    for sweep in world.sweeps.values():
        sweep.due = context.now
    context.ledger.restore = Restore(pressed.actor, min(since, context.now), context.now, pressed.actions)
    context.touch(LEDGER_KEY)
    context.decide(Reason.RESTORED, "the store is a backup: nothing is changed until a person thaws it")


def activated(context: Context) -> None:
    """The daemon begins: from here on it has so long to find out."""
    found = context.ledger.restore
    if found is not None and found.due is None:
        found.due = context.now + context.policy.hold_max
        context.touch(LEDGER_KEY)


def look_at(context: Context, state: DagState) -> None:
    """Ask the scheduler anew for every dagrun of the DAG that the old store had something open about."""
    found, deployment = context.ledger.restore, context.deployment(state.deployment)
    if found is None:
        return
    for run_id, run in state.dagruns.items():
        if not run.is_open:
            continue
        found.cases += len(run.cases)
        if run_id != NO_DAGRUN and deployment is not None and deployment.has_api:
            run.restored = True
            found.dagruns += 1
            looks.want_fresh(run, context.now)
    context.touch(LEDGER_KEY)


def looked(context: Context, run: DagRunState, before: set[str]) -> None:
    """A look has answered. before: the dagrun's cases before it was judged."""
    found = context.ledger.restore
    if found is None or not run.restored:
        return
    run.restored = False
    found.looked += 1
    found.healed += len(before - set(run.cases))
    context.touch(LEDGER_KEY)
    tell_when_known(context, context.world)


def proved(context: Context, performed: Performed) -> None:
    """It was found out what became of an action that the old store still held, or perhaps had done."""
    found = context.ledger.restore
    if found is None:
        return
    if isinstance(performed.outcome, Delivered):
        found.done += 1
    elif isinstance(performed.outcome, Refused):
        found.not_done += 1
    else:
        found.unknown += 1
    # What was decided anew on what the journal held then is proved, too, and the store could not count it.
    found.actions = max(found.actions, found.done + found.not_done + found.unknown)
    context.touch(LEDGER_KEY)
    tell_when_known(context, context.world)


def tell_when_known(context: Context, world: WorldState) -> None:
    """Once everything is known, or its time is over."""
    found = context.ledger.restore
    if found is None or found.told or found.due is None:
        return
    if context.now >= found.due or not missing(context.policy, world, found):
        _tell(context, world, found)


def thawed(context: Context, world: WorldState) -> None:
    """A person has lifted the freeze: what is not known by now is not waited for."""
    found = context.ledger.restore
    if found is None:
        return
    if not found.told:
        _tell(context, world, found, frozen=False)
    else:
        text = f"thawed; {found.told}"
        context.effects.alerts.append(Alert(ALERT, SUBJECT, text, Reason.RECOVERED, is_over=True))
    context.ledger.restore = None
    context.touch(LEDGER_KEY)


def due(context: Context) -> Instant | None:
    """When what was found is told at the latest."""
    found = context.ledger.restore
    return None if found is None or found.told else found.due


def missing(policy: Policy, world: WorldState, found: Restore) -> list[str]:
    """What is not known yet, in words."""
    proved = found.done + found.not_done + found.unknown
    silent = [
        name
        for name, sweep in sorted(world.sweeps.items())
        if sweep.pending or sweep.due <= found.at or sweep.failing_since is not None
    ]
    names = sorted({one.feed for one in policy.deployments.values()})
    behind = [name for name in names if feeds.watermark(world.feeds, name, policy) < found.at]
    said = (
        (f"{found.actions - proved} actions", found.actions > proved),
        (f"{found.dagruns - found.looked} dagruns", found.dagruns > found.looked),
        (f"what deployment {', '.join(silent)} would answer", bool(silent)),
        (f"what feed {', '.join(behind)} holds", bool(behind)),
    )
    return [text for text, is_so in said if is_so]


def words(policy: Policy, world: WorldState, found: Restore) -> str:
    """What was found so far, and what is not known yet."""
    left = missing(policy, world, found)
    return "; not known yet: ".join([_counted(found), *([", ".join(left)] if left else [])])


def _counted(found: Restore) -> str:
    return (
        f"of {found.cases} open cases {found.healed} were healed or moved on meanwhile; of {found.actions} actions "
        f"that the outbox still held {found.done} turned out done, {found.not_done} not done, {found.unknown} unknown; "
        f"what happened from {format_instant(found.since)} to {format_instant(found.at)} "
        "is read and asked for again"
    )


def _tell(context: Context, world: WorldState, found: Restore, *, frozen: bool = True) -> None:
    found.told = text = words(context.policy, world, found)
    context.touch(LEDGER_KEY)
    then = "; nothing is changed until 'remediator freeze off'" if frozen else ""
    context.effects.alerts.append(Alert(ALERT, SUBJECT, f"put back by {found.by}: {text}{then}", Reason.RESTORED))
