"""Stories of the brakes: each shows what would go wrong without it."""

from __future__ import annotations

import msgspec
import pytest

from remediator.model.action import Action, Message, Page, Retry
from remediator.model.event import Event
from remediator.model.inputs import Performed, Pressed
from remediator.model.outcome import Delivered, FinalOutcome, Refused
from remediator.model.policy import Budget, DeploymentPolicy, Destination, Maintenance, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.model.truth import Finding
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Selector, Step
from remediator.testing.timeline import START, Timeline

POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", "feed", Mode.ACT),
        "careful": DeploymentPolicy("careful", "feed", Mode.APPROVE),
    },
    routes={
        "default": Route("default", (Destination("pagerduty.page", "pagerduty"),)),
        "chat": Route("chat", (Destination("slack.message", "slack", "#data"),)),
    },
    self_route="chat",
    lateness=10 * SECOND,
)
AT_ONCE = Backoff(initial=1 * SECOND, jitter=0)
RETRY = Step("airflow.retry", backoff=AT_ONCE)
PAGE = Step("page", to="default")
CHAT = Step("notify", to="chat")


def story(*do: Step, policy: Policy = POLICY, otherwise: tuple[Step, ...] = (PAGE,), **fields: object) -> Timeline:
    """A story under one acting rule on every final failure."""
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=otherwise, **fields)  # type: ignore[arg-type]
    return Timeline(RuleSetSpec((rule,), policy))


def limits(**fields: object) -> Policy:
    """The policy with these limits."""
    return msgspec.structs.replace(POLICY, **fields)


def answer(line: Timeline, command: str, deployment: str = "prod") -> Timeline:
    """A person answers the one open proposal."""
    (proposal,) = (one for incident in line.incidents.values() for one in incident.proposals)
    assert proposal.key == f"dag:{deployment}/sales"
    return line.give(Pressed("ann", command, subject=proposal.id, key=proposal.key))


def asked() -> Timeline:
    """A failure of a deployment that wants to be asked."""
    line = story(CHAT, RETRY).fails("load", deployment="careful").at("10s")
    return line.expect_message().expect_message(edited=True).expect_nothing().expect_reason(Reason.PROPOSED)


def test_an_approved_change_is_made_and_the_story_names_who_said_so() -> None:
    line = answer(asked(), "approve", "careful")
    line.expect_retry("load").expect_reason(Reason.APPROVED)
    assert any("ann" in one.text for one in line.decisions)
    assert not any(incident.proposals for incident in line.incidents.values())


def test_a_yes_is_for_what_was_shown_though_the_firing_has_gone_on() -> None:
    repair = Step("airflow.trigger", params={"dag_id": "repair_{event.subject}"})
    rule = Rule("r", on=("alert.firing",), mode=Mode.APPROVE, group=("deployment",), do=(repair,), otherwise=(PAGE,))
    line = Timeline(RuleSetSpec((rule,), POLICY))
    line.event(Event("alert.firing", line.now, source="x", deployment="prod", subject="orders")).at("1m")
    ((proposal,),) = (one.proposals for one in line.incidents.values())
    assert "DAG repair_orders (dag_id repair_orders)" in proposal.text
    line.event(Event("alert.firing", line.now, source="x", deployment="prod", subject="payroll")).at("2m")
    line.give(Pressed("ann", "approve", subject=proposal.id, key=proposal.key)).at("3m")
    line.expect_change("airflow.trigger", dag_id="repair_orders")
    assert sum(one.kind == "airflow.trigger" for one in line.actions) == 1


def test_a_tag_that_no_event_told_forbids_what_only_a_look_found() -> None:
    line = story(RETRY)
    line.scheduler.tags["prod", "sales"] = ("remediator:never",)
    line.look_says("load", "failed", 1).dagrun("failed").at("30m").expect_page().expect_reason(Reason.NEVER_RETRY)
    assert not [one for one in line.actions if one.kind == "airflow.retry"]


def test_tags_that_were_added_since_the_event_forbid_too() -> None:
    line = story(RETRY)
    line.scheduler.tags["prod", "sales"] = ("crm", "remediator:never")
    line.fails("load", tags=("crm",)).at("1m").expect_page().expect_reason(Reason.NEVER_RETRY)


