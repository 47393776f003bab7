"""The step of the world's key: feeds, freeze, sweeps, and the daemon's alerts about itself.

Owns what is not one DAG's. Never looks into a DAG's state: it reaches DAGs by nudges and clocks only.
"""

from __future__ import annotations

from remediator.engine import breakers, feeds, incident, ledger, reports, restore, surveys, tell
from remediator.engine.context import Alert, Context
from remediator.engine.state import FeedState, Freeze, OpenIncident, SweepState, WorldState
from remediator.model.action import Action, Sweep
from remediator.model.ids import stable_id
from remediator.model.incident import REPORT_RULE
from remediator.model.inputs import Activated, Gap, Performed, Pressed, Swept, Unmapped, Watermark
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, Instant, format_duration

RENEWED = (tell.DIGEST, breakers.ALERT)
"""Alerts whose text goes on while they are open."""
NEVER: Instant = 2**62
MAX_OF_A_KIND = 50
MAX_ALERTS = 500
"""Open self-alerts; more of them say nothing new."""
MAX_EPISODES = 2_000
"""Subjects whose number of alerts is remembered; what sets actions apart is their cause, not this number."""


# -- rules and the freeze -----------------------------------------------------------------------------------------


def on_activated(context: Context, world: WorldState, activated: Activated) -> None:
    """A rule set decides from here on, and this program has just begun or reloaded."""
    world.rule_set = activated.rule_set
    world.armed_at = context.now
    for name, deployment in context.policy.deployments.items():
        if deployment.has_api and name not in world.sweeps:
            world.sweeps[name] = SweepState(since=context.now, due=context.now + context.policy.sweep_every)
    surveys.activate(context, world)
    restore.activated(context)
    reports.activate(context, world)
    for name in list(world.sweeps):
        known = context.deployment(name)
        if known is None or not known.has_api:
            del world.sweeps[name]


def on_pressed(context: Context, world: WorldState, pressed: Pressed) -> None:
    """The freeze is pressed on or off."""
    world.frozen = pressed.command in ("freeze", "restored")
    world.freeze = Freeze(pressed.actor, context.now, pressed.reason) if world.frozen else None
    if pressed.command == "restored":
        restore.begin(context, world, pressed)
    elif not world.frozen:
        restore.thawed(context, world)
    text = f"{pressed.command} by {pressed.actor}" + (f": {pressed.reason}" if pressed.reason else "")
    context.decide(Reason.FROZEN if world.frozen else Reason.THAWED, text)


def on_answered(context: Context, world: WorldState, pressed: Pressed) -> None:
    """A person has said yes or no to a question that is not one DAG's."""
    if not breakers.answer(context, pressed):
        context.decide(Reason.DUPLICATE, f"{pressed.command} of a proposal that is over, by {pressed.actor}")


# -- feeds --------------------------------------------------------------------------------------------------------


def on_watermark(context: Context, world: WorldState, mark: Watermark) -> None:
    """A partition was read further."""
    feed = world.feeds.setdefault(mark.feed, FeedState())
    feeds.hear(feed, mark, context.now)
    if feed.blind:
        feed.blind = False
        context.decide(Reason.FEED_BACK, f"feed {mark.feed!r} is read again")
        _end_alert(context, world, "feed_blind", mark.feed, "the feed is read again")


def on_gap(context: Context, world: WorldState, gap: Gap) -> None:
    """The broker dropped records: sweep the feed's deployments from before the gap."""
    read_to = world.feeds.get(gap.feed, FeedState()).partitions.get(f"{gap.topic}/{gap.partition}", gap.since)
    since = min(read_to, gap.since) - context.policy.sweep_overlap
    for name, deployment in context.policy.deployments.items():
        sweep = world.sweeps.get(name)
        if deployment.feed == gap.feed and sweep is not None:
            sweep.since = min(sweep.since, since)
            sweep.due = context.now
    what = f"offsets {gap.first} to {gap.last} are gone" if gap.first >= 0 else "the topic was created anew"
    text = f"{gap.topic}/{gap.partition}: {what}; sweeping for what was lost"
    on_alert(context, world, Alert("gap", f"{gap.feed}/{gap.topic}/{gap.partition}", text, Reason.GAP_FOUND))


