"""Which dagruns a reprocessing clears and which it creates. Pure; Airflow's own backfill dry run knows the schedule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

import msgspec

from remediator.actions.airflow.asked import Lines, may_have_cleared
from remediator.actions.airflow.marked import Wish
from remediator.actions.airflow.note import is_ours
from remediator.actions.airflow.preview import counted, short_instant
from remediator.actions.airflow.resources import DagRow
from remediator.actions.airflow.rows import OVER_STATES, DagRunRow, TaskInstanceRow, instant_of
from remediator.actions.airflow.verdict import SOON, is_expected, moved_on, too_many
from remediator.model.action import Action, Reprocess
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import DAY, Duration, Instant

MOST_DAGRUNS = 100
"""How many dagruns one action may touch, whoever approves it."""

LONGEST_GAP: Duration = 4 * DAY
"""Between dates of a schedule that leaves nights, weekends and a holiday out."""
MOST_BEYOND = 100
"""How many dates beyond the range it may cost to find the end of the last one in it."""


class Interval(msgspec.Struct, frozen=True):
    """A data interval without a dagrun. end == start where the schedule has points and no intervals."""

    start: Instant
    end: Instant

    @property
    def run_id(self) -> str:
        """The id that makes its creation harmless to repeat."""
        return f"remediator__{short_instant(self.start)}"


class Seen(msgspec.Struct, frozen=True):
    """What the scheduler says.

    runs: every dagrun by logical date from `since` to some intervals after `until`. dates: those that its schedule
    has there, without what is in flight; none if it has no schedule, None if the API does not tell them (v1). asked:
    clears that somebody asked for since, if any can be ours. failed: what failed in the dagrun that it is wanted for.
    theirs: dagruns that a person wants to be failed, by id.
    """

    dag: DagRow | None
    runs: tuple[DagRunRow, ...] = ()
    dates: tuple[Instant, ...] | None = ()
    asked: Lines = ()
    failed: TaskInstanceRow | None = None
    theirs: Mapping[str, Wish] = {}


class Plan(msgspec.Struct, frozen=True):
    """clear: finished dagruns. create: what is missing. The rest is left: done by us, in flight, moved on by others, or
    marked failed by a person.

    is_blind: nobody can tell what is missing.
    """

    clear: tuple[DagRunRow, ...] = ()
    create: tuple[Interval, ...] = ()
    done: int = 0
    in_flight: int = 0
    moved: int = 0
    marked: int = 0
    is_blind: bool = False

    @property
    def size(self) -> int:
        """How many dagruns are still to be touched."""
        return len(self.clear) + len(self.create)


def margin(dag: DagRow) -> Duration:
    """How far beyond `until` to look, so that the last interval's end is found, over a weekend or a longer month."""
    length = _length(dag)
    return max(2 * length, min(LONGEST_GAP, MOST_BEYOND * length))


def planned(seen: Seen, action: Action) -> Plan:
    """What is to be done with each data interval that begins in [since, until)."""
    assert isinstance(action.params, Reprocess)  # noqa: S101  (the dispatcher picks the executor by kind)
    wanted = action.params
    runs = [run for run in seen.runs if begins_in(run, wanted)]
    taken = {instant_of(run.logical_date) for run in seen.runs}
    fates = [_fate(run, action, seen) for run in runs]
    return Plan(
        clear=tuple(run for run, fate in zip(runs, fates, strict=True) if fate == "clear"),
        create=tuple(each for each in _scheduled(seen, wanted.until) if _is_missing(each, wanted, taken)),
        done=fates.count("done"),
        in_flight=fates.count("in flight"),
        moved=fates.count("moved"),
        marked=fates.count("marked"),
        is_blind=seen.dates is None,
    )


def not_yet(seen: Seen, plan: Plan, action: Action, *, uncertain: bool) -> Outcome | None:
    """Must the dagrun that it is wanted for end first, or has it moved on? None if neither, or if nothing is known.

    A dagrun ends some seconds after the last of its failures; until then it cannot be cleared.
    """
    assert isinstance(action.params, Reprocess)  # noqa: S101  (the dispatcher picks the executor by kind)
    wanted = action.params
    own = next((run for run in seen.runs if run.dag_run_id == wanted.run_id), None)
    if wanted.attempt is None or own is None or is_ours(own.note, action.id):
        return None
    if own.dag_run_id in seen.theirs and not plan.done:
        return Refused(str(seen.theirs[own.dag_run_id]), theirs=True)
    if not is_expected(wanted.attempt, seen.failed):
        return None if plan.done else moved_on([(wanted.attempt, seen.failed)], may_be_ours=uncertain)
    if own.state not in OVER_STATES:
        return RetryAfter(SOON, f"dagrun {own.dag_run_id} is still {own.state}", uncertain=uncertain)
    return None


