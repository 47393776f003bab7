"""What happens at three in the morning, as an on-call engineer would tell it."""

from __future__ import annotations

from remediator.model.event import Event
from remediator.model.incident import Handling
from remediator.model.inputs import Gap, Unmapped
from remediator.model.outcome import Refused, Unknown
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import MINUTE, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import FEED, Timeline

PAGER = Destination("pagerduty.page", "pager")
CHAT = Destination("slack.message", "chat", "#data")

LOST_CONNECTION = Rule(
    id="lost-connection",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    where={"error.message": {"matches": "(?i)connection reset"}},
    budget=(Budget(per_hour=3),),
    do=(Step("airflow.retry", max_attempts=2, backoff=Backoff(10 * SECOND, jitter=0), verify=5 * MINUTE),),
    otherwise=(Step("page", to="oncall"),),
)
OUT_OF_MEMORY = Rule(
    id="out-of-memory",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    priority=80,
    severity="critical",
    where={"error.type": "MemoryError"},
    do=(Step("page", to="oncall"),),
)
TOLD_THEN_RETRIED = Rule(
    id="told-then-retried",
    on=("task.failed_finally",),
    mode=Mode.ACT,
    priority=60,
    where={"task_id": "chatty"},
    do=(Step("notify", to="chat"), Step("airflow.retry", backoff=Backoff(10 * SECOND, jitter=0), verify=5 * MINUTE)),
    otherwise=(Step("page", to="oncall"),),
)
OBSERVER = Rule(id="observer", on=("task.failed_finally",), priority=99, do=(Step("airflow.retry"),))
BAD_CHECK = Rule(id="bad-check", on=("check.failed",), mode=Mode.ACT, do=(Step("notify", to="chat"),))
RULES = (LOST_CONNECTION, OUT_OF_MEMORY, TOLD_THEN_RETRIED, OBSERVER, BAD_CHECK)

POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", FEED, Mode.ACT, log_hosts=("airflow.example.com",)),
        "careful": DeploymentPolicy("careful", FEED, Mode.APPROVE),
        "watched": DeploymentPolicy("watched", FEED, Mode.ACT, has_api=False),
    },
    routes={
        "oncall": Route("oncall", (PAGER,), fallback="chat"),
        "chat": Route("chat", (CHAT,)),
        "default": Route("default", (PAGER,)),
        "self": Route("self", (CHAT,)),
    },
    self_route="self",
    never_retry=("prod/*/billing_*",),
)


def story(*, rules: tuple[Rule, ...] = RULES, policy: Policy = POLICY) -> Timeline:
    return Timeline(RuleSetSpec(rules, policy))


def test_airflow_retries_by_itself() -> None:
    told = story().at("1m").look_says("load", "running").task_failed("load", retries=1)
    told.at("1m3s").look_says("load", "up_for_retry").at("2m").look_says("load", "success").at("20m")
    told.expect_nothing().expect_open(0).expect_reason(Reason.AIRFLOW_RETRIES)


def test_a_lost_connection_is_healed_by_one_clear() -> None:
    told = story().at("1m").fails("load").at("1m2s").expect_nothing()
    told.at("1m11s").expect_nothing().at("1m13s").expect_retry("load")
    told.look_says("load", "success").task_success("load", 2).at("20m")
    told.expect_nothing().expect_open(0).expect_reason(Reason.HELPED)


def test_a_clear_that_met_the_scheduler_at_work_is_not_called_a_help() -> None:
    """Airflow marks what follows a failure one pass after the other: a clear in between misses what is marked next."""
    told = story().at("1m").fails("load").at("1m30s").expect_retry("load")
    told.look_says("publish", "upstream_failed", 0).look_says("load", "success", 2, dagrun="failed")
    told.task_success("load", 2).dagrun("failed").at("3m").expect_page().expect_reason(Reason.DID_NOT_HELP)
    told.at("40m").expect_nothing().expect_open(1)
    told.look_says("publish", "success", 1, dagrun="success").at("60m").expect_page("resolve").expect_open(0)