def on_unmapped(context: Context, world: WorldState, found: Unmapped) -> None:
    """Events came that no deployment claims, or several do."""
    claims = f"claimed by {', '.join(found.claimed_by)}" if found.claimed_by else "claimed by no deployment"
    text = f"events of namespace {found.namespace!r} on topic {found.topic!r} are {claims}: observed only"
    on_alert(context, world, Alert("unmapped", f"{found.feed}/{found.topic}/{found.namespace}", text))


# -- sweeps -------------------------------------------------------------------------------------------------------


def on_swept(context: Context, world: WorldState, swept: Swept) -> None:
    """The reconciler answered: nudge the dagruns it found, and go on from there."""
    sweep = world.sweeps.get(swept.deployment)
    if sweep is None or sweep.pending != swept.action_id:
        return
    sweep.pending = ""
    if swept.error:
        _on_sweep_failed(context, world, swept, sweep)
        return
    if sweep.failing_since is not None:
        sweep.failing_since = None
        _end_alert(context, world, "deployment_unreachable", swept.deployment, "the deployment answers again")
    if swept.since <= sweep.since:  # else a gap asked for an earlier beginning meanwhile: it is still to be swept
        sweep.since = max(sweep.since, swept.until - context.policy.sweep_overlap)
    context.effects.nudges.extend((swept.deployment, ref) for ref in swept.dagruns)


def _on_sweep_failed(context: Context, world: WorldState, swept: Swept, sweep: SweepState) -> None:
    if sweep.failing_since is None:
        sweep.failing_since = context.now
    down = context.now - sweep.failing_since
    if down >= context.policy.blind_after:
        text = f"deployment {swept.deployment!r} has not answered for {format_duration(down)}: {swept.error}"
        on_alert(context, world, Alert("deployment_unreachable", swept.deployment, text, Reason.UNREACHABLE))


def _issue_sweeps(context: Context, world: WorldState) -> None:
    for name, sweep in world.sweeps.items():
        if sweep.pending or sweep.due > context.now:
            continue
        sweep.number += 1
        sweep.due = context.now + context.policy.sweep_every
        action = Action(
            id=stable_id("sweep", name, sweep.number, context.position),
            lane=f"sweep:{name}",
            key=context.key,
            target=name,
            params=Sweep(since=sweep.since),
            not_before=context.now,
            not_after=context.now + context.policy.action_expiry,
        )
        sweep.pending = action.id
        context.act(action)


# -- self-alerts --------------------------------------------------------------------------------------------------


def on_alert(context: Context, world: WorldState, alert: Alert) -> None:
    """Open an incident about ourselves and tell the route for that; one that is open says nothing new."""
    identity = stable_id("self", alert.kind, alert.subject)
    known = world.incidents.get(identity)
    if alert.is_over:
        _close_alert(context, world, identity, alert.reason, alert.text)
    elif known is not None and alert.kind in RENEWED:
        _renew(context, known, alert)
    elif known is None and not _is_crowded(world, alert.kind):
        _open_alert(context, world, identity, alert)


def _renew(context: Context, known: OpenIncident, alert: Alert) -> None:
    incident.change(context, known, status=alert.text, error=alert.text, proposals=alert.proposals)
    tell.update(context, known)
    is_edited = tell.is_edited(known)
    tell.try_again(context, known)
    if alert.kind == tell.DIGEST and ledger.is_worth_repeating(context, alert.subject, is_edited=is_edited):
        tell.trigger_again(context, known)
    elif alert.paged:
        tell.tell(context, known, alert.route, paged=True)


