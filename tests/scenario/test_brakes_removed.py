"""Each brake taken away: the story that was harmless with it does visible harm without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest

from remediator.engine import brakes, breakers, budget, ledger, waits
from remediator.model.action import Page, Retry
from remediator.model.policy import Allow, Budget, DeploymentPolicy, Destination, Maintenance, Mode, Policy, Route
from remediator.model.time import HOUR, SECOND
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.testing.timeline import START, Timeline

POLICY = Policy(
    deployments={
        "prod": DeploymentPolicy("prod", "feed", Mode.ACT, log_hosts=("airflow.example.com",)),
        "seen": DeploymentPolicy("seen", "feed", Mode.OBSERVE),
        "watched": DeploymentPolicy("watched", "feed", Mode.ACT, has_api=False),
        "asks": DeploymentPolicy("asks", "feed", Mode.APPROVE),
    },
    routes={"default": Route("default", (Destination("pagerduty.page", "pagerduty"),), pages_per_hour=3)},
    never_retry=("prod/payments/*",),
    lateness=10 * SECOND,
)
RETRY = Step("airflow.retry", max_attempts=2, backoff=Backoff(initial=1 * SECOND, jitter=0))


def begin(policy: Policy = POLICY, **fields: object) -> Timeline:
    """One rule that retries every final failure, and pages otherwise."""
    rule = Rule("r", on=("task.failed_finally",), mode=Mode.ACT, do=(RETRY,), otherwise=(Step("page", to="default"),),
                **fields)  # type: ignore[arg-type]  # fmt: skip
    return Timeline(RuleSetSpec((rule,), policy))


def with_limits(**fields: object) -> Policy:
    """The policy with these limits."""
    return msgspec.structs.replace(POLICY, **fields)


def retries(line: Timeline) -> int:
    """How many clears were wanted."""
    return sum(isinstance(one.params, Retry) for one in line.actions)


def pages(line: Timeline) -> int:
    """How often somebody was woken."""
    triggers = [one.params for one in line.actions if isinstance(one.params, Page)]
    return sum(page.event_action == "trigger" and page.incident.rule != "self.page_digest" for page in triggers)


def fails_on_and_on(line: Timeline, times: int, **place: str) -> Timeline:
    """A task that no clear helps."""
    for number in range(1, times + 1):
        line.fails("load", number, **place).at(f"{number}m")
    return line


def many(line: Timeline, count: int) -> Timeline:
    """One task each of many DAGs fails at the same moment."""
    for number in range(count):
        line.fails("load", dag_id=f"d{number}")
    return line.at("30s")


def runs_in_vain(line: Timeline) -> Timeline:
    """Dagrun after dagrun fails, is cleared and fails again."""
    for number in range(8):
        line.fails("load", 1, run_id=f"r{number}").at(f"{4 * number + 1}m")
        line.fails("load", 2, run_id=f"r{number}").at(f"{4 * number + 2}m")
        line.fails("load", 3, run_id=f"r{number}").at(f"{4 * number + 3}m")
    return line


def over_before_it_was_read(line: Timeline) -> Timeline:
    """The daemon was down while a task of a deployment without API failed and recovered; it reads the failure first."""
    line.feed_stops().at("2m")
    line.task_failed("load", 1, retries=0, happened="30s", deployment="watched")
    line.task_success("load", 2, happened="50s", deployment="watched")
    return line.feed_reads_on().at("20m")


class Case(NamedTuple):
    """harm: how much was done; with the brake not more than `most`, without it more."""

    module: object
    brake: str
    without: Callable[..., object]
    story: Callable[[], Timeline]
    harm: Callable[[Timeline], int]
    most: int


UNDER_MAINTENANCE = with_limits(maintenance=(Maintenance(("prod",), START, START + HOUR),))
ONLY_PACKS = with_limits(allow=(Allow(files=("packs/*",)),))
CASES = {
    "ceiling": Case(brakes, "not_permitted", lambda *_: None,
                    lambda: fails_on_and_on(begin(), 1, deployment="seen"), retries, 0),
    "allow": Case(brakes, "not_permitted", lambda *_: None,
                  lambda: fails_on_and_on(begin(ONLY_PACKS, file="mine/r.toml"), 1), retries, 0),
    "approval": Case(brakes, "asks", lambda *_: None,
                     lambda: fails_on_and_on(begin(), 1, deployment="asks"), retries, 0),
    "attempts and budgets": Case(brakes, "_spent", lambda *_: None, lambda: fails_on_and_on(begin(), 6), retries, 2),
    "budget": Case(budget, "exhausted", lambda *_: "",
                   lambda: many(begin(budget=(Budget(per_hour=3, target="rule"),)), 8), retries, 3),
    "never retry": Case(brakes, "never_retry", lambda *_: "",
                        lambda: fails_on_and_on(begin(), 1, dag_id="payments"), retries, 0),
    "foreign host": Case(brakes, "is_own_host", lambda *_: True,
                         lambda: begin().look_says("load", "failed", 1)
                         .task_failed("load", log_url="https://elsewhere.example.com/x").at("1m"), retries, 0),
    "caps": Case(ledger, "capped", lambda *_: "",
                 lambda: many(begin(with_limits(changes_per_minute=4)), 12), retries, 4),
    "breaker": Case(breakers, "open_for", lambda *_: "",
                    lambda: runs_in_vain(begin(with_limits(breaker_sample=3))), retries, 4),
    "maintenance": Case(ledger, "window_end", lambda *_: None,
                        lambda: fails_on_and_on(begin(UNDER_MAINTENANCE), 1), retries, 0),
    "freeze": Case(brakes, "change_brake", lambda *_: None,
                   lambda: begin().freeze().fails("load").at("1m"), retries, 0),
    "page budget": Case(ledger, "page_allowed", lambda *_: True,
                        lambda: many(begin(where={"dag_id": "nothing-like-it"}), 10), pages, 3),
    "catching up": Case(waits, "is_held_back", lambda *_: False,
                        lambda: over_before_it_was_read(begin()), pages, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_brake_prevents_harm_that_is_done_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    assert case.harm(case.story()) <= case.most
    monkeypatch.setattr(case.module, case.brake, case.without)
    assert case.harm(case.story()) > case.most