def test_a_cleared_task_that_its_dagrun_ended_without_is_told() -> None:
    told = story().at("1m").fails("load").at("1m30s").expect_retry("load")
    told.look_says("load", "none", 1, dagrun="failed").at("6m").expect_page().expect_reason(Reason.DID_NOT_HELP)
    told.at("40m").expect_nothing().expect_open(1)


def test_two_retries_that_do_not_help_page_once() -> None:
    told = story().at("1m").fails("load").at("1m30s").expect_retry("load")
    told.fails("load", 2).at("2m30s").expect_retry("load")
    told.fails("load", 3).at("3m").expect_page().at("30m").expect_nothing()
    told.expect_reason(Reason.DID_NOT_HELP, 2).expect_reason(Reason.ATTEMPTS_SPENT).expect_open(1)


def test_a_page_is_resolved_when_the_task_succeeds_in_a_later_dagrun() -> None:
    told = story().at("1m").fails("load", error="KeyError: 'customer'").at("1m5s").expect_page()
    told.at("10m").task_success("load", run_id="r2").expect_page("resolve").expect_open(0).expect_nothing()


def test_a_programming_error_pages_once_and_is_never_retried() -> None:
    told = story().at("1m").fails("load", error="KeyError: 'customer'").at("1m5s").expect_page()
    told.at("30m").expect_nothing().expect_open(1).expect_reason(Reason.UNCLASSIFIED)


def test_a_late_event_after_the_finding_changes_nothing() -> None:
    told = story().at("1m").look_says("load", "failed").dagrun("failed").at("2m").expect_page()
    told.task_failed("load", happened="59s").dagrun("failed", happened="1m").at("20m")
    told.expect_nothing().expect_open(1).expect_reason(Reason.DUPLICATE)


def test_a_person_clears_first() -> None:
    told = story().at("1m").fails("load").at("1m5s").expect_reason(Reason.RETRY_PLANNED)
    told.answer_with("airflow.retry", Refused("attempt moved on")).look_says("load", "running", 2).at("1m30s")
    told.expect_retry("load").look_says("load", "success").at("20m")
    told.expect_nothing().expect_open(0).expect_reason(Reason.RECOVERED)


def test_a_refused_retry_pages_if_the_task_is_still_failed() -> None:
    told = story().answer_with("airflow.retry", Refused("403: forbidden"))
    told.at("1m").fails("load").at("2m").expect_retry("load").expect_page().at("20m").expect_nothing()


def test_after_an_unknown_outcome_a_look_tells_that_it_is_well_and_nothing_is_claimed() -> None:
    told = story().answer_with("airflow.retry", Unknown("timed out"))
    told.at("1m").fails("load").at("1m12s").expect_retry("load").look_says("load", "success").at("2m")
    told.expect_nothing().expect_open(0).expect_reason(Reason.RECOVERED).expect_reason(Reason.HELPED, 0)


def test_a_freeze_holds_and_a_thaw_decides_anew() -> None:
    told = story().freeze().at("1m").fails("load").at("5m").expect_nothing().expect_reason(Reason.FROZEN, 2)
    told.thaw().at("6m").expect_retry("load").look_says("load", "success").at("20m").expect_nothing().expect_open(0)


def test_what_healed_under_a_freeze_is_left_alone() -> None:
    told = story().freeze().at("1m").fails("load").at("3m").look_says("load", "success").thaw().at("20m")
    told.expect_nothing().expect_open(0)


def test_a_freeze_that_lasts_pages() -> None:
    told = story().freeze().at("1m").fails("load").at("15m").expect_nothing().at("17m").expect_page()
    told.expect_reason(Reason.HELD_TOO_LONG).at("30m").expect_nothing()