def _open_alert(context: Context, world: WorldState, identity: str, alert: Alert) -> None:
    episode = world.episodes.get(identity, 0) + 1
    world.episodes[identity] = episode
    if len(world.episodes) > MAX_EPISODES:
        del world.episodes[next(iter(world.episodes))]
    held = incident.open_own(
        context,
        world,
        identity,
        alert.reason,
        alert.text,
        rule=f"self.{alert.kind}",
        title=f"{alert.kind.replace('_', ' ')}: {alert.subject}",
        cause=str(context.now),
        severity="warning",
        lasts=HOUR if alert.kind == tell.DIGEST else context.policy.self_alert_every,
        episode=episode,
        error=alert.text,
        proposals=alert.proposals,
    )
    tell.tell(context, held, alert.route or context.policy.self_route, paged=alert.paged)


def _is_crowded(world: WorldState, kind: str) -> bool:
    """Many alerts of one kind say nothing new, and leave room for those of other kinds."""
    same = sum(1 for held in world.incidents.values() if held.incident.rule == f"self.{kind}")
    return same >= MAX_OF_A_KIND or len(world.incidents) >= MAX_ALERTS


def _end_alert(context: Context, world: WorldState, kind: str, subject: str, text: str) -> None:
    _close_alert(context, world, stable_id("self", kind, subject), Reason.RECOVERED, text)


def _close_alert(context: Context, world: WorldState, identity: str, reason: Reason, text: str) -> None:
    world.alert_due.pop(identity, None)
    held = incident.close(context, world, identity, reason, text)
    if held is not None and held.incident.rule == f"self.{tell.DIGEST}":
        ledger.digest_over(context, held.incident.title.rpartition(": ")[2])
    if held is not None and held.incident.rule != REPORT_RULE:
        tell.update(context, held)


def on_performed(context: Context, world: WorldState, performed: Performed) -> None:
    """A telling about ourselves has ended. If that fails there is nobody left to tell but the log and the metrics."""
    if performed.proved:
        restore.proved(context, performed)
    tell.on_outcome(context, world, performed)
    for held in world.incidents.values() if performed.proved else ():
        if any(told.action_id == performed.action_id for told in held.told):
            tell.try_again(context, held)  # no look will ever say that it goes on


# -- time ---------------------------------------------------------------------------------------------------------


def settle(context: Context, world: WorldState) -> None:
    """Ends every step: whatever is due by now is done. Sweep, expire alerts, and notice feeds that nobody reads."""
    _issue_sweeps(context, world)
    surveys.issue(context, world)
    reports.issue(context, world)
    restore.tell_when_known(context, world)
    for name in _feeds(context):
        feed = world.feeds.setdefault(name, FeedState())
        if not feed.blind and context.now >= _blind_at(context, world, feed):
            feed.blind = True
            text = f"feed {name!r} has not been read for {format_duration(context.policy.blind_after)}"
            on_alert(context, world, Alert("feed_blind", name, text, Reason.FEED_BLIND))
    for identity, due in list(world.alert_due.items()):
        if due <= context.now and identity in breakers.alerts(context):
            world.alert_due[identity] = context.now + context.policy.self_alert_every
        elif due <= context.now:
            _close_alert(context, world, identity, Reason.INCIDENT_EXPIRED, "told long enough ago to be told again")


def _feeds(context: Context) -> list[str]:
    return sorted({deployment.feed for deployment in context.policy.deployments.values()})


def _blind_at(context: Context, world: WorldState, feed: FeedState) -> Instant:
    return max(feed.heard_at, world.armed_at) + context.policy.blind_after


def timers(context: Context, world: WorldState) -> dict[str, Instant]:
    """When the world must be woken."""
    dues = [sweep.due for sweep in world.sweeps.values() if not sweep.pending]
    dues += [survey.due for survey in world.surveys.values() if not survey.pending]
    dues += world.alert_due.values()
    dues += [due for due in (restore.due(context), reports.due(world)) if due is not None]
    known = [world.feeds.get(name, FeedState()) for name in _feeds(context)]
    dues += [_blind_at(context, world, feed) for feed in known if not feed.blind]
    due = min(dues, default=NEVER)
    return {} if due == NEVER else {"now": due}
