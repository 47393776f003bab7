"""`airflow.reprocess`: finished dagruns of a range are cleared, missing ones created. Notes and chosen ids prove each.

A call does what it can while its look is fresh and says that there is more; whoever goes on looks first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from remediator.actions.airflow import intervals, routes, verdict
from remediator.actions.airflow.asked import CLEARED_AS, since
from remediator.actions.airflow.client import AirflowClient, Position, next_position
from remediator.actions.airflow.errors import Answered, Fault, Lost, NotSent, TooLarge, Unsayable
from remediator.actions.airflow.intervals import Interval, Plan, Seen
from remediator.actions.airflow.marked import EVENTS, FAILED, Wish, of_dagrun
from remediator.actions.airflow.note import merged
from remediator.actions.airflow.once import Watch, tried
from remediator.actions.airflow.preview import counted, named, reason_of
from remediator.actions.airflow.rows import DagRunRow, instant_of
from remediator.actions.airflow.scope import never_tagged
from remediator.actions.airflow.trigger import unfit
from remediator.actions.airflow.verdict import LATER, SOON, LookAgain
from remediator.actions.port import Preview
from remediator.model.action import Action, Backfill, Guarantee, Reprocess
from remediator.model.outcome import NOT_DONE, Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import SECOND, Instant

NO_DATES = frozenset({400, 422})
"""How Airflow says that it cannot backfill such a DAG or range: nothing is missing then."""


class ReprocessExecutor:
    """The Executor of 'airflow.reprocess'. clients: deployment -> its API."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, clients: Mapping[str, AirflowClient]) -> None:
        self._clients = clients

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Clear and create what is left to do. Every call looks first."""
        client = self._clients.get(action.target)
        if client is None:
            return Refused(f"no API is configured for deployment {action.target!r}")
        watch = Watch()
        seen = await tried(_look(client, action, uncertain=uncertain))
        if isinstance(seen, Fault):
            return _unseen(seen, uncertain=uncertain)
        plan = intervals.planned(seen, action)
        refused = intervals.not_yet(seen, plan, action, uncertain=uncertain) or _unwanted(seen, plan, action)
        refused = refused or never_tagged(seen.dag, _reprocess(action).never_tags)
        if refused is not None:
            return refused
        affects = await tried(_affects(client, action, plan))
        if isinstance(affects, Fault):
            return _unseen(affects, uncertain=uncertain)
        too_many = intervals.forbidden(plan, affects, _reprocess(action).max_affected)
        return too_many or await _done(client, action, plan, watch, uncertain)

    async def prove(self, action: Action) -> Outcome:
        """Notes and chosen ids tell. What is left of a range that was done in part is a person's to decide."""
        client = self._clients.get(action.target)
        if client is None:
            return Unknown(f"no API is configured for deployment {action.target!r}")
        seen = await tried(_look(client, action, uncertain=True))
        if isinstance(seen, Fault):
            return _unseen(seen, uncertain=True)
        plan = intervals.planned(seen, action)
        ended = _unwanted(seen, plan, action)
        if ended is None and plan.done:
            return Unknown(f"done in part: {plan.done} of {counted(plan.done + plan.size, 'dagrun')}")
        return ended or Refused(NOT_DONE)

    async def preview(self, action: Action) -> Preview:
        """What it would clear and create now."""
        client = self._clients.get(action.target)
        if client is None:
            return Preview("", error=f"no API is configured for deployment {action.target!r}")
        seen = await tried(_look(client, action, uncertain=False))
        if isinstance(seen, Fault):
            return Preview("", error=str(seen))
        plan = intervals.planned(seen, action)
        affects = await tried(_count(client, action, plan))
        return (
            Preview("", error=str(affects)) if isinstance(affects, Fault) else _previewed(seen, plan, action, affects)
        )


async def _look(client: AirflowClient, action: Action, *, uncertain: bool) -> Seen:
    wanted = _reprocess(action)
    dag = await client.dag(wanted.dag_id)
    if dag is None:
        return Seen(None)
    attempt, failed = wanted.attempt, None
    if attempt is not None:
        failed = await client.task_instance(wanted.dag_id, wanted.run_id, attempt.task_id, attempt.map_index)
    until = wanted.until + intervals.margin(dag)
    asked = await client.asked(CLEARED_AS, since(action), wanted.dag_id) if uncertain else ()
    runs, dates = await asyncio.gather(_runs(client, wanted, until), _dates(client, wanted, until))
    return Seen(dag, runs, dates, asked, failed, await _theirs(client, wanted, runs))


async def _theirs(client: AirflowClient, wanted: Reprocess, runs: Sequence[DagRunRow]) -> dict[str, Wish]:
    """What people marked failed, of the dagruns that it would clear."""
    failed = [run for run in runs if run.state == FAILED and intervals.begins_in(run, wanted)]
    if not failed:
        return {}
    lines = await client.logged(EVENTS, wanted.dag_id, min(instant_of(run.queued_at) or 0 for run in failed))
    wishes = ((run.dag_run_id, of_dagrun(run, lines)) for run in failed)
    return {run_id: wish for run_id, wish in wishes if wish is not None}