def test_where_the_scheduler_does_not_tell_the_tags_a_person_is_asked() -> None:
    line = story(RETRY)
    line.scheduler.tags["prod", "sales"] = None
    line.fails("load").at("1m").expect_page().expect_reason(Reason.PROPOSED)
    assert not [one for one in line.actions if one.kind == "airflow.retry"]
    answer(line, "approve").at("2m").expect_retry("load")


def test_tags_that_the_event_told_are_enough() -> None:
    line = story(RETRY)
    line.scheduler.tags["prod", "sales"] = None
    line.fails("load", tags=("crm",)).at("1m").expect_retry("load")


def test_a_rejected_change_is_not_made() -> None:
    line = answer(asked(), "reject", "careful").at("5m")
    line.expect_page().expect_reason(Reason.REJECTED).expect_open(1)
    assert not any(one.kind == "airflow.retry" for one in line.actions)


def test_a_proposal_that_nobody_answers_expires_and_pages() -> None:
    line = asked().at("61m").expect_page()
    line.expect_reason(Reason.PROPOSAL_EXPIRED)
    assert not any(incident.proposals for incident in line.incidents.values())
    assert not any(one.kind == "airflow.retry" for one in line.actions)


def test_an_answer_that_comes_after_the_failure_is_over_changes_nothing() -> None:
    line = asked()
    (proposal,) = (one for incident in line.incidents.values() for one in incident.proposals)
    line.look_says("load", "success", 2, dagrun="success", deployment="careful")
    line.task_success("load", 2, deployment="careful").at("2m").expect_open(0)
    line.give(Pressed("ann", "approve", subject=proposal.id, key=proposal.key)).at("5m")
    assert not any(one.kind == "airflow.retry" for one in line.actions)


def test_a_change_that_would_touch_too_much_asks_a_person() -> None:
    line = story(RETRY).answer_with("airflow.retry", Refused("it would touch 80 task instances", affects=80))
    line.fails("load").at("30s").expect_retry("load").expect_page().expect_reason(Reason.PROPOSED)
    line.answer_with("airflow.retry", Delivered())
    answer(line, "approve")
    line.expect_retry("load")
    assert [one.params.max_affected for one in line.actions if one.kind == "airflow.retry"] == [50, 80]  # type: ignore[union-attr]


def test_a_yes_is_for_as_many_task_instances_as_were_named() -> None:
    line = asked().answer_with("airflow.retry", Refused("it would touch 80 task instances", affects=80))
    answer(line, "approve", "careful").expect_retry("load").expect_reason(Reason.PROPOSED, 2)
    line.answer_with("airflow.retry", Refused("it would touch 900 task instances", affects=900))
    answer(line, "approve", "careful").expect_retry("load").expect_reason(Reason.PROPOSED, 3)
    bounds = [one.params.max_affected for one in line.actions if one.kind == "airflow.retry"]  # type: ignore[union-attr]
    assert bounds == [50, 80]


class Sized(Timeline):
    """What follows each task differs in size."""

    def outcome_of(self, action: Action) -> FinalOutcome | None:
        if not isinstance(action.params, Retry):
            return super().outcome_of(action)
        size = max({"a": 150, "b": 200, "c": 900}[one.task_id] for one in action.params.tasks)
        allowed = action.params.max_affected
        return Refused(f"it would touch {size} task instances", affects=size) if 0 < allowed < size else None


def test_a_yes_is_not_for_the_many_more_that_joined_after_the_question() -> None:
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(PAGE,), group=("dag_id",))
    line = Sized(RuleSetSpec((rule,), limits(blast_radius=100)))
    for name in "abc":
        line.fails(name).until(line.now + MINUTE).expect_retry(name)
    answer(line, "approve").at("5m").expect_retry("a", "b", "c")
    assert [one.params.max_affected for one in line.actions if isinstance(one.params, Retry)] == [100, 100, 100, 150]
    (asked,) = (one for incident in line.incidents.values() for one in incident.proposals)
    assert "it would touch 900" in asked.text
    answer(line, "approve").at("7m").expect_retry("a", "b", "c")
    assert [one.params.max_affected for one in line.actions if isinstance(one.params, Retry)][4:] == [900]


