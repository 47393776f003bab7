"""Scheduled reports: when one is due the question for it is issued, and its answer is told once.

Owns the times. What is in a report is the runtime's, who is told is the route's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from remediator.engine import incident, tell
from remediator.engine.context import Context
from remediator.engine.state import ReportState, WorldState
from remediator.model.action import Action, Report
from remediator.model.ids import stable_id
from remediator.model.incident import REPORT_RULE
from remediator.model.inputs import Reported
from remediator.model.policy import ReportTimes
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, Instant, format_instant

AROUND = 2
"""Days before and after the local one in which a time is looked for."""


def activate(context: Context, world: WorldState) -> None:
    """The times may be others from here on. A report that fell due while nobody decided is told once, late."""
    times = context.policy.report
    if times is None:
        world.report = None
    elif world.report is None or world.report.times != times:
        since = world.report.since if world.report is not None else previous(times, context.now)
        world.report = ReportState(times, following(times, context.now), since)


def issue(context: Context, world: WorldState) -> None:
    """Ask for the report that is due: of all that happened since the last one, however many times were missed."""
    report = world.report
    if report is None or report.pending or context.now < report.due:
        return
    action = Action(
        id=stable_id("report", report.due, report.times.to),
        lane="report",
        key=context.key,
        target="",
        params=Report(report.since, context.now),
        not_before=context.now,
        not_after=context.now + context.policy.action_expiry,
    )
    report.pending = action.id
    report.since, report.due = context.now, following(report.times, context.now)
    context.act(action)


def on_reported(context: Context, world: WorldState, reported: Reported) -> None:
    """Tell it to the route. Nobody is woken, and it ends by itself."""
    report = world.report
    if report is None or report.pending != reported.action_id:
        return
    report.pending = ""
    if reported.error:
        context.decide(Reason.REPORTED, f"there is no report: {reported.error}", action_id=reported.action_id)
        return
    held = incident.open_own(
        context,
        world,
        stable_id("self", "report", reported.action_id),
        Reason.REPORTED,
        reported.summary,
        rule=REPORT_RULE,
        title=f"report until {format_instant(report.since)[:16].replace('T', ' ')} UTC",
        cause=reported.action_id,
        severity="info",
        lasts=context.policy.action_expiry,
        text=reported.text,
    )
    tell.tell(context, held, report.times.to, paged=False)


def due(world: WorldState) -> Instant | None:
    """When the world must be woken for a report."""
    report = world.report
    return None if report is None or report.pending else report.due


def following(times: ReportTimes, now: Instant) -> Instant:
    """The first of the times after `now`. A local time that clocks skip comes that much later."""
    return min(at for at in _around(times, now) if at > now)


def previous(times: ReportTimes, now: Instant) -> Instant:
    """The last of the times until `now`."""
    return max(at for at in _around(times, now) if at <= now)


def _around(times: ReportTimes, now: Instant) -> list[Instant]:
    zone = ZoneInfo(times.zone)
    today = datetime.fromtimestamp(now // SECOND, zone).date()
    days = [today + timedelta(days=offset) for offset in range(-AROUND, AROUND + 1)]
    clock = [(int(hour), int(minute)) for hour, _, minute in (text.partition(":") for text in times.at)]
    moments = (datetime(day.year, day.month, day.day, *at, tzinfo=zone) for day in days for at in clock)
    return [int(moment.timestamp()) * SECOND for moment in moments]
