"""Telling people: a route's destinations are told once per episode, and the same message is edited as things change.

Owns the life of notifications. Decides neither whether to tell nor whether an incident is over.
"""

from __future__ import annotations

from remediator.engine import incident as incidents
from remediator.engine import ledger
from remediator.engine.context import Alert, Context
from remediator.engine.state import DagState, OpenIncident, Told, WorldState
from remediator.model.action import Action, LogLine, Message, Page, Params
from remediator.model.ids import stable_id
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.inputs import Performed
from remediator.model.outcome import Delivered, Refused, Unknown
from remediator.model.policy import Destination, Route
from remediator.model.reasons import Reason

PAGERDUTY = "pagerduty.page"
SLACK = "slack.message"
LOG = "log"
DIGEST = "page_digest"


def tell(context: Context, held: OpenIncident, route_name: str, *, paged: bool) -> None:
    """Tell every destination of the route that was not told in this episode yet."""
    incident = held.incident
    route = context.policy.routes.get(route_name)
    if route is None or not route.destinations:
        context.decide(Reason.REFUSED, f"route {route_name!r} has no destination", incident=incident.id)
        return
    places = route.destinations if paged else _waking_nobody(route.destinations)
    new = [item for item in places if not _knows(held, item, paged=paged)]
    if not new:
        context.decide(Reason.ALREADY_TOLD, f"route {route_name!r} knows of this episode", incident=incident.id)
    if new and paged and not ledger.page_allowed(context, route_name, route.pages_per_hour):
        _digest(context, held, route_name)
        paged, waking_nobody = False, [item for item in places if item.kind != PAGERDUTY]
        unseen = [item for item in waking_nobody if not _knows(held, item, paged=False)]
        new = unseen if incident.proposals else []  # a question must not expire unseen
    for destination in new:
        again = any(told.destination == destination for told in held.told)
        told = Told(destination, route_name, "", paged, name="tell-page" if again else "tell")
        held.told.append(told)
        _start(context, held, told)


def _digest(context: Context, held: OpenIncident, route: str) -> None:
    """The page joins the digest of its route, once."""
    context.decide(Reason.DIGESTED, f"route {route!r} has had its pages of this hour", incident=held.incident.id)
    if route in held.digested:
        return
    held.digested.append(route)
    incidents.change(context, held, paged=any(told.paged for told in held.told))
    text = ledger.digest(context, route, held.incident.title)
    context.effects.alerts.append(Alert(DIGEST, route, text, Reason.DIGESTED, route))


def _waking_nobody(destinations: tuple[Destination, ...]) -> tuple[Destination, ...]:
    """Who is told without being woken: a pager is left out, unless there is nothing else."""
    return tuple(item for item in destinations if item.kind != PAGERDUTY) or destinations


def _knows(held: OpenIncident, destination: Destination, *, paged: bool) -> bool:
    """Was it told there? A message that nobody was to be woken by does not count as a page; a pager's alert does."""
    known = [told for told in held.told if told.destination == destination]
    return any(told.paged or not paged or destination.kind != SLACK for told in known)


def is_edited(held: OpenIncident) -> bool:
    """Is there a message that shows how it stands, or will there be?"""
    return any(told.destination.kind == SLACK and told.state in ("pending", "done") for told in held.told)


def trigger_again(context: Context, held: OpenIncident) -> None:
    """Pagers show what they were last triggered with: trigger again under the same key."""
    for told in held.told:
        if told.destination.kind == PAGERDUTY and told.state == "done":
            _trigger(context, held, told)
        elif told.destination.kind == PAGERDUTY and told.state == "pending":
            told.stale = True


def _trigger(context: Context, held: OpenIncident, told: Told) -> None:
    held.edits += 1
    _act(context, held.incident, told.destination, f"again-{held.edits}", told.ref)


def write_log(context: Context, held: OpenIncident) -> None:
    """A line in the daemon's own log, once per episode."""
    destination = Destination(LOG)
    if not _knows(held, destination, paged=False):
        told = Told(destination, "", "", paged=False)
        held.told.append(told)
        _start(context, held, told)


def _start(context: Context, held: OpenIncident, told: Told) -> None:
    what = f"{told.name}-{told.tries}" if told.tries else told.name
    action = _action(context, held.incident, told.destination, what, "")
    told.action_id, told.state = action.id, "pending"
    context.act(action)
    place = f"{told.destination.kind} {told.destination.channel or told.destination.receiver}".strip()
    reason = Reason.PAGED if told.paged else Reason.NOTIFIED
    by = f" by route {told.route!r}" if told.route else ""
    context.decide(reason, f"{place}{by}", incident=held.incident.id, action_id=action.id)


def try_again(context: Context, held: OpenIncident) -> None:
    """The failure goes on: whoever could not be told is told now. What may have arrived is not repeated."""
    for told in held.told:
        if told.state == "failed":
            told.tries += 1
            _start(context, held, told)


def update(context: Context, held: OpenIncident) -> None:
    """The incident has changed: edit what was posted, resolve what was triggered, drop what is still waiting."""
    for told in held.told:
        if told.destination.kind == SLACK:
            _edit(context, held, told)
        elif held.incident.phase is Phase.RESOLVED:
            _end(context, held, told)


def show_handling(context: Context, state: DagState, identity: str, handling: Handling, status: str) -> None:
    """Change how the incident is handled, and edit what people were shown."""
    held = state.incidents.get(identity)
    if held is not None and (held.incident.handling, held.incident.status) != (handling, status):
        incidents.change(context, held, handling=handling, status=status)
        update(context, held)