def settled(plan: Plan, action: Action) -> Outcome | None:
    """What came of it if nothing is left to do; None if something is."""
    if plan.size:
        return None
    if plan.moved:
        return Unknown(f"{counted(plan.moved, 'dagrun')} ran again since, perhaps by an earlier call of ours")
    if plan.done:
        return Delivered(ref=action.id, detail=f"{counted(plan.done, 'dagrun')} done{left(plan)}")
    if plan.in_flight or plan.marked or plan.is_blind:
        return Refused(f"nothing to do{left(plan)}")
    return Refused("no data interval begins in the range")


def forbidden(plan: Plan, affects: int, max_affected: int) -> Refused | None:
    """Is it more than it may?"""
    touched = plan.size + plan.done
    if touched > MOST_DAGRUNS:
        return Refused(f"it would touch {touched} dagruns, more than the {MOST_DAGRUNS} that one action may")
    return too_many(affects, max_affected)


def left(plan: Plan) -> str:
    """What is not touched, as the end of a sentence."""
    counts = ((plan.in_flight, "in flight"), (plan.moved, "moved on"), (plan.marked, "marked failed by a person"))
    parts = [f"{count} {what}" for count, what in counts if count]
    alone = f", {' and '.join(parts)} left alone" if parts else ""
    return f"{alone}, missing dagruns are not created: API v1 tells no schedule" if plan.is_blind else alone


def _fate(run: DagRunRow, action: Action, seen: Seen) -> str:
    if is_ours(run.note, action.id):
        return "done"
    if may_have_cleared(run, seen.asked, action):
        return "moved"
    if run.dag_run_id in seen.theirs:
        return "marked"
    return "clear" if run.state in OVER_STATES else "in flight"


def begins_in(run: DagRunRow, wanted: Reprocess) -> bool:
    """Does its data interval begin in the range? That of a dagrun made by hand lies before its logical date."""
    return run.dag_run_id == wanted.run_id or wanted.since <= _start(run) < wanted.until


def _start(run: DagRunRow) -> Instant:
    """When its data interval begins. (Listed by logical date, so that it has one.)"""
    return instant_of(run.data_interval_start or run.logical_date) or 0


def _scheduled(seen: Seen, until: Instant) -> Iterator[Interval]:
    """The schedule's intervals: each ends where the next one begins. Dagruns fill in what is in flight.

    Airflow lists none that is not over; where the one after the last begins its DAG knows.
    """
    if seen.dates is None:
        return
    length = 0 if seen.dag is None else _length(seen.dag)
    known = {instant_of(run.logical_date) for run in seen.runs if run.run_type in ("scheduled", "backfill")}
    starts = sorted({*seen.dates, *(date for date in known if date is not None)})
    ends = sorted({*starts, *_upcoming(seen.dag, until)})
    for start in starts:
        number = bisect_right(ends, start)
        following = ends[number] if number < len(ends) else start + length
        yield Interval(start, following if length else start)


def _is_missing(interval: Interval, wanted: Reprocess, taken: set[Instant | None]) -> bool:
    return wanted.since <= interval.start < wanted.until and interval.start not in taken


def _upcoming(dag: DagRow | None, until: Instant) -> list[Instant]:
    """Both ends of the interval that comes next, unless there may be others before it, which were not asked for."""
    if dag is None:
        return []
    ends = instant_of(dag.next_dagrun_data_interval_start), instant_of(dag.next_dagrun_data_interval_end)
    return [end for end in ends if end is not None and end <= until + margin(dag)]


def _length(dag: DagRow) -> Duration:
    """Of the interval that comes next; 0 where the schedule has points and no intervals."""
    start, end = instant_of(dag.next_dagrun_data_interval_start), instant_of(dag.next_dagrun_data_interval_end)
    return 0 if start is None or end is None else max(0, end - start)