def test_a_change_carries_what_must_never_run_again_in_its_dag() -> None:
    never = ("prod/sales/charge", "prod/other/x", "other/*/x", "*charge_card")
    line = story(RETRY, policy=limits(never_retry=never)).fails("load").at("10s")
    (retry,) = (one.params for one in line.actions if one.kind == "airflow.retry")
    assert retry.never == ("prod/sales/charge", "*charge_card")  # type: ignore[union-attr]


def test_a_dag_with_a_task_that_must_never_run_again_is_not_reprocessed() -> None:
    line = story(
        Step("airflow.backfill", params={"since": "2026-01-01T00:00:00Z"}),
        policy=limits(never_retry=("prod/sales/charge",)),
    )
    line.fails("load").at("10s").expect_page().expect_reason(Reason.RULE_ERROR)
    assert not any(one.kind == "airflow.backfill" for one in line.actions)


def test_no_more_changes_a_minute_than_allowed_and_none_is_lost() -> None:
    line = story(RETRY, policy=limits(changes_per_minute=3))
    for number in range(9):
        line.fails("load", dag_id=f"d{number}")
    counts = [sum(one.kind == "airflow.retry" for one in line.at(at).actions) for at in ("30s", "100s", "15m")]
    assert counts[0] == 3
    assert counts[1] <= 6
    assert counts[2] == 9


def test_no_more_changes_at_once_than_allowed() -> None:
    line = story(RETRY, policy=limits(concurrent_changes=2))
    for number in range(4):
        line.fails("load", dag_id=f"d{number}")
    first = [one.params for one in line.at("5m").actions if isinstance(one.params, Retry)]
    assert len(first) == 2
    for retry in first:
        line.look_says("load", "success", 2, dagrun="success", dag_id=retry.dag_id)
    line.at("20m")
    assert sum(one.kind == "airflow.retry" for one in line.actions) == 4


def test_nothing_is_changed_under_maintenance() -> None:
    window = Maintenance(("pro*",), START, START + HOUR, "upgrade")
    line = story(RETRY, policy=limits(maintenance=(window,))).fails("load").at("59m")
    line.expect_nothing().expect_reason(Reason.MAINTENANCE)
    line.at("61m").expect_retry("load")


class Away(Timeline):
    """Clears wait in the outbox: the deployment does not answer."""

    def _answer(self, action: Action) -> None:
        if action.kind != "airflow.retry":
            super()._answer(action)


def test_a_change_that_waits_in_the_outbox_is_not_made_once_maintenance_has_begun() -> None:
    window = Maintenance(("pro*",), START + MINUTE, START + HOUR, "upgrade")
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(PAGE,))
    line = Away(RuleSetSpec((rule,), limits(maintenance=(window,)))).fails("load").at("30s")
    (retry,) = (one for one in line.actions if one.kind == "airflow.retry")
    assert retry.not_after == window.begin - 1
    expired = Refused("not done before airflow.retry expired")
    line.at("2m").give(Performed(retry.id, retry.key, retry.kind, expired)).at("59m").expect_nothing()
    line.expect_reason(Reason.MAINTENANCE).at("61m")
    assert [one.not_before > window.end for one in line.actions if one.kind == "airflow.retry"] == [False, True]


class FirstAway(Timeline):
    """Of the dagrun r0 alone the clear waits in the outbox."""

    def _answer(self, action: Action) -> None:
        if not (isinstance(action.params, Retry) and action.params.run_id == "r0"):
            super()._answer(action)


@pytest.mark.parametrize("target", ["task", "dag"])
def test_a_refused_change_gives_back_its_own_place_and_no_later_one(target: str) -> None:
    twice = (Budget(per_hour=2, target=target), Budget(per_hour=9))
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(PAGE,), budget=twice)
    line = FirstAway(RuleSetSpec((rule,), limits(budget_cap=Budget()))).fails("load", run_id="r0").at("25m")
    line.fails("load", run_id="r1").at("26m").expect_retry("load")
    (first,) = (one for one in line.actions if isinstance(one.params, Retry) and one.params.run_id == "r0")
    line.give(Performed(first.id, first.key, first.kind, Refused("not done before airflow.retry expired"))).at("28m")
    line.fails("load", run_id="r2").at("63m").expect_page().expect_retry("load")
    line.fails("load", run_id="r3").at("84m").expect_nothing().expect_reason(Reason.BUDGET_SPENT)
    line.at("86m").fails("load", run_id="r4").at("87m").expect_retry("load")