def test_the_budget_is_counted_over_dagruns() -> None:
    told = story()
    for number in range(3):
        told.at(f"{number + 1}m").fails("load", run_id=f"r{number}").at(f"{number + 1}m30s").expect_retry("load")
        told.look_says("load", "success", run_id=f"r{number}")
    told.at("10m").expect_nothing().fails("load", run_id="r9").at("11m").expect_page()
    told.expect_reason(Reason.BUDGET_SPENT).at("20m").expect_nothing()


def test_a_tag_forbids_retries() -> None:
    told = story().at("1m").fails("load", tags=("remediator:never",)).at("2m").expect_page()
    told.at("20m").expect_nothing().expect_reason(Reason.NEVER_RETRY)


def test_the_never_retry_list_forbids_retries() -> None:
    story().at("1m").fails("billing_load").at("2m").expect_page().expect_nothing().expect_reason(Reason.NEVER_RETRY)


def test_a_log_link_to_another_host_forbids_retries() -> None:
    told = story().at("1m").fails("load", log_url="https://elsewhere.example.net/log").at("2m")
    told.expect_page().expect_nothing().expect_reason(Reason.FOREIGN_HOST)


def test_a_log_link_to_the_own_host_does_not() -> None:
    story().at("1m").fails("load", log_url="https://airflow.example.com/log").at("2m").expect_retry("load")


def test_a_deployment_that_wants_approval_is_not_changed() -> None:
    told = story().at("1m").fails("load", deployment="careful").at("2m").expect_page()
    told.expect_nothing().expect_reason(Reason.PROPOSED)


def test_an_unreachable_scheduler_leads_to_an_unverified_page() -> None:
    told = story().at("1m").unreachable().fails("load").at("10m")
    told.expect_message()  # about the daemon itself: the deployment does not answer
    told.expect_nothing().at("18m").expect_page().expect_nothing()
    told.expect_reason(Reason.UNVERIFIED).at("19m").reachable().look_says("load", "success").at("40m")
    told.expect_page("resolve").expect_message(edited=True).expect_nothing().expect_open(0)


def test_catching_up_with_recoveries_pages_nobody() -> None:
    told = story().at("1m").feed_stops().fails("load", error="KeyError: 'x'").at("3m").task_success("load", 2)
    told.look_says("load", "success").dagrun("success").at("4m").feed_reads_on().at("20m")
    told.expect_nothing().expect_open(0)


def test_catching_up_holds_a_page_until_the_rest_was_read() -> None:
    told = story().at("1m").task_failed("load", deployment="watched", error="KeyError: 'x'", happened="1s")
    told.at("2m").feed_stops().task_failed("load", deployment="watched", error="KeyError: 'y'", run_id="r2")
    told.expect_page().at("4m").feed_reads_on().at("20m").expect_nothing()


def test_out_of_memory_pages_at_once() -> None:
    told = story().at("1m").fails("load", error="MemoryError").at("1m5s").expect_page()
    told.at("20m").expect_nothing().expect_reason(Reason.RULE_RESPONDS)


def test_two_failed_tasks_of_one_dagrun_are_cleared_in_one_call() -> None:
    told = story().at("1m").fails("load").fails("extract").at("1m20s").expect_retry("extract", "load").expect_nothing()
    told.look_says("load", "success").look_says("extract", "success").at("20m").expect_nothing().expect_open(0)


def test_a_mapped_index_is_retried_alone() -> None:
    told = story().at("1m").look_says("load", "success", map_index=1).fails("load", map_index=2).at("1m20s")
    told.expect_retry("load")
    (retry,) = [action for action in told.actions if action.kind == "airflow.retry"]
    assert [task.map_index for task in retry.params.tasks] == [2]  # type: ignore[union-attr]


def test_notify_then_retry_edits_the_same_message() -> None:
    told = story().at("1m").fails("chatty").at("1m5s").expect_message()
    told.at("1m20s").expect_retry("chatty").expect_message(edited=True)
    told.look_says("chatty", "success").at("20m").expect_open(0)
    messages = [action.params for action in told.actions if action.kind == "slack.message"]
    assert len({one.ref for one in messages if one.ref}) == 1  # type: ignore[union-attr]
    assert messages[-1].incident.helped  # type: ignore[union-attr]


