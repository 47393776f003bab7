"""What will happen to a task: scripted, so that the same plan gives the same attempts. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field

from remediator.model.time import MILLISECOND, SECOND, Duration, Instant


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as a task raises it. silent: the process is killed, so that the last try raises no event."""

    type: str
    message: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The life of one task instance.

    failure: what it fails with; None: it succeeds. It stops failing after `heals_after_tries` tries or after
    `heals_after_clears` clears, whichever is given and comes first.
    final: fails for good at the first try, whatever retries are left (AirflowFailException).
    duration: of one attempt. announce: how long before it is recorded a failure is announced.
    """

    failure: Failure | None = None
    heals_after_tries: int | None = None
    heals_after_clears: int | None = None
    final: bool = False
    duration: Duration = 500 * MILLISECOND
    announce: Duration = 300 * MILLISECOND

    def fails(self, try_number: int, clears: int) -> bool:
        """Does this attempt fail?"""
        if self.failure is None:
            return False
        healed_by_try = self.heals_after_tries is not None and try_number > self.heals_after_tries
        healed_by_clear = self.heals_after_clears is not None and clears >= self.heals_after_clears
        return not (healed_by_try or healed_by_clear)


SUCCEEDS = Plan()


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task of a DAG. indexes: how many mapped instances it has, 0 if it is not mapped."""

    task_id: str
    downstream: tuple[str, ...] = ()
    retries: int = 0
    retry_delay: Duration = SECOND
    indexes: int = 0
    operator: str = "_PythonDecoratedOperator"


@dataclass(frozen=True, slots=True)
class DagSpec:
    """One DAG: its tasks in an order in which upstream comes first.

    every: how far its scheduled dates are apart, counted from 1970; 0 for no schedule. has_intervals: is a dagrun
    about the time from its date to the next one, and not about its date alone?
    """

    dag_id: str
    tasks: tuple[TaskSpec, ...]
    owner: str = "airflow"
    tags: tuple[str, ...] = ()
    version: int = 1
    every: Duration = 0
    has_intervals: bool = False
    by_id: dict[str, TaskSpec] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {task.task_id: task for task in self.tasks})

    def dates(self, first: Instant, last: Instant) -> range:
        """Its scheduled dates in [first, last]. Raises ZeroDivisionError without a schedule."""
        return range(-(-first // self.every) * self.every, last + 1, self.every)

    def interval(self, date: Instant) -> tuple[Instant, Instant]:
        """The data interval of its scheduled dagrun of this date."""
        return date, date + self.every if self.has_intervals else date

    def manual_interval(self, date: Instant) -> tuple[Instant, Instant]:
        """The data interval of a dagrun that is created by hand: the last whole one before its date."""
        if not self.has_intervals:
            return date, date
        end = date // self.every * self.every
        return end - self.every, end

    def upstream(self, task_id: str) -> tuple[str, ...]:
        """The tasks directly before this one."""
        return tuple(task.task_id for task in self.tasks if task_id in task.downstream)

    def below(self, task_ids: frozenset[str]) -> frozenset[str]:
        """Every task after these ones, at any distance."""
        found: set[str] = set()
        waiting = list(task_ids)
        while waiting:
            task = self.by_id.get(waiting.pop())
            new = set(task.downstream) - found if task else set()
            found |= new
            waiting += new
        return frozenset(found)
