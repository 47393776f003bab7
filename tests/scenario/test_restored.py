"""A store that came back from a backup: frozen, everything open is looked at, and what was found is told once."""

from __future__ import annotations

from remediator.model.action import Action
from remediator.model.incident import Phase
from remediator.model.inputs import Activated, Performed, Pressed
from remediator.model.outcome import NOT_DONE, Delivered, Refused, Unknown
from remediator.model.policy import DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.runtime.surface_accounts import restored_view
from remediator.testing.timeline import Timeline

POLICY = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT)},
    routes={
        "default": Route("default", (Destination("pagerduty.page", "pagerduty"),), fallback="chat"),
        "chat": Route("chat", (Destination("slack.message", "slack", "#data"),)),
    },
    self_route="chat",
    lateness=10 * SECOND,
)
RETRY = Step("airflow.retry", backoff=Backoff(initial=1 * SECOND, jitter=0))
PAGE = Step("page", to="default")
CHAT = Step("notify", to="chat")


class Unsent(Timeline):
    """What is to be sent to the pager waits in the outbox while `waits` is set."""

    waits = True
    kept: tuple[Action, ...] = ()

    def _answer(self, action: Action) -> None:
        if self.waits and action.kind == "pagerduty.page":
            self.kept = (*self.kept, action)
        else:
            super()._answer(action)


def story(*do: Step, kind: type[Timeline] = Timeline) -> Timeline:
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=do, otherwise=(PAGE,))
    return kind(RuleSetSpec((rule,), POLICY))


def put_back(line: Timeline, actions: int = 0) -> Timeline:
    """The old store is put back, and the daemon starts."""
    line.give(Pressed("ann", "restored", actions=actions))
    return line.give(Activated(line.core.world.rule_set))


def found(line: Timeline) -> str:
    return next(one.status for one in line.incidents.values() if one.rule == "self.restored")


def test_what_was_open_is_looked_at_and_told_in_one_message() -> None:
    line = story(CHAT).fails("load", dag_id="over").fails("load", dag_id="lasts").at("1m")
    line.expect_message().expect_message().expect_nothing()
    line.look_says("load", "success", 2, dag_id="over", dagrun="success")
    put_back(line).at("90s")
    line.expect_message(edited=True).expect_message().expect_nothing().expect_reason(Reason.RESTORED, 2)
    assert "of 2 open cases 1 were healed or moved on meanwhile" in found(line)
    assert "not known yet" not in found(line)


def test_a_scheduler_that_does_not_answer_is_waited_for_so_long_and_then_said() -> None:
    line = story(CHAT).fails("load").at("1m").expect_message()
    put_back(line.unreachable()).at("10m").expect_message().expect_nothing()  # that it does not answer
    seen = restored_view(POLICY, line.core.world, line.core.ledger)["restored"]
    assert seen["looking"]
    assert "not known yet: 1 dagruns, what deployment prod would answer" in seen["found"]
    line.at("17m").expect_message().expect_nothing().expect_reason(Reason.RESTORED, 2)
    assert "not known yet: 1 dagruns, what deployment prod would answer" in found(line)


def test_what_the_outbox_held_is_counted_as_it_turned_out() -> None:
    line = story(RETRY).fails("load").at("1m").expect_retry("load")
    retry = next(one for one in line.actions if one.kind == "airflow.retry")
    line.give(Pressed("ann", "restored", actions=3)).give(Activated(line.core.world.rule_set)).at("2m")
    line.expect_nothing()
    for outcome in (Delivered(), Refused(NOT_DONE), Unknown("nobody knows")):
        line.give(Performed(retry.id, retry.key, retry.kind, outcome, proved=True))
    line.at("3m").expect_message().expect_nothing()
    assert "of 3 actions that the outbox still held 1 turned out done, 1 not done, 1 unknown" in found(line)


def test_what_was_decided_anew_and_proved_is_counted_beside_what_the_outbox_held() -> None:
    line = story(RETRY).fails("load").at("1m").expect_retry("load")
    retry = next(one for one in line.actions if one.kind == "airflow.retry")
    put_back(line)
    for _ in range(2):
        line.give(Performed(retry.id, retry.key, retry.kind, Delivered(), proved=True))
    line.at("3m").expect_message().expect_nothing()
    assert "of 2 actions that the outbox still held 2 turned out done" in found(line)


def test_a_page_of_the_old_outbox_is_sent_anew_only_if_the_failure_goes_on() -> None:
    for goes_on in (True, False):
        line = story(PAGE, kind=Unsent).fails("load").at("1m")
        assert isinstance(line, Unsent)
        (page,) = line.kept
        if not goes_on:
            line.look_says("load", "success", 2, dagrun="success")
        line.waits = False
        put_back(line, actions=1)
        line.give(Performed(page.id, page.key, page.kind, Unknown("it cannot be asked"), proved=True)).at("30m")
        assert len([one for one in line.actions if one.kind == "pagerduty.page"]) == 2, "never the old one by itself"
        line.expect_page("trigger" if goes_on else "resolve").expect_message().expect_nothing()


def test_a_thaw_before_everything_is_known_tells_what_is() -> None:
    line = story(CHAT).fails("load").at("1m").expect_message()
    put_back(line.unreachable()).at("2m").expect_nothing().thaw().at("3m").expect_message().expect_nothing()
    assert "not known yet" in found(line)
    assert "nothing is changed" not in found(line)
    assert line.core.ledger.restore is None


def test_what_was_found_is_over_with_the_thaw() -> None:
    line = story(CHAT).fails("load").at("1m").expect_message()
    put_back(line).at("5m").expect_message()
    told = next(one for one in line.incidents.values() if one.rule == "self.restored")
    assert (told.phase, "nothing is changed until" in told.status) == (Phase.FIRING, True)
    line.thaw()
    over = next(one for one in line.incidents.values() if one.rule == "self.restored")
    assert (over.phase, "nothing is changed" in over.status) == (Phase.RESOLVED, False)