def _edit(context: Context, held: OpenIncident, told: Told) -> None:
    if told.state != "done":
        told.stale = True
        if told.state == "pending" and held.incident.phase is Phase.RESOLVED:
            context.effects.cancels.append((told.action_id, "the incident is resolved"))
        return
    held.edits += 1
    _act(context, held.incident, told.destination, f"edit-{held.edits}", told.ref)


def _show_again(context: Context, held: OpenIncident, told: Told) -> None:
    """It has changed while it was told; a pager's alert whose incident is over is about to be resolved."""
    if told.destination.kind == SLACK:
        _edit(context, held, told)
    elif held.incident.phase is not Phase.RESOLVED:
        _trigger(context, held, told)


def _end(context: Context, held: OpenIncident, told: Told) -> None:
    if told.state == "pending":
        context.effects.cancels.append((told.action_id, "the incident is resolved"))
    if told.destination.kind == PAGERDUTY or (told.destination.kind == LOG and told.state == "done"):
        _act(context, held.incident, told.destination, "resolve", told.ref)


def delivered(
    context: Context, held: OpenIncident, told: Told, outcome: Delivered | Refused | Unknown, *, proved: bool = False
) -> None:
    """A first telling has ended: remember where it is, or use the fallback.

    proved: it was held by a backup; what was not done is done anew if a look says that the failure goes on.
    """
    if isinstance(outcome, Delivered):
        told.state, told.ref = "done", outcome.ref
        context.decide(
            Reason.DELIVERED, f"{told.destination.kind}", incident=held.incident.id, action_id=told.action_id
        )
        if told.stale:
            told.stale = False
            _show_again(context, held, told)
        return
    repeatable = isinstance(outcome, Refused) or told.destination.kind == PAGERDUTY
    told.state = "failed" if repeatable else "unknown"
    name = type(outcome).__name__.lower()
    reason = Reason.REFUSED if isinstance(outcome, Refused) else Reason.OUTCOME_UNKNOWN
    text = f"{told.destination.kind} {told.destination.receiver or told.destination.channel}: {outcome.reason}"
    context.decide(reason, text, incident=held.incident.id, action_id=told.action_id)
    if not (proved and repeatable):
        _fall_back(context, held, told, f"{name}: {outcome.reason}")


def _fall_back(context: Context, held: OpenIncident, told: Told, text: str) -> None:
    route = context.policy.routes.get(told.route)
    if route is not None and route.fallback:
        context.decide(Reason.FALLBACK_ROUTE, f"{told.route!r} failed, using {route.fallback!r}",
                       incident=held.incident.id)  # fmt: skip
        tell(context, held, route.fallback, paged=told.paged)
    if route is not None and held.incident.rule == f"self.{DIGEST}":
        _wake_if_unseen(context, held, route)
    context.effects.alerts.append(Alert("notification_failed", told.route, f"{told.destination.kind}: {text}"))


def _wake_if_unseen(context: Context, held: OpenIncident, route: Route) -> None:
    """A digest stands for pages: if nobody can be shown it without being woken, somebody is."""
    if any(told.state in ("pending", "done") for told in held.told):
        return
    for destination in route.destinations:
        if destination.kind == PAGERDUTY and not _knows(held, destination, paged=True):
            told = Told(destination, route.name, "", paged=True)
            held.told.append(told)
            _start(context, held, told)


def on_outcome(context: Context, state: DagState | WorldState, performed: Performed) -> None:
    """An action that may have been a first telling has ended. After the incident's end only what arrived counts."""
    action_id, outcome = performed.action_id, performed.outcome
    ending = state.ending.pop(action_id, None)
    wanted = ending is None or any(told.of_end for told in ending.told if told.action_id == action_id)
    if not wanted and not isinstance(outcome, Delivered):
        return
    for held in [ending] if ending is not None else list(state.incidents.values()):
        told = next((told for told in held.told if told.action_id == action_id), None)
        if told is not None:
            count = len(held.told)
            delivered(context, held, told, outcome, proved=performed.proved)
            if ending is not None:
                told_of_end(state, held, count)


def told_of_end(state: DagState | WorldState, held: OpenIncident, first: int) -> None:
    """What is told of an incident after its end, from the telling of this number on, has an outcome too."""
    for told in held.told[first:]:
        told.of_end = True
        state.ending[told.action_id] = held


def _act(context: Context, incident: Incident, destination: Destination, what: str, ref: str) -> None:
    context.act(_action(context, incident, destination, what, ref))


def _action(context: Context, incident: Incident, destination: Destination, what: str, ref: str) -> Action:
    place = f"{destination.kind}:{destination.receiver}:{destination.channel}"
    is_first = what.startswith("tell")
    return Action(
        id=stable_id("tell", incident.id, incident.cause, place, what),
        lane=f"tell:{place}:{incident.id}",
        key=context.key,
        target=destination.receiver,
        params=_params(incident, destination, ref),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
        incident=incident.id,
        replaces="" if is_first or destination.kind != SLACK else f"edit:{incident.id}:{ref}",
    )


def _params(incident: Incident, destination: Destination, ref: str) -> Params:
    if destination.kind == SLACK:
        return Message(incident=incident, channel=destination.channel, ref=ref)
    if destination.kind == PAGERDUTY:
        verb = "resolve" if incident.phase is Phase.RESOLVED else "trigger"
        return Page(incident=incident, event_action=verb, dedup_key=f"{incident.id}-{incident.episode}")
    return LogLine(incident=incident, text=incident.status or incident.title)
