"""Before people are told after a long wait the scheduler is asked anew: what is over by then wakes nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from remediator.model.action import Look
from remediator.model.incident import Incident
from remediator.model.policy import Destination, Maintenance, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE
from remediator.model.truth import DagRunTruth
from remediator.rules.spec import Backoff, Period, Rule, RuleSetSpec, Step
from remediator.testing.timeline import START, Timeline
from tests.scenario.test_brakes import CHAT, PAGE, POLICY, RETRY, answer, limits
from tests.scenario.test_breakers import in_vain, pages, retries, say

WINDOW = limits(maintenance=(Maintenance(("pro*",), START, START + HOUR, "upgrade"),))
SLOW = msgspec.structs.replace(RETRY, backoff=Backoff(initial=HOUR, max=HOUR, jitter=0))
NIGHT = Period(0, 12 * 60, (), "UTC")  # the story begins at 08:00


def spec(*do: Step, policy: Policy = POLICY, otherwise: tuple[Step, ...] = (PAGE,), **fields: object) -> RuleSetSpec:
    given: dict[str, object] = {"mode": Mode.ACT, **fields}
    rule = Rule("r", on=("task.failed_finally",), do=do, otherwise=otherwise, **given)  # type: ignore[arg-type]
    return RuleSetSpec((rule,), policy)


def failed(rules: RuleSetSpec) -> Timeline:
    """One failure, at the beginning."""
    return Timeline(rules).fails("load").at("10s")


class Wait(NamedTuple):
    """begin: the failure waits, and nobody was paged of it. end: the wait is over, by 5h."""

    begin: Callable[[], Timeline]
    end: Callable[[Timeline], object]


OPEN = limits(breaker_sample=3, breaker_rest=12 * HOUR, breaker_rest_max=12 * HOUR)
ASKING = spec(CHAT, RETRY, mode=Mode.APPROVE)


def behind_breaker() -> Timeline:
    """Three retries of other dagruns were in vain; this one waits."""
    line = in_vain(Timeline(spec(RETRY, otherwise=(CHAT, PAGE), policy=OPEN)), 3)
    return line.fails("load", dag_id="other").at("7m")


def frozen() -> Timeline:
    return Timeline(spec(RETRY)).freeze().fails("load").at("1m")


def forbid(line: Timeline) -> object:
    """What was planned before may not be by the time of its turn."""
    return line.at("30m").activate(spec(RETRY, policy=WINDOW, mode=Mode.OBSERVE)).at("5h")


WAITS = {
    "a proposal expires": Wait(lambda: failed(ASKING), lambda line: line.at("5h")),
    "a proposal is rejected": Wait(lambda: failed(ASKING), lambda line: answer(line.at("30m"), "reject").at("5h")),
    "what was approved is not allowed any more": Wait(
        lambda: failed(ASKING),
        lambda line: answer(line.at("30m").activate(spec(CHAT, RETRY, mode=Mode.OBSERVE)), "approve").at("5h"),
    ),
    "waiting for a breaker is given up": Wait(behind_breaker, lambda line: say(line.at("30m"), "reject").at("5h")),
    "a breaker is waited for too long": Wait(behind_breaker, lambda line: line.at("5h")),
    "a freeze lasts too long": Wait(frozen, lambda line: line.at("5h")),
    "a freeze is thawed": Wait(lambda: Timeline(spec(RETRY, PAGE)).freeze().fails("load").at("1m"),
                               lambda line: line.at("10m").activate(spec(PAGE)).thaw().at("5h")),
    "maintenance is over": Wait(lambda: failed(spec(RETRY, policy=WINDOW)), forbid),
    "a backoff is over": Wait(lambda: failed(spec(SLOW)),
                              lambda line: line.at("30m").activate(spec(SLOW, mode=Mode.OBSERVE)).at("5h")),
    "a quiet time is over": Wait(lambda: failed(spec(PAGE, quiet=(NIGHT,))), lambda line: line.at("5h")),
    "a step waits": Wait(lambda: failed(spec(Step("page", "default", wait=2 * HOUR))), lambda line: line.at("5h")),
}  # fmt: skip


def place(name: str) -> dict[str, Any]:
    return {"dag_id": "other"} if "breaker" in name else {}


def only(line: Timeline, name: str) -> Incident:
    (found,) = (one for one in line.incidents.values() if one.dag_id == place(name).get("dag_id", "sales"))
    return found


@pytest.mark.parametrize("name", WAITS)
def test_what_is_still_failed_is_paged_once(name: str) -> None:
    line = WAITS[name].begin()
    before = pages(line)
    WAITS[name].end(line)
    assert pages(line) == before + 1


@pytest.mark.parametrize("name", WAITS)
def test_what_is_well_by_then_wakes_nobody(name: str) -> None:
    line = WAITS[name].begin()
    before = pages(line)
    WAITS[name].end(line.look_says("load", "success", 2, dagrun="success", **place(name)))
    assert pages(line) == before
    assert only(line, name).resolution == Reason.RECOVERED.value


@pytest.mark.parametrize("name", WAITS)
def test_what_somebody_runs_again_by_then_wakes_nobody(name: str) -> None:
    line = WAITS[name].begin()
    before = pages(line)
    WAITS[name].end(line.look_says("load", "running", 2, dagrun="running", **place(name)))
    assert pages(line) == before
    assert only(line, name).resolution == Reason.RECOVERED.value


@pytest.mark.parametrize("name", WAITS)
def test_what_is_gone_by_then_wakes_nobody(name: str) -> None:
    line = WAITS[name].begin()
    before = pages(line)
    WAITS[name].end(line.dagrun_gone(**place(name)))
    assert pages(line) == before
    assert only(line, name).resolution == Reason.GONE.value


@pytest.mark.parametrize("name", WAITS)
def test_where_nobody_can_be_asked_it_is_told_as_unverified(name: str) -> None:
    line = WAITS[name].begin()
    before = pages(line)
    WAITS[name].end(line.unreachable())
    assert pages(line) == before + 1
    assert Reason.UNVERIFIED.value in only(line, name).status
    assert not only(line, name).proposals


def test_an_approved_change_of_what_is_well_by_then_is_not_made() -> None:
    line = failed(spec(Step("airflow.trigger", params={"dag_id": "repair"}), mode=Mode.APPROVE)).at("30m")
    answer(line.look_says("load", "success", 2, dagrun="success"), "approve")
    assert not any(one.kind == "airflow.trigger" for one in line.actions)
    line.expect_open(0)


def test_the_answer_of_a_moment_is_acted_on_at_once() -> None:
    line = failed(ASKING).at("40s")
    looks = sum(one.kind == "airflow.look" for one in line.actions)
    assert retries(answer(line, "approve")) == 1
    assert sum(one.kind == "airflow.look" for one in line.actions) == looks


def test_whether_a_person_still_pauses_the_dag_is_asked_again_after_a_long_backoff() -> None:
    line = Timeline(spec(SLOW))
    line.scheduler.paused.add(("prod", "sales"))
    line.fails("load").at("10s")
    line.scheduler.paused.clear()
    line.at("62m").expect_retry("load").expect_nothing().expect_reason(Reason.PAUSED, 0)


def test_a_dag_that_is_still_paused_after_a_long_backoff_is_told_of_once() -> None:
    line = Timeline(spec(SLOW))
    line.scheduler.paused.add(("prod", "sales"))
    line.fails("load").at("62m").expect_page().expect_nothing()
    line.at("3h").expect_nothing().expect_open(1)


def test_a_planned_retry_whose_dagrun_no_look_reads_whole_is_told_in_the_end() -> None:
    class Large(Timeline):
        whole = True

        def _truth(self, deployment: str, look: Look) -> DagRunTruth:
            truth = super()._truth(deployment, look)
            return truth if self.whole else msgspec.structs.replace(truth, tasks=(), complete=False)

    line = Large(spec(SLOW)).fails("load").at("30m").activate(spec(SLOW, mode=Mode.OBSERVE))
    assert isinstance(line, Large)
    line.whole = False
    line.at("2h").expect_page().expect_nothing().expect_reason(Reason.UNVERIFIED)


def test_what_was_held_is_told_to_whom_its_step_names_though_nobody_can_be_asked() -> None:
    team = Route("team", (Destination("pagerduty.page", "team"),))
    rules = spec(Step("page", "team", wait=5 * MINUTE), policy=limits(routes={**POLICY.routes, "team": team}))
    line = Timeline(rules).fails("load").feed_stops().at("6m").expect_reason(Reason.CATCHING_UP)
    line.unreachable().at("2h")
    (page,) = (one for one in line.actions if one.kind == "pagerduty.page" and one.incident == only(line, "").id)
    assert page.target == "team"
    assert Reason.UNVERIFIED.value in only(line, "").status