def test_more_pages_than_a_person_can_read_become_one_digest() -> None:
    route = Route("default", (Destination("pagerduty.page", "pagerduty"),), pages_per_hour=2)
    chatty = limits(routes={**POLICY.routes, "default": route})
    line = story(PAGE, policy=chatty)
    for number in range(6):
        line.fails("load", dag_id=f"d{number}")
    line.at("1m")
    pages = [one for one in line.actions if one.kind == "pagerduty.page"]
    assert len({one.incident for one in pages}) == 3  # two, and the digest
    assert line.incidents[pages[-1].incident].rule == "self.page_digest"
    assert isinstance(pages[-1].params, Page)
    assert "4 more incidents" in pages[-1].params.incident.error  # though the first of them was on its way alone
    line.at("62m").fails("load", dag_id="d9").at("63m")
    assert sum(one.kind == "pagerduty.page" for one in line.actions) >= 4


@pytest.mark.parametrize("fallback", ["", "chat"])
def test_a_digest_that_cannot_be_posted_wakes_somebody(fallback: str) -> None:
    both = (*POLICY.routes["default"].destinations, *POLICY.routes["chat"].destinations)
    route = Route("default", both, fallback=fallback, pages_per_hour=1)
    line = story(PAGE, policy=limits(routes={**POLICY.routes, "default": route}))
    line.answer_with("slack.message", Refused("channel_is_archived"))
    for number in range(4):
        line.fails("load", dag_id=f"d{number}").until(line.now + MINUTE)
    pages = [one.params.incident for one in line.actions if isinstance(one.params, Page)]
    assert [one.rule == "self.page_digest" for one in pages] == [False, True, True, True]
    assert "3 more incidents" in pages[-1].error


def test_a_digest_that_could_not_be_posted_is_tried_again_with_the_next_page_it_counts() -> None:
    route = Route("default", POLICY.routes["chat"].destinations, pages_per_hour=0)
    line = story(PAGE, policy=limits(routes={**POLICY.routes, "default": route}))
    line.answer_with("slack.message", Refused("service unavailable")).fails("load").at("1m").expect_message()
    line.answer_with("slack.message", Delivered("C1/1")).fails("load", dag_id="d2").at("2m")
    (posted,) = (one for one in line.incidents.values() if one.rule == "self.page_digest")
    last = [one.params for one in line.actions if one.incident == posted.id][-1]
    assert isinstance(last, Message)
    assert (last.ref, "2 more incidents" in last.incident.error) == ("C1/1", True)  # edited, and so posted before


def test_a_question_is_seen_when_the_pages_of_the_hour_are_used_up() -> None:
    route = Route(
        "default", (*POLICY.routes["default"].destinations, *POLICY.routes["chat"].destinations), pages_per_hour=1
    )
    line = story(RETRY, policy=limits(routes={**POLICY.routes, "default": route}))
    line.fails("load", deployment="careful").at("10s").expect_page().expect_message()
    line.fails("load", dag_id="d2", deployment="careful").at("20s").expect_reason(Reason.DIGESTED, 2)
    posts = [one.incident for one in line.actions if one.kind == "slack.message" and not one.params.ref]  # type: ignore[union-attr]
    asked = [one.id for one in line.incidents.values() if one.proposals]
    assert set(asked) <= set(posts)
    assert len(asked) == 2
    assert [line.incidents[one].paged for one in asked] == [True, False]


def test_a_trigger_is_filled_in_from_the_event_and_has_an_id_of_its_own() -> None:
    repair = Step("airflow.trigger", params={"dag_id": "repair_{event.dag_id}", "conf": {"task": "{event.task_id}"}})
    line = story(repair, otherwise=()).fails("load").at("1m")
    line.expect_change("airflow.trigger", dag_id="repair_sales", conf={"task": "load"})
    (action,) = (one for one in line.actions if one.kind == "airflow.trigger")
    assert action.params.run_id == f"remediator__{action.id}"  # type: ignore[union-attr]


