"""Corners of the core, each a short journal: what came in, and what must have come of it."""

from __future__ import annotations

import msgspec

from remediator.engine import firing
from remediator.engine.core import Changes, Core
from remediator.model.action import Action, Look, Message, Page
from remediator.model.event import Event
from remediator.model.incident import Phase
from remediator.model.inputs import (
    Activated,
    Entry,
    Fact,
    Input,
    Looked,
    Performed,
    Pressed,
    Swept,
    Tick,
    Watermark,
)
from remediator.model.outcome import Delivered, Refused, Unknown
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.time import HOUR, MINUTE, SECOND, Duration, Instant
from remediator.model.truth import DagRunTruth, TaskTruth
from remediator.rules.index import RuleSet
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step

START: Instant = 1_800_000_000_000_000
KEY = "dag:a/d"
QUICK = Backoff(initial=SECOND, jitter=0.0)
RETRY = Rule(id="retry", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("airflow.retry", backoff=QUICK),),
             otherwise=(Step("page", to="pager"),))  # fmt: skip
CHECK = Rule(id="check", on=("check.failed",), mode=Mode.ACT, do=(Step("page", to="pager"),))
CHAT = Rule(id="chat", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("page", to="chat"),))
POLICY = Policy(
    deployments={"a": DeploymentPolicy("a", "f", Mode.ACT)},
    routes={
        "pager": Route("pager", (Destination("pagerduty.page", "pd"),)),
        "chat": Route("chat", (Destination("slack.message", "slack", "#c"),)),
        "default": Route("default", (Destination("log"),)),
    },
    unclassified_route="pager",
)


class Bench:
    """A core, its clock and all that it wanted."""

    def __init__(self, rules: tuple[Rule, ...] = (RETRY,), policy: Policy = POLICY) -> None:
        self.now, self.position = START, 0
        self.actions: list[Action] = []
        self.cancelled: list[str] = []
        self.changes: list[Changes] = []
        self.sets: dict[str, RuleSet] = {}
        self.core = Core(0, {}, self.sets.__getitem__)
        self.core.load(["world"], {})
        self.activate(rules, policy)

    def activate(self, rules: tuple[Rule, ...], policy: Policy) -> None:
        compiled = RuleSet(RuleSetSpec(rules, policy))
        self.sets[compiled.hash] = compiled
        self.give(Activated(compiled.hash))

    def give(self, *inputs: Input) -> list[Action]:
        """One batch of entries at the present instant. Returns what it wanted."""
        entries = []
        for one in inputs:
            self.position += 1
            entries.append(Entry(self.position, self.now, one))
        changes = self.core.apply(entries)
        self.actions += changes.actions
        self.cancelled += [action_id for action_id, _ in changes.cancels]
        self.changes.append(changes)
        return list(changes.actions)

    def mark(self, topic: str = "t", behind: Duration = 0) -> None:
        self.give(Watermark("f", topic, 0, 1, self.now - behind, at_head=not behind))

    def wait(self, length: Duration, step: Duration = SECOND) -> list[Action]:
        """Let time pass, with a feed that is read all the while. Returns what was wanted meanwhile."""
        before, end = len(self.actions), self.now + length
        while self.now < end:
            self.now += step
            self.mark()
            self.give(Tick())
        return self.actions[before:]

    def fail(self, task: str = "x", run: str = "r", attempt: int = 1) -> None:
        self.give(Fact(failed(task, run, attempt, self.now)))

    def look(self) -> Look | None:
        return next((one.params for one in reversed(self.actions) if isinstance(one.params, Look)), None)

    def answer(self, state: str, *tasks: TaskTruth, run: str = "r", complete: bool = True) -> None:
        """Answer the latest look of the dagrun."""
        latest = [one for one in self.actions if isinstance(one.params, Look) and one.params.run_id == run][-1]
        ended = self.now if state in ("failed", "success") else None
        truth = DagRunTruth("a", "d", run, state, tasks, ended, complete)
        self.give(Looked(latest.id, KEY, run, truth))

    def performed(self, action: Action, outcome: Delivered | Refused | Unknown) -> None:
        self.give(Performed(action.id, action.key, action.kind, outcome))

    def wanted(self, kind: str) -> list[Action]:
        return [one for one in self.actions if one.kind == kind]

    def pages(self) -> list[Action]:
        return [one for one in self.wanted("pagerduty.page") if _verb(one) == "trigger"]


