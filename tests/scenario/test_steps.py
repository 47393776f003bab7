"""Stories of a response's steps: waits, conditions, further retries, quiet times, ends, budgets and who may act."""

from __future__ import annotations

import msgspec

from remediator.engine.state import DagState
from remediator.model.event import ConditionInfo, Event
from remediator.model.incident import Incident
from remediator.model.outcome import Refused
from remediator.model.policy import Allow, Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.rules.spec import Backoff, During, Period, Rule, RuleSetSpec, Selector, Step
from remediator.testing.timeline import START, Timeline

POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", "feed", Mode.ACT),
        "cluster": DeploymentPolicy("cluster", "feed", has_api=False, serves=("prod*",)),
    },
    routes={
        "default": Route("default", (Destination("pagerduty.page", "pagerduty"),)),
        "chat": Route("chat", (Destination("slack.message", "slack", "#data"),)),
        "log": Route("log", (Destination("log"),)),
    },
    lateness=10 * SECOND,
)
AT_ONCE = Backoff(initial=1 * SECOND, jitter=0)
RETRY = Step("airflow.retry", backoff=AT_ONCE)
PAGE = Step("page", to="default")
CHAT = Step("notify", to="chat")
MATCHES = {"error.message": {"matches": r"connection (?P<how>\w+)(?: by (?P<who>\w+))?"}}


def story(*do: Step, policy: Policy = POLICY, otherwise: tuple[Step, ...] = (), **fields: object) -> Timeline:
    """A story under one acting rule on failures of a connection."""
    given: dict[str, object] = {"on": ("task.failed_finally",), "where": MATCHES, "mode": Mode.ACT, **fields}
    rule = Rule("r", do=do, otherwise=otherwise, **given)  # type: ignore[arg-type]
    return Timeline(RuleSetSpec((rule,), policy))


def only(line: Timeline) -> Incident:
    """The one incident of the story."""
    (found,) = (one for one in line.incidents.values() if not one.rule.startswith("self."))
    return found


def test_a_page_that_waits_is_not_sent_if_the_failure_is_over_by_then() -> None:
    line = story(CHAT, Step("page", to="default", wait=15 * MINUTE)).fails("load").at("5m")
    line.expect_message().expect_nothing().expect_reason(Reason.STEP_WAITS)
    line.look_says("load", "success", 2, dagrun="success").task_success("load", 2).at("20m")
    line.expect_message(edited=True).expect_nothing()


def test_a_page_that_waited_is_sent_once_on_a_fresh_look() -> None:
    line = story(CHAT, Step("page", to="default", wait=15 * MINUTE)).fails("load").at("14m")
    line.expect_message().expect_nothing()
    line.at("16m").expect_page().expect_message(edited=True)
    line.at("2h")
    line.expect_nothing()


def test_a_step_whose_condition_does_not_hold_is_left_out() -> None:
    urgent = Step("page", to="default", condition={"incident.failures": {"gte": 2}})
    line = story(CHAT, urgent).fails("load").at("1m")
    line.expect_message().expect_nothing().expect_reason(Reason.STEP_LEFT_OUT)
    line.fails("load", run_id="r2").at("2m")
    line.expect_page()


def test_a_further_retry_follows_when_the_first_was_in_vain() -> None:
    later = Step("airflow.retry", wait=10 * MINUTE, backoff=AT_ONCE, max_attempts=2)
    line = story(RETRY, later, PAGE).fails("load").at("30s")
    line.expect_retry("load").expect_nothing()
    line.fails("load", 2).at("5m")
    line.expect_nothing().expect_reason(Reason.STEP_WAITS)
    line.at("13m").expect_retry("load").expect_nothing()
    line.fails("load", 3).at("14m")
    line.expect_retry("load").expect_nothing()
    line.fails("load", 4).at("16m")
    line.expect_page()


def test_otherwise_follows_the_last_step_that_was_in_vain() -> None:
    line = story(RETRY, CHAT, otherwise=(PAGE,)).fails("load").at("30s")
    line.expect_retry("load").expect_nothing()
    line.fails("load", 2).at("1m")
    line.expect_message().expect_page()


NIGHT = Period(0, 12 * 60, (), "UTC")  # the story begins at 08:00


def test_in_a_quiet_time_people_are_told_when_it_ends() -> None:
    line = story(PAGE, quiet=(NIGHT,)).fails("load").at("3h59m")
    line.expect_nothing().expect_reason(Reason.QUIET)
    line.at("4h1m").expect_page()


def test_what_ended_in_a_quiet_time_is_not_told_at_all() -> None:
    line = story(PAGE, quiet=(NIGHT,)).fails("load").at("1h")
    line.look_says("load", "success", 2, dagrun="success").at("6h")
    line.expect_nothing().expect_open(0)


def test_changes_go_on_in_a_quiet_time() -> None:
    line = story(RETRY, quiet=(NIGHT,)).fails("load").at("1m")
    line.expect_retry("load")


def test_on_resolve_tells_that_it_was_healed() -> None:
    healed = Step("notify", to="chat", text="healed: {incident.title}", condition={"incident.helped": True})
    line = story(RETRY, on_resolve=(healed,)).fails("load").at("30s")
    line.expect_retry("load").expect_nothing()
    line.look_says("load", "success", 2, dagrun="success").at("2m")
    line.expect_message().expect_nothing()
    assert only(line).text == "healed: prod: sales.load failed"


