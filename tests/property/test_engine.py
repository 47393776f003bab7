"""The pure engine on generated stories: replays, cuts, reloads, repeats, extra ticks and other DAGs change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.engine.core import Changes, Core
from remediator.model.action import QUESTIONS, Action
from remediator.model.event import Event
from remediator.model.ids import WORLD_KEY, dag_key
from remediator.model.inputs import Entry, Fact, Gap, Input, Looked, Performed, Swept, Tick, Unmapped
from remediator.model.outcome import Delivered, FinalOutcome, Refused, Unknown
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import MINUTE, SECOND
from remediator.model.truth import DagRunRef, DagRunTruth, TaskTruth
from remediator.rules.index import RuleSet
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import FEED, Timeline, replay

Op = Callable[[Timeline], object]

RETRYING = Rule(
    id="retrying",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    where={"error.message": {"matches": "reset"}},
    budget=(Budget(per_hour=3),),
    do=(
        Step("notify", to="chat"),
        Step("airflow.retry", max_attempts=2, backoff=Backoff(5 * SECOND), verify=2 * MINUTE),
    ),
    otherwise=(Step("page", to="oncall"),),
)
CHECKS = Rule(id="checks", on=("check.failed",), mode=Mode.ACT, do=(Step("notify", to="chat"),))
OBSERVER = Rule(id="observer", on=("task.failed_finally",), priority=90, do=(Step("airflow.retry"),))
POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", FEED, Mode.ACT),
        "watched": DeploymentPolicy("watched", FEED, Mode.ACT, has_api=False),
    },
    routes={
        "oncall": Route("oncall", (Destination("pagerduty.page", "pager"),), fallback="chat"),
        "chat": Route("chat", (Destination("slack.message", "chat", "#data"),)),
        "default": Route("default", (Destination("pagerduty.page", "pager"), Destination("log"))),
    },
    hold_max=2 * MINUTE,
    blind_after=90 * SECOND,
    action_expiry=4 * MINUTE,
    self_alert_every=3 * MINUTE,
)
SPECS = (
    RuleSetSpec((RETRYING, CHECKS, OBSERVER), POLICY),
    RuleSetSpec((OBSERVER,), POLICY),
    RuleSetSpec((RETRYING,), msgspec.structs.replace(POLICY, deployments={"prod": POLICY.deployments["prod"]})),
)

# -- pieces of stories ------------------------------------------------------------------------------------------------

SECONDS = st.integers(1, 100)
TASKS = st.sampled_from(["load", "extract"])
TRIES = st.integers(1, 4)
RUNS = st.sampled_from(["r1", "r2"])
INDEXES = st.sampled_from([-1, 0])
ERRORS = st.sampled_from(["ConnectionError: connection reset", "KeyError: 'x'", "MemoryError"])
STATES = st.sampled_from(["failed", "failed", "running", "up_for_retry", "success", "none"])
OUTCOMES: st.SearchStrategy[FinalOutcome] = st.sampled_from([Delivered("there"), Refused("no"), Unknown("lost")])


def _wait(seconds: int) -> Op:
    return lambda told: told.at(f"{(told.now - told.began) // SECOND + seconds}s")


def _fails(task: str, tried: int, index: int, error: str, **place: str) -> Op:
    return lambda told: told.fails(task, tried, map_index=index, error=error, **place)


def _fails_again(waits: Sequence[int], task: str, error: str, **place: str) -> Op:
    """A task that fails at every try: as long as somebody clears it, it fails once more."""

    def happen(timeline: Timeline) -> None:
        for tried, seconds in enumerate(waits, start=1):
            timeline.fails(task, tried, error=error, **place)
            _wait(seconds)(timeline)

    return happen


def _failed(task: str, tried: int, error: str, retries: int | None, **place: str) -> Op:
    return lambda told: told.task_failed(task, tried, error=error, retries=retries, **place)


def _succeeded(task: str, tried: int, **place: str) -> Op:
    return lambda told: told.task_success(task, tried, **place)


def _ended(state: str, **place: str) -> Op:
    return lambda told: told.dagrun(state, **place)


def _says(task: str, state: str, tried: int, **place: str) -> Op:
    return lambda told: told.look_says(task, state, tried, **place)


def of_dag(deployments: Sequence[str], dag_id: str) -> st.SearchStrategy[Op]:
    """What can happen to one DAG."""
    place = {"deployment": st.sampled_from(deployments), "dag_id": st.just(dag_id), "run_id": RUNS}
    return st.one_of(
        st.builds(_fails, TASKS, TRIES, INDEXES, ERRORS, **place),
        st.builds(_failed, TASKS, TRIES, ERRORS, st.sampled_from([0, 1, None]), **place),
        st.builds(_succeeded, TASKS, TRIES, **place),
        st.builds(_ended, st.sampled_from(["failed", "success"]), **place),
        st.builds(_says, TASKS, STATES, TRIES, **place),
    )


def over_time(deployments: Sequence[str], dag_id: str) -> st.SearchStrategy[Op]:
    """What takes a while, and time passes for everybody."""
    place = {"deployment": st.sampled_from(deployments), "dag_id": st.just(dag_id), "run_id": RUNS}
    return st.builds(_fails_again, st.lists(st.integers(1, 30), max_size=4), TASKS, ERRORS, **place)


WAITS = st.builds(_wait, SECONDS)
OF_ALL: st.SearchStrategy[Op] = st.one_of(
    st.sampled_from([
        Timeline.freeze, Timeline.thaw, Timeline.unreachable, Timeline.reachable, Timeline.feed_stops,
        Timeline.feed_reads_on,
    ]),
    st.builds(
        lambda kind, outcome: lambda told: told.answer_with(kind, outcome),
        st.sampled_from(["airflow.retry", "pagerduty.page", "slack.message"]), OUTCOMES,
    ),
    st.builds(lambda spec: lambda told: told.activate(spec), st.sampled_from(SPECS)),
    st.builds(lambda subject: lambda told: told.event(Event(
        "check.failed", told.now, deployment="prod", subject=subject)), st.sampled_from(["a", "b"])),
    st.just(lambda told: told.give(Gap(FEED, "events", 0, 3, 5, told.now - MINUTE))),
    st.just(lambda told: told.give(Unmapped(FEED, "elsewhere", "events"))),
)  # fmt: skip
ANYWHERE = ["prod", "prod", "watched", "nobody"]
STORIES = st.lists(
    st.one_of(
        of_dag(ANYWHERE, "sales"), of_dag(ANYWHERE, "stock"), over_time(ANYWHERE, "sales"), OF_ALL, WAITS, WAITS
    ),
    min_size=6,
    max_size=30,
)  # fmt: skip


def told(story: Sequence[Op], extra: Callable[[Input], Sequence[Input]] = lambda given: ()) -> Timeline:
    """The story, played to its end."""
    timeline = Timeline(SPECS[0], extra=extra)
    for op in story:
        op(timeline)
    return timeline


# -- what is compared -------------------------------------------------------------------------------------------------


def whole(changes: Sequence[Changes]) -> bytes:
    """Everything that several commits leave behind, as bytes."""
    states: dict[str, bytes | None] = {}
    timers: dict[str, object] = {}
    for each in changes:
        states.update(each.states)
        timers.update(each.timers)
    incidents = {(one.id, one.episode): one for each in changes for one in each.incidents}
    return msgspec.msgpack.encode([
        changes[-1].position,
        {key: body for key, body in sorted(states.items()) if body is not None},
        {key: found for key, found in sorted(timers.items()) if found},
        [one for each in changes for one in each.actions],
        [one for each in changes for one in each.cancels],
        [one for each in changes for one in each.decisions],
        sorted(incidents.items()),
    ])  # fmt: skip


def effects(actions: Sequence[Action]) -> list[str]:
    """The identities of what touches the outside."""
    return sorted(action.id for action in actions if action.kind not in QUESTIONS)


# -- the properties ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(STORIES)
def test_the_same_journal_gives_the_same_bytes(story: list[Op]) -> None:
    once = told(story)
    assert msgspec.msgpack.encode(replay(once.rule_set, once.journal, [])) == msgspec.msgpack.encode(
        replay(once.rule_set, once.journal, [])
    )
    assert whole(replay(once.rule_set, once.journal, [])) == whole(once.changes)


@settings(max_examples=60, deadline=None)
@given(STORIES, st.lists(st.integers(1, 400), max_size=20))
def test_cuts_and_reloads_change_nothing(story: list[Op], cuts: list[int]) -> None:
    once = told(story)
    cuts = [cut for cut in cuts if cut < len(once.journal)]
    expected = whole(replay(once.rule_set, once.journal, []))
    assert whole(replay(once.rule_set, once.journal, cuts)) == expected
    assert whole(replay(once.rule_set, once.journal, cuts, reload=True)) == expected


@settings(max_examples=20, deadline=None)
@given(STORIES)
def test_a_reload_between_any_two_entries_changes_nothing(story: list[Op]) -> None:
    once = told(story)
    everywhere = range(1, len(once.journal))
    assert whole(replay(once.rule_set, once.journal, everywhere, reload=True)) == whole(once.changes)


@settings(max_examples=60, deadline=None)
@given(STORIES)
def test_facts_that_come_twice_add_no_effect(story: list[Op]) -> None:
    twice = told(story, extra=lambda one: [one] if isinstance(one, Fact) else [])
    assert effects(twice.actions) == effects(told(story).actions)


@settings(max_examples=60, deadline=None)
@given(STORIES)
def test_extra_ticks_add_no_effect(story: list[Op]) -> None:
    more = told(story, extra=lambda one: [Tick()])
    assert effects(more.actions) == effects(told(story).actions)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(
    st.tuples(st.just("sales"), of_dag(["prod", "watched"], "sales")),
    st.tuples(st.just("stock"), of_dag(["prod", "watched"], "stock")),
    st.tuples(st.just(""), st.one_of(OF_ALL, over_time(["prod", "watched"], "sales"), WAITS, WAITS)),
), min_size=6, max_size=30))  # fmt: skip
def test_other_dags_change_nothing(story: list[tuple[str, Op]]) -> None:
    both = told([op for _, op in story])
    alone = told([op for whose, op in story if whose != "stock"])
    for deployment in ("prod", "watched"):
        key = dag_key(deployment, "sales")
        assert _outward(both, key) == _outward(alone, key)


def _outward(timeline: Timeline, key: str) -> list[Action]:
    return [action for action in timeline.actions if action.key == key and action.kind not in QUESTIONS]


# -- inputs that answer nothing ---------------------------------------------------------------------------------------

KEYS = st.sampled_from([dag_key("prod", "sales"), dag_key("nobody", "sales"), dag_key("prod", "never seen")])
TRUTHS = st.builds(
    DagRunTruth, st.just("prod"), st.just("sales"), RUNS, st.sampled_from(["", "running", "failed", "success"]),
    st.lists(st.builds(TaskTruth, TASKS, STATES, TRIES), max_size=2).map(tuple), ended_at=st.none(),
    complete=st.booleans(),
)  # fmt: skip
STRAYS: st.SearchStrategy[Input] = st.one_of(
    st.builds(Looked, st.just("never asked"), KEYS, RUNS, st.one_of(st.none(), TRUTHS), st.just("")),
    st.builds(Performed, st.just("never wanted"), KEYS, st.just("airflow.retry"), OUTCOMES),
    st.builds(Performed, st.just("never wanted"), st.just(WORLD_KEY), st.just("log"), OUTCOMES),
    st.builds(Swept, st.just("never asked"), st.sampled_from(["prod", "nobody"]), st.just(0), st.just(1),
              st.just((DagRunRef("sales", "r1"),))),
    st.just(Fact(Event("task.failed", 1))),
    st.just(Fact(Event("task.failed", 1, deployment="prod"))),
    st.just(Fact(Event("dagrun.failed", 1, deployment="prod", dag_id="sales"))),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(STORIES, st.lists(STRAYS, min_size=1, max_size=10))
def test_strays_add_no_effect(story: list[Op], strays: list[Input]) -> None:
    plain, more = told(story), told(story)
    before = effects(more.actions)
    for stray in strays:
        more.give(stray)
    assert before == effects(plain.actions)
    assert effects(more.actions) == before


def test_nothing_is_decided_before_the_first_activation() -> None:
    rules = RuleSet(SPECS[0])
    core = Core(0, {}, {rules.hash: rules}.__getitem__)
    entries = [Entry(1, 1, Tick()), Entry(2, 2, Fact(Event("task.failed", 1, deployment="prod", dag_id="sales")))]
    assert not core.apply(entries).actions


def test_timers_do_not_pile_up() -> None:
    timeline = told([_fails("load", 1, -1, "KeyError: 'x'", deployment="prod", dag_id="sales", run_id="r1")])
    for number in range(2_000):
        timeline.dagrun("failed", run_id=f"r{number % 3}")
    assert all(len(heap) < 200 for heap in timeline.core._timers._heaps.values())