def test_a_pager_that_fails_is_replaced_and_reported() -> None:
    told = story().answer_with("pagerduty.page", Refused("401: bad key"))
    told.at("1m").fails("load", error="MemoryError").at("1m10s").expect_page()
    told.expect_message().expect_message().expect_nothing().expect_reason(Reason.FALLBACK_ROUTE)
    told.expect_open(2)  # the failure, and the pager


def test_a_blind_feed_is_told_once_and_ends() -> None:
    told = story().at("1m").feed_stops().at("30m").expect_message().expect_nothing().expect_reason(Reason.FEED_BLIND)
    told.feed_reads_on().at("31m").expect_message(edited=True).expect_nothing().expect_open(0)


def test_an_observing_rule_changes_nothing() -> None:
    with_it = story().at("1m").fails("load").at("20m")
    without = story(rules=tuple(rule for rule in RULES if rule is not OBSERVER)).at("1m").fails("load").at("20m")
    assert with_it.actions == without.actions
    with_it.expect_reason(Reason.RULE_OBSERVES)


def test_nothing_but_an_observing_rule_pages_as_unclassified() -> None:
    told = story(rules=(OBSERVER,)).at("1m").fails("load").at("2m").expect_page().expect_nothing()
    told.expect_reason(Reason.RULE_OBSERVES).expect_reason(Reason.UNCLASSIFIED)


def test_a_removed_rule_leaves_its_retry_to_the_last_one() -> None:
    told = story().at("1m").fails("load").at("1m5s").expect_reason(Reason.RETRY_PLANNED)
    told.activate(RuleSetSpec((OBSERVER,), POLICY)).at("5m").expect_page().expect_nothing()


def test_a_deployment_without_an_api_is_only_watched() -> None:
    told = story().at("1m").task_failed("load", deployment="watched").at("1m1s").expect_page().expect_nothing()
    told.at("2m").task_success("load", 2, deployment="watched").expect_page("resolve").expect_open(0)


def test_without_an_api_a_retry_that_succeeds_wakes_nobody() -> None:
    told = story().at("1m").task_failed("load", retries=1, deployment="watched").at("2m")
    told.task_success("load", 2, deployment="watched").task_failed("extract", deployment="watched", error="KeyError: x")
    told.expect_page().dagrun("failed", deployment="watched").at("20m").expect_nothing().expect_open(1)


def test_a_dagrun_that_is_gone_ends_its_incident() -> None:
    told = story().at("1m").fails("load", error="KeyError: 'x'").at("2m").expect_page()
    told.dagrun_gone().at("20m").expect_page("resolve").expect_open(0).expect_reason(Reason.GONE)


def test_a_failed_check_is_told_once() -> None:
    told = story().at("1m")
    check = Event("check.failed", told.now, source="tests", deployment="prod", subject="orders.not_null")
    told.event(check).expect_message().event(check).expect_nothing().expect_reason(Reason.DUPLICATE)


def test_a_gap_is_told_and_swept() -> None:
    told = story().at("1m")
    sweeps = sum(action.kind == "airflow.sweep" for action in told.actions)
    told.give(Gap(FEED, "events", 0, 10, 19, told.now - MINUTE)).expect_message().expect_reason(Reason.GAP_FOUND)
    assert sum(action.kind == "airflow.sweep" for action in told.actions) > sweeps


def test_an_unmapped_namespace_is_told_once() -> None:
    told = story().at("1m").give(Unmapped(FEED, "elsewhere", "events")).expect_message()
    told.give(Unmapped(FEED, "elsewhere", "events")).expect_nothing()


def test_while_a_retry_runs_the_incident_says_so() -> None:
    told = story().at("1m").fails("load").at("1m30s")
    (incident,) = told.incidents.values()
    assert incident.handling is Handling.REMEDIATING