def test_a_message_of_the_end_that_fails_is_told_as_others_are() -> None:
    with_fallback = msgspec.structs.replace(
        POLICY, routes={**POLICY.routes, "chat": msgspec.structs.replace(POLICY.routes["chat"], fallback="log")}
    )
    healed = Step("notify", to="chat", text="healed")
    line = story(RETRY, policy=with_fallback, on_resolve=(healed,)).fails("load").at("30s")
    line.answer_with("slack.message", Refused("channel_not_found"))
    line.look_says("load", "success", 2, dagrun="success").at("2m")
    line.expect_message().expect_reason(Reason.FALLBACK_ROUTE)
    alerts = [one for one in line.incidents.values() if one.rule == "self.notification_failed"]
    assert [one.error for one in alerts] == ["slack.message: refused: channel_not_found"]
    assert not any(state.ending for state in line.core.states.values() if isinstance(state, DagState))


def test_texts_name_what_was_found_and_show_what_is_missing() -> None:
    text = "{event.dag_id}: {match.how} by {match.who}, owner {event.owner}, {rule.labels.team}"
    line = story(Step("page", to="default", text=text), labels={"team": "core"}).fails("load").at("1m")
    line.expect_page()
    assert only(line).text == "sales: reset by peer, owner «event.owner missing», core"


def test_a_rule_that_nobody_allowed_asks_people_instead() -> None:
    allowed = msgspec.structs.replace(POLICY, allow=(Allow(files=("packs/*",)),))
    line = story(RETRY, policy=allowed, otherwise=(PAGE,), file="mine/r.toml").fails("load").at("1m")
    line.expect_page().expect_nothing().expect_reason(Reason.NOT_ALLOWED)
    line = story(RETRY, policy=allowed, otherwise=(PAGE,), file="packs/r.toml").fails("load").at("1m")
    line.expect_retry("load").expect_nothing()


def test_a_budget_for_the_deployment_counts_over_all_dags() -> None:
    line = story(RETRY, otherwise=(PAGE,), budget=(Budget(per_hour=2, target="deployment"),))
    for dag in ("one", "two", "three"):
        line.fails("load", dag_id=dag)
    line.at("1m")
    line.expect_retry("load").expect_retry("load").expect_page().expect_nothing()
    line.expect_reason(Reason.BUDGET_SPENT)
    line.at("1h5m").fails("load", dag_id="four").at("1h6m")
    line.expect_retry("load")


def test_a_group_makes_one_incident_of_a_whole_dag() -> None:
    line = story(CHAT, group=("deployment", "dag_id")).fails("load").fails("copy").at("1m")
    assert only(line).failures == 2
    line.expect_message().expect_message(edited=True).expect_nothing()
    line.look_says("load", "success", 2).look_says("copy", "success", 2, dagrun="success").dagrun("success").at("2m")
    line.expect_open(0)


def _node(line: Timeline, *, active: bool) -> None:
    kind = "node.not_ready" if active else "node.ready"
    condition = ConditionInfo("node.not_ready", "node/n1", active)
    line.event(Event(kind, line.now, deployment="cluster", subject="node/n1", condition=condition))


def test_a_rule_may_ask_what_held_of_the_infrastructure() -> None:
    lost = During("node.not_ready", grace=MINUTE)
    for since, expected in (("2m", True), ("10m", False)):
        line = story(RETRY, during=(lost,))
        _node(line, active=True)
        line.at("90s")
        _node(line, active=False)
        line.at(since).fails("load").at("11m")
        assert any(one.kind == "airflow.retry" for one in line.actions) is expected


def test_what_must_not_hold_is_an_error_when_it_cannot_be_told() -> None:
    unknown = During("node.not_ready", scope="node/{event.attributes.node}")
    line = story(RETRY, not_during=(unknown,)).fails("load").at("1m")
    line.expect_reason(Reason.RULE_ERROR).expect_page()  # an error never acts: nobody knew the failure


def test_an_event_rule_ends_with_its_event_and_not_with_an_older_one() -> None:
    rule = Rule("c", on=("check.failed",), mode=Mode.ACT, do=(CHAT,), ended_by=Selector(("check.passed",)))
    line = Timeline(RuleSetSpec((rule,), POLICY)).at("1m")
    line.event(Event("check.failed", line.now, deployment="prod", subject="orders")).at("2m")
    line.expect_message().expect_open(1)
    line.event(Event("check.passed", START + 30 * SECOND, deployment="prod", subject="orders")).expect_open(1)
    line.event(Event("check.passed", START + 90 * SECOND, deployment="prod", subject="orders")).expect_open(0)
    line.event(Event("check.failed", START + 80 * SECOND, deployment="prod", subject="orders")).expect_open(0)
    line.event(Event("check.failed", START + 2 * MINUTE, deployment="prod", subject="orders")).expect_open(1)


def test_a_condition_that_nobody_ended_is_over_after_its_lifetime() -> None:
    assert POLICY.condition_lifetime == HOUR
    line = story(RETRY, during=(During("node.not_ready"),))
    _node(line, active=True)
    line.at("59m").fails("load").at("59m30s").expect_retry("load")
    line = story(RETRY, during=(During("node.not_ready"),))
    _node(line, active=True)
    line.at("61m").fails("load").at("62m").expect_page()


def test_a_log_step_writes_to_the_log_and_wakes_nobody() -> None:
    line = story(Step("log", text="seen")).fails("load").at("1h")
    assert [one.kind for one in line.actions if one.kind in ("log", "pagerduty.page", "slack.message")] == ["log"]


def test_a_page_to_a_chat_that_was_only_notified_is_a_message_of_its_own() -> None:
    line = story(CHAT, Step("page", to="chat", wait=10 * MINUTE)).fails("load").at("1m")
    line.expect_message().expect_nothing()
    line.at("11m").expect_message(edited=True).expect_message().expect_nothing()
    line.look_says("load", "success", 2, dagrun="success").task_success("load", 2).at("30m")
    line.expect_message(edited=True).expect_message(edited=True).expect_nothing()
