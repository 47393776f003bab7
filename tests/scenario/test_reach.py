"""Stories of how far a change and a telling reach: other DAGs, a lowered ceiling, a dagrun made anew, a digest."""

from __future__ import annotations

import msgspec

from remediator.engine.changes import MAX_UNDOS
from remediator.model.action import Page, Pool
from remediator.model.outcome import Delivered
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR
from remediator.rules.spec import Rule, RuleSetSpec, Step
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import PAGE, POLICY, RETRY, limits, story

RANGE = {"since": "2027-01-01T00:00:00Z", "until": "2027-01-02T00:00:00Z"}


def rule(*do: Step) -> Rule:
    return Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=(PAGE,))


def test_a_dagrun_that_was_deleted_and_made_anew_gets_retries_of_its_own() -> None:
    line = story(RETRY, policy=limits(memory=HOUR)).fails("load").at("30s")
    line.look_says("load", "success", 2).at("10m").dagrun_gone()
    line.expect_retry("load").at("3h")  # by then the dagrun is forgotten, and the outbox still has its retry
    line.fails("load").at("3h1m").expect_retry("load")
    first, second = (action.id for action in line.actions if action.kind == "airflow.retry")
    assert first != second


def test_a_change_of_another_dag_is_told_which_tags_forbid_it() -> None:
    for kind in ("airflow.reprocess", "airflow.backfill"):
        line = story(Step(kind, params={"dag_id": "other", **RANGE}))
        line.fails("load").at("30s").expect_change(kind, dag_id="other", never_tags=("remediator:never",))
    line = story(
        Step("airflow.rerun", params={"dag_id": "other", "run_id": "r0"}), policy=limits(never_retry_tags=("x",))
    )
    line.fails("load").at("30s").expect_change("airflow.rerun", dag_id="other", never_tags=("x",))


def test_nothing_is_taken_back_where_nothing_may_be_changed_any_more() -> None:
    narrow = Step("airflow.pool", params={"pool": "p", "slots": 5}, undo_after=HOUR)
    line = story(narrow).answer_with("airflow.pool", Delivered(before="10"))
    line.fails("load").at("1m").expect_change("airflow.pool", slots=5)
    observed = {**POLICY.deployments, "prod": DeploymentPolicy("prod", "feed", Mode.OBSERVE)}
    line.activate(RuleSetSpec((rule(narrow),), msgspec.structs.replace(POLICY, deployments=observed))).at("2h")
    assert [one.params for one in line.actions if isinstance(one.params, Pool)] == [Pool("p", 5, why="r")]
    line.expect_reason(Reason.CEILING)
    assert any("it stays as it is" in incident.status for incident in line.incidents.values()), _told(line)


def _told(line: Timeline) -> list[str]:
    return [f"{incident.title}: {incident.status}" for incident in line.incidents.values()]


def test_what_joins_a_digest_is_told_by_the_pager_where_no_message_shows_it() -> None:
    route = Route("default", (Destination("pagerduty.page", "pagerduty"),), pages_per_hour=0)
    line = story(PAGE, policy=limits(routes={**POLICY.routes, "default": route}))
    for number in range(5):
        line.fails("load", dag_id=f"d{number}").at(f"{number + 1}m")
    told = [one.params.incident for one in line.actions if isinstance(one.params, Page)]
    assert len({incident.id for incident in told}) == 1
    assert [f"d{number}.load" in told[-1].error for number in range(5)] == [True] * 5


def test_what_is_too_much_to_be_taken_back_is_told() -> None:
    narrow = Step("airflow.pool", params={"pool": "p_{event.run_id}", "slots": 5}, undo_after=6 * HOUR, max_attempts=1)
    many = limits(budget_cap=Budget(999, 999), concurrent_changes=999, changes_per_minute=999)
    line = story(narrow, policy=many).answer_with("airflow.pool", Delivered(before="10"))
    for number in range(MAX_UNDOS + 1):
        line.fails("load", run_id=f"r{number}")
    line.at("1m").expect_reason(Reason.LIMIT_REACHED)
    assert any("is not undone" in incident.status for incident in line.incidents.values())