def test_a_change_that_cannot_be_filled_in_is_not_made() -> None:
    repair = Step("airflow.trigger", params={"dag_id": "repair_{event.owner}"})
    line = story(repair).fails("load").at("1m")
    line.expect_page().expect_nothing().expect_reason(Reason.RULE_ERROR)


def test_a_mark_always_asks() -> None:
    line = story(Step("airflow.mark", params={"state": "skipped"})).fails("load").at("1m")
    line.expect_reason(Reason.PROPOSED)
    assert not any(one.kind == "airflow.mark" for one in line.actions)
    answer(line, "approve")
    assert any(one.kind == "airflow.mark" for one in line.actions)


def test_a_rerun_is_proved_like_a_retry() -> None:
    line = story(Step("airflow.rerun")).fails("load").at("30s").expect_change("airflow.rerun", run_id="r1")
    line.look_says("load", "success", 2, dagrun="success").at("5m")
    line.expect_nothing().expect_open(0).expect_reason(Reason.HELPED)


def test_the_end_of_the_log_is_shown_to_who_is_told() -> None:
    line = story(CHAT)
    line.log_tail = "psycopg2.OperationalError: gone"
    line.fails("load").at("1m").expect_message().expect_message(edited=True).expect_nothing()
    (incident,) = line.incidents.values()
    assert incident.log_tail == "psycopg2.OperationalError: gone"


POOL = Rule(
    "pool", on=("pool.full",), per=("deployment", "subject"), hold_for=3 * MINUTE, mode=Mode.ACT,
    ended_by=Selector(("pool.free",)), do=(CHAT,),
)  # fmt: skip


def test_what_the_scheduler_was_asked_for_becomes_events_that_begin_and_end() -> None:
    line = Timeline(RuleSetSpec((POOL,), POLICY)).at("5m")
    line.findings["prod"] = (Finding("pool.full", "pool/etl", "pool.free", attributes={"slots": 4}),)
    line.at("7m").expect_nothing()
    line.at("10m").expect_message().expect_nothing().expect_open(1)
    line.findings.clear()
    line.at("12m").expect_message(edited=True).expect_nothing().expect_open(0)


def test_an_unanswered_survey_ends_nothing() -> None:
    line = Timeline(RuleSetSpec((POOL,), POLICY))
    line.findings["prod"] = (Finding("pool.full", "pool/etl", "pool.free"),)
    line.at("5m").expect_message().expect_open(1)
    line.findings.clear()
    line.unreachable().at("9m").expect_nothing().expect_open(1)


def test_failures_that_no_event_announces_are_counted_and_reported_when_there_are_many() -> None:
    line = story(CHAT)
    for number in range(12):
        line.look_says("load", "failed", 1, run_id=f"r{number}", dagrun="failed").dagrun("failed", run_id=f"r{number}")
    line.at("5m").expect_reason(Reason.UNANNOUNCED, 12)
    told = next(one.status for one in line.incidents.values() if one.rule == "self.events_missing")
    assert told.startswith("100 % (10 of 10) of the final failures of deployment 'prod'")
    assert "though feed 'feed' has passed them" in told


def test_a_failure_that_its_feed_has_not_passed_is_late_and_not_lost() -> None:
    """A dagrun's end is known, the failure in it is found by a look, and then nothing is read any more."""
    line = story(CHAT).look_says("load", "failed", 1, dagrun="failed").dagrun("failed").feed_stops().at("40m")
    line.expect_reason(Reason.UNANNOUNCED)
    assert line.core.ledger.unannounced == {}
    assert line.core.ledger.failures.keys() == {"prod"}


def test_a_restored_store_changes_nothing_until_a_person_thaws_it() -> None:
    line = story(RETRY).give(Pressed("ann", "restored")).fails("load").at("5m")
    line.expect_nothing().expect_reason(Reason.RESTORED)
    line.thaw().at("6m").expect_retry("load")


def test_a_rule_that_tells_nobody_while_it_acts_asks_whom_it_would_page() -> None:
    story(RETRY).fails("load", deployment="careful").at("10s").expect_page().expect_nothing()