def _verb(action: Action) -> str:
    return action.params.event_action if isinstance(action.params, Page) else ""


def failed(task: str, run: str, attempt: int, at: Instant) -> Event:
    return Event("task.failed", at, deployment="a", dag_id="d", run_id=run, task_id=task, try_number=attempt, retries=0)


def bad(task: str = "x", attempt: int = 1, instance: str = "") -> TaskTruth:
    return TaskTruth(task, "failed", attempt, instance_id=instance or f"{task}{attempt}")


def final(bench: Bench, task: str = "x", run: str = "r") -> None:
    bench.mark()
    bench.fail(task, run)
    bench.wait(3 * SECOND)
    bench.answer("failed", bad(task), run=run)


def test_a_clear_that_the_freeze_refused_keeps_no_other_failure_waiting() -> None:
    bench = Bench()
    final(bench)
    bench.fail("y")
    bench.wait(SECOND)  # the backoff of x ends, the look for y is not due yet
    (clear,) = bench.wanted("airflow.retry")
    bench.give(Pressed("someone", "freeze"))
    asked = len(bench.wanted("airflow.look"))
    bench.performed(clear, Refused("frozen"))
    bench.wait(30 * SECOND)
    assert len(bench.wanted("airflow.look")) > asked


def test_a_topic_that_is_read_no_more_stops_holding_the_feed_back() -> None:
    bench = Bench((CHAT,))
    bench.mark("old")
    bench.wait(2 * HOUR, 10 * SECOND)
    final(bench)
    assert bench.wanted("slack.message")


def test_a_partition_that_nobody_reads_still_holds_the_feed_back() -> None:
    bench = Bench((CHAT,))
    bench.give(Watermark("f", "t", 1, 2, bench.now, at_head=True))
    for _ in range(800):
        bench.now += 10 * SECOND
        bench.give(Watermark("f", "t", 0, 2, bench.now, at_head=True), Tick())
    bench.fail()
    bench.now += 3 * SECOND
    bench.give(Tick())
    bench.answer("failed", bad())
    assert not bench.wanted("slack.message")


def test_an_event_from_the_future_silences_no_later_one() -> None:
    bench = Bench((CHECK,))
    bench.mark()
    for ahead in (1000 * HOUR, 0):
        bench.now += 1
        at = bench.now + ahead
        event = Event("check.failed", at, deployment="a", subject="orders")
        bench.give(Fact(event, ("check",)))
    held = bench.core.states["dag:a/"]
    assert held is not None
    assert [one.incident.failures for one in held.incidents.values()] == [2]


def test_a_message_in_flight_at_the_end_is_edited_to_the_end() -> None:
    bench = Bench((CHAT,))
    final(bench)
    (post,) = bench.wanted("slack.message")
    bench.wait(10 * MINUTE, 10 * SECOND)
    bench.answer("success")
    assert post.id in bench.cancelled
    bench.performed(post, Delivered(ref="C1:1.0"))  # it was claimed already, so the cancel came too late
    last = bench.wanted("slack.message")[-1].params
    assert isinstance(last, Message)
    assert (last.ref, last.incident.phase) == ("C1:1.0", Phase.RESOLVED)


def test_a_message_that_was_cancelled_in_time_says_nothing() -> None:
    bench = Bench((CHAT,))
    final(bench)
    (post,) = bench.wanted("slack.message")
    bench.wait(10 * MINUTE, 10 * SECOND)
    bench.answer("success")
    bench.performed(post, Refused("the incident is resolved"))
    assert bench.wanted("slack.message") == [post]
    assert not bench.wanted("log")
    assert not bench.core.states[KEY].ending  # type: ignore[union-attr]


