"""Incidents: opening, joining, changing and resolving them. Who is told is tell.py's; why is the caller's."""

from __future__ import annotations

import msgspec

from remediator.engine.context import Context
from remediator.engine.state import Case, DagState, OpenIncident, WorldState
from remediator.model.event import Event
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Incident, Phase, Proposal
from remediator.model.reasons import Reason
from remediator.model.time import Duration
from remediator.rules.clauses import key_values
from remediator.rules.scene import Scene
from remediator.rules.spec import Rule

MAX_DAGRUNS_LISTED = 20
MAX_ERROR_SHOWN = 500
MAX_EPISODES = 2_000


def incident_id(deployment: str, dag_id: str, task_id: str) -> str:
    """The identity of a task's incident: all dagruns of one failing task are one problem."""
    return stable_id("incident", deployment, dag_id, task_id)


def identity_of(rule: Rule, event: Event) -> str:
    """The identity of a final failure's incident: the rule's group, else its task."""
    if not rule.group:
        return incident_id(event.deployment, event.dag_id or "", event.task_id or "")
    values = [key_values((field,), event) for field in rule.group]
    return stable_id("incident", "rule", rule.id, ["" if isinstance(one, str) else one[0] for one in values])


def scene(context: Context, rule: Rule, case: Case, incident: Incident | None) -> Scene:
    """What texts and conditions of steps may speak of."""
    return Scene(event=case.event, rule=rule, match=case.match, firing=case.view, incident=incident, now=context.now)


def open_or_join(context: Context, state: DagState, case: Case, rule: Rule, run_id: str, title: str) -> OpenIncident:
    """The failure belongs to its case's incident, which is opened if it is not open."""
    event, identity = case.event, case.incident
    task_id = (event.task_id or "") if state.dag_id else ""  # of many DAGs no single task is the place
    if rule.title:
        title = context.rules.render(rule.title, scene(context, rule, case, None))
    found = state.incidents.get(identity)
    if found is not None:
        old = found.incident
        runs = old.dagruns if not run_id or run_id in old.dagruns else (*old.dagruns, run_id)[-MAX_DAGRUNS_LISTED:]
        change(context, found, dagruns=runs, failures=old.failures + 1, rule=rule.id, error=_error_of(event),
               log_url=event.log_url or old.log_url, severity=rule.severity, runbook=rule.runbook,
               labels=rule.labels)  # fmt: skip
        context.decide(Reason.INCIDENT_JOINED, f"failure {old.failures + 1} of this incident", incident=identity)
        return found
    episode = state.episodes.get(identity, 0) + 1
    state.episodes[identity] = episode
    _forget_episodes(state)
    incident = Incident(
        id=identity,
        episode=episode,
        cause=f"{run_id}/{event.task_id}/{event.map_index}/{event.try_number}/{event.time}"
        if run_id
        else f"{event.time}",
        title=title,
        severity=rule.severity,
        deployment=state.deployment,
        phase=Phase.FIRING,
        handling=Handling.NONE,
        opened_at=context.now,
        updated_at=context.now,
        dag_id=state.dag_id,
        task_id=task_id,
        rule=rule.id,
        owner=rule.owner or event.owner or "",
        error=_error_of(event),
        log_url=event.log_url or "",
        dagruns=(run_id,) if run_id else (),
        failures=1,
        runbook=rule.runbook,
        labels=rule.labels,
    )
    state.incidents[identity] = held = OpenIncident(incident)
    context.changed(incident)
    context.decide(Reason.INCIDENT_OPENED, f"episode {episode}: {incident.title}", incident=identity, rule=rule.id)
    return held


def open_own(
    context: Context,
    world: WorldState,
    identity: str,
    reason: Reason,
    status: str,
    *,
    rule: str,
    title: str,
    cause: str,
    severity: str,
    lasts: Duration,
    episode: int = 1,
    error: str = "",
    text: str = "",
    proposals: tuple[Proposal, ...] = (),
) -> OpenIncident:
    """Open an incident of the daemon about itself, which belongs to no deployment and ends `lasts` from now."""
    opened = Incident(
        id=identity,
        episode=episode,
        cause=cause,
        title=f"remediator: {title}",
        severity=severity,
        deployment="",
        phase=Phase.FIRING,
        handling=Handling.NONE,
        opened_at=context.now,
        updated_at=context.now,
        rule=rule,
        error=error,
        status=status,
        text=text,
        proposals=proposals,
    )
    world.incidents[identity] = held = OpenIncident(opened)
    world.alert_due[identity] = context.now + lasts
    context.changed(opened)
    context.decide(reason, status, incident=identity)
    return held


def _forget_episodes(state: DagState) -> None:
    """What sets an episode's actions apart is its cause; the number may begin again."""
    if len(state.episodes) > MAX_EPISODES:
        del state.episodes[next(iter(state.episodes))]


def _error_of(event: Event) -> str:
    if event.error is None:
        return ""
    parts = [part for part in (event.error.type, event.error.message) if part]
    return ": ".join(parts)[:MAX_ERROR_SHOWN]


def change(context: Context, held: OpenIncident, **fields: object) -> None:
    """Change the incident's fields; it becomes visible with the commit."""
    held.incident = msgspec.structs.replace(held.incident, updated_at=context.now, **fields)
    context.changed(held.incident)


def close(
    context: Context,
    state: DagState | WorldState,
    identity: str,
    reason: Reason,
    text: str,
    *,
    helped: bool = False,
) -> OpenIncident | None:
    """Resolve the incident and forget it, but for its number of episodes. Returns what was open."""
    held = state.incidents.pop(identity, None)
    if held is None:
        return None
    state.ending.update((told.action_id, held) for told in held.told if told.state == "pending")
    change(context, held, phase=Phase.RESOLVED, handling=Handling.NONE, status=text, resolution=reason.value,
           proposals=(),
           resolved_at=context.now, helped=helped)  # fmt: skip
    context.decide(Reason.INCIDENT_RESOLVED, f"{reason.value}: {text}", incident=identity)
    return held