async def _runs(client: AirflowClient, wanted: Reprocess, until: Instant) -> tuple[DagRunRow, ...]:
    rows: list[DagRunRow] = []
    at = Position()
    for _ in range(client.settings.max_pages):
        page = await client.dagruns_between(wanted.dag_id, wanted.since, until, at)
        rows += page.dag_runs
        following = next_position(page, at)
        if following is None:
            return tuple(rows)
        at = following
    raise TooLarge(f"{wanted.dag_id} has more than {len(rows)} dagruns in the range")


async def _dates(client: AirflowClient, wanted: Reprocess, until: Instant) -> tuple[Instant, ...] | None:
    try:
        plan = await client.would_backfill(Backfill(wanted.dag_id, wanted.since, until, "completed"))
    except Unsayable:
        return None
    except Answered as fault:
        if fault.status not in NO_DATES:
            raise
        return ()
    dates = (instant_of(run.logical_date) for run in plan.backfills)
    return tuple(date for date in dates if date is not None)


async def _affects(client: AirflowClient, action: Action, plan: Plan) -> int:
    return await _count(client, action, plan) if _reprocess(action).max_affected else 0


async def _count(client: AirflowClient, action: Action, plan: Plan) -> int:
    dag_id = _reprocess(action).dag_id
    cleared = await client.count(dag_id, [run.dag_run_id for run in plan.clear]) if plan.clear else 0
    return cleared + (len(plan.create) * await client.task_count(dag_id) if plan.create else 0)


async def _done(client: AirflowClient, action: Action, plan: Plan, watch: Watch, uncertain: bool) -> Outcome:
    steps: tuple[DagRunRow | Interval, ...] = (*plan.clear, *plan.create)
    for number, step in enumerate(steps):
        if watch.is_stale:
            return _more(plan, number, uncertain=uncertain)
        answer = await tried(_sent(client, action, step))
        if isinstance(answer, Fault):
            return _stopped(answer, plan, number, uncertain=uncertain)
    return _delivered(plan, action)


async def _sent(client: AirflowClient, action: Action, step: DagRunRow | Interval) -> DagRunRow:
    wanted = _reprocess(action)
    if isinstance(step, DagRunRow):
        note = merged([step.note], action.id, wanted.why)
        return await client.changes.clear_dagrun(wanted.dag_id, step.dag_run_id, note)
    body = routes.trigger_body(step.run_id, step.start, {}, merged([], action.id, wanted.why))
    return await client.changes.trigger(wanted.dag_id, {**body, **routes.interval_body(step.start, step.end)})


def _unseen(fault: Fault, *, uncertain: bool) -> Outcome:
    if isinstance(fault, TooLarge):
        return Unknown(str(fault)) if uncertain else Refused(str(fault))
    return verdict.look_failed(fault, uncertain=uncertain)


def _unwanted(seen: Seen, plan: Plan, action: Action) -> Outcome | None:
    return unfit(seen.dag, _reprocess(action).dag_id) or intervals.settled(plan, action)


def _more(plan: Plan, number: int, *, uncertain: bool) -> RetryAfter:
    text = f"{number} of {counted(plan.size, 'dagrun')} so far"
    return RetryAfter(SECOND, text, uncertain=uncertain or number > 0)


def _stopped(fault: Fault, plan: Plan, number: int, *, uncertain: bool) -> Outcome:
    """What a fault in the middle means. What was sent before it stays done; the next look finds it."""
    text = f"{number} of {counted(plan.size, 'dagrun')}, then {fault}"
    begun = uncertain or number > 0
    if isinstance(fault, NotSent):
        return RetryAfter(LATER, text, uncertain=begun)
    if isinstance(fault, Lost) or (isinstance(fault, Answered) and fault.status in (404, 409)):
        return RetryAfter(SOON, text, uncertain=begun or isinstance(fault, Lost))
    judged = verdict.refused(fault, uncertain=begun)
    outcome = judged.unchanged if isinstance(judged, LookAgain) else judged
    return Unknown(text) if isinstance(outcome, Refused) and begun else outcome


def _delivered(plan: Plan, action: Action) -> Delivered:
    parts = [f"{len(plan.clear)} cleared"] * bool(plan.clear) + [f"{len(plan.create)} created"] * bool(plan.create)
    before = [f"{plan.done} done before"] * bool(plan.done)
    return Delivered(ref=action.id, detail=f"dagruns: {', '.join(parts + before)}{intervals.left(plan)}")


def _previewed(seen: Seen, plan: Plan, action: Action, affects: int) -> Preview:
    refused = unfit(seen.dag, _reprocess(action).dag_id) or never_tagged(seen.dag, _reprocess(action).never_tags)
    refused = refused or intervals.forbidden(plan, 0, 0)
    if refused is not None:
        return Preview("", error=refused.reason)
    cleared = [f"clears {counted(len(plan.clear), 'dagrun')} ({named([run.dag_run_id for run in plan.clear])})"]
    created = [f"creates {counted(len(plan.create), 'dagrun')} ({named([each.run_id for each in plan.create])})"]
    parts = cleared * bool(plan.clear) + created * bool(plan.create)
    text = f"{' and '.join(parts) or 'changes nothing'} of {_reprocess(action).dag_id}{intervals.left(plan)}"
    too_many = intervals.forbidden(plan, affects, _reprocess(action).max_affected)
    return Preview(text, affects, reason_of(too_many))


def _reprocess(action: Action) -> Reprocess:
    assert isinstance(action.params, Reprocess)  # noqa: S101  (the dispatcher picks the executor by kind)
    return action.params