def test_dagruns_of_a_removed_deployment_are_told_and_left_alone() -> None:
    bench = Bench()
    final(bench)
    bench.fail("y")
    bench.activate((RETRY,), Policy(routes=POLICY.routes, unclassified_route="pager"))
    for _ in range(90):
        bench.wait(MINUTE, MINUTE)
        for one in bench.actions:
            if isinstance(one.params, Look):
                bench.give(Looked(one.id, KEY, "r", error="no API is configured for deployment 'a'"))
    assert bench.pages()
    assert not [one for one in bench.wait(HOUR, MINUTE) if isinstance(one.params, Look)]


def test_a_deployment_that_lost_its_api_is_swept_no_more() -> None:
    bench = Bench()
    bench.wait(MINUTE, 30 * SECOND)
    (sweep,) = bench.wanted("airflow.sweep")
    bench.activate((RETRY,), Policy(deployments={"a": DeploymentPolicy("a", "f", has_api=False)}, routes=POLICY.routes))
    bench.give(Swept(sweep.id, "a", 0, bench.now))
    assert not [one for one in bench.wait(HOUR, MINUTE) if one.kind == "airflow.sweep"]


def test_a_late_mark_after_a_smaller_lateness_wakes_what_it_needs() -> None:
    bench = Bench(policy=_with_lateness(HOUR))
    bench.mark()
    bench.fail()
    bench.wait(3 * SECOND)
    bench.answer("failed", bad(), bad("y"))
    bench.now += MINUTE
    bench.mark()
    stored = {KEY: bench.changes[-1].states.get(KEY) or _encoded(bench)}
    bench.activate((RETRY,), _with_lateness(SECOND))
    bench.core.states.clear()
    entry = Entry(bench.position + 1, bench.now, Watermark("f", "t", 0, 1, START, at_head=False))
    bench.core.apply([entry], {key: body for key, body in stored.items() if body})


def _encoded(bench: Bench) -> bytes:
    from remediator.engine.saved import encode_state

    state = bench.core.states[KEY]
    assert state is not None
    return encode_state(state)


def _with_lateness(lateness: Duration) -> Policy:
    return Policy(deployments=POLICY.deployments, routes=POLICY.routes, lateness=lateness)


def test_a_feed_of_great_lateness_is_not_looked_at_without_pause() -> None:
    bench = Bench((CHAT,), _with_lateness(5 * MINUTE))
    bench.mark()
    bench.fail()
    bench.wait(3 * SECOND)
    for _ in range(40):  # every answer at once, in the same instant
        bench.answer("failed", bad())
    assert len(bench.wanted("airflow.look")) < 5


def test_a_failure_is_told_even_if_no_look_is_ever_complete() -> None:
    bench = Bench()
    bench.mark()
    bench.fail()
    bench.wait(3 * SECOND)
    for _ in range(120):
        if bench.core.states[KEY].dagruns["r"].look:  # type: ignore[union-attr]
            bench.answer("running", complete=False)
        bench.wait(30 * SECOND, 10 * SECOND)
    assert bench.pages()


def test_a_page_that_failed_is_tried_again_when_the_failure_goes_on() -> None:
    bench = Bench((Rule(id="p", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("page", to="pager"),)),))
    final(bench)
    (page,) = bench.pages()
    bench.performed(page, Refused("gave up"))
    bench.wait(11 * MINUTE, 10 * SECOND)
    bench.answer("failed", bad())
    first, second = bench.pages()
    assert first.id != second.id
    bench.performed(second, Delivered())
    final(bench, run="r2")
    assert len(bench.pages()) == 2


def test_a_dagrun_that_was_deleted_and_made_anew_is_answered_anew() -> None:
    bench = Bench((Rule(id="p", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("page", to="pager"),)),))
    final(bench)
    bench.wait(11 * MINUTE, 10 * SECOND)
    bench.answer("")  # the scheduler does not know it any more
    bench.wait(MINUTE)
    final(bench)
    first, second = bench.pages()
    assert first.id != second.id


def test_a_known_try_that_fails_after_its_dagruns_end_is_looked_at() -> None:
    bench = Bench((CHAT,))
    final(bench)
    bench.wait(11 * MINUTE, 10 * SECOND)
    bench.answer("success")  # fixed by a person; then the dagrun is deleted and made anew, which nobody looked at
    bench.wait(HOUR, MINUTE)
    final(bench)
    first, *_, second = [one for one in bench.wanted("slack.message") if isinstance(one.params, Message)]
    assert (first.params.incident.episode, second.params.incident.episode) == (1, 2)  # type: ignore[union-attr]


def test_a_case_whose_rule_went_while_it_was_held_is_told() -> None:
    rule = Rule(id="both", on=("task.failed_finally",), mode=Mode.ACT, do=(Step("log", to="default"), *RETRY.do))
    bench = Bench((rule,))
    bench.give(Pressed("someone", "freeze"))
    final(bench)
    bench.activate((), POLICY)
    bench.give(Pressed("someone", "thaw"))
    bench.answer("failed", bad())
    assert bench.pages()


def test_only_a_later_dagrun_resolves_what_failed_in_another() -> None:
    bench = Bench((CHAT,))
    final(bench, run="scheduled__2026-11-20T00:00:00+00:00")
    for day, still_open in ((19, True), (21, False)):
        bench.now += MINUTE
        run = f"scheduled__2026-11-{day}T00:00:00+00:00"
        event = Event("task.success", bench.now, deployment="a", dag_id="d", run_id=run, task_id="x", try_number=1)
        bench.give(Fact(event))
        assert bool(bench.core.states[KEY].incidents) is still_open  # type: ignore[union-attr]


def test_unique_subjects_are_bounded_and_the_surplus_is_told_once() -> None:
    bench = Bench((CHECK,))
    for number in range(firing.MAX_SUBJECTS + 5):
        event = Event("check.failed", START - MINUTE + number, deployment="a", dag_id="d", subject=f"s{number}")
        bench.give(Fact(event, ("check",), ""))
    state = bench.core.states[KEY]
    assert state is not None
    assert len(state.incidents) == firing.MAX_SUBJECTS
    assert [held.incident.rule for held in bench.core.world.incidents.values()] == ["self.too_many_incidents"]


def test_an_end_from_the_future_does_not_hide_the_ends_that_follow() -> None:
    bench = Bench()
    base = Event("dagrun.failed", bench.now, deployment="a", dag_id="d", run_id="r")
    bench.give(Fact(msgspec.structs.replace(base, ended_at=bench.now + 1_000 * HOUR)))
    state = bench.core.states[KEY]
    assert state is not None
    assert state.dagruns["r"].ended == bench.now + MINUTE


def silent_failure_on_a_stalled_feed() -> Bench:
    """A look found a failure that no event announced; then the feed stood still for five minutes and goes on."""
    bench = Bench(())
    bench.mark()
    bench.give(Fact(Event("dagrun.failed", bench.now, deployment="a", dag_id="d", run_id="r")))
    bench.answer("failed", bad())
    bench.now += 5 * MINUTE
    bench.wait(12 * SECOND)
    assert not bench.pages()
    return bench


def test_what_waited_long_for_its_event_is_looked_at_again_before_anyone_is_woken() -> None:
    bench = silent_failure_on_a_stalled_feed()
    bench.answer("success")
    bench.wait(MINUTE)
    assert not bench.pages()


def test_what_is_still_failed_then_is_told_once() -> None:
    bench = silent_failure_on_a_stalled_feed()
    bench.answer("failed", bad())
    bench.wait(MINUTE)
    assert len(bench.pages()) == 1


def test_what_cannot_be_confirmed_is_told_as_unverified() -> None:
    bench = silent_failure_on_a_stalled_feed()
    for _ in range(40):
        latest = bench.wanted("airflow.look")[-1]
        bench.give(Looked(latest.id, KEY, "r", None, "no answer"))
        bench.wait(MINUTE, 10 * SECOND)
    (page,) = bench.pages()
    assert isinstance(page.params, Page)
    assert "unverified" in page.params.incident.status
