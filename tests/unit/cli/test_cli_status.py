"""`remediator status` as a person reads it: what is lost, what is late, and what a restored store found."""

from __future__ import annotations

from remediator.cli.status import deployment_text, feed_text, status_lines
from remediator.engine.ledger_state import LedgerState
from remediator.engine.state import SweepState, WorldState
from remediator.model.time import HOUR, SECOND
from remediator.runtime.surface import delay_view, silent_s
from remediator.runtime.surface_accounts import loss_of, loss_view

NOW = 10 * HOUR


def test_the_loss_rate_is_of_the_last_hour() -> None:
    old, new = NOW - HOUR, NOW - 1
    ledger = LedgerState(failures={"prod": [old, new, new, new, new]}, unannounced={"prod": [old, new]})
    found = loss_view(loss_of(ledger, "prod", NOW))
    assert found == {"failures_last_hour": 4, "unannounced_last_hour": 1, "loss_rate": 0.25}
    assert loss_view(loss_of(ledger, "quiet", NOW))["loss_rate"] is None
    text = deployment_text({"ceiling": "act", "feed": "main", "has_api": True, **found})
    assert text == "act, feed main; 1 of 4 failures of the last hour were announced by no event (25 %)"


def test_the_delay_is_the_middle_and_what_nearly_all_took() -> None:
    assert delay_view([]) == {"delay_s": None, "delay_p95_s": None}
    view = delay_view([SECOND * seconds for seconds in range(100, 0, -1)])
    assert view == {"delay_s": 51.0, "delay_p95_s": 96.0}
    assert feed_text({"problem": "", **view}) == "healthy; events known after 51.0 s, 95 % within 96.0 s"


def test_a_feed_that_is_not_read_says_so_and_why() -> None:
    problem = "cannot connect to kafka:9092: refused"
    assert feed_text({"problem": problem, "blind": False}) == f"NOT READ: {problem}"
    both = feed_text({"problem": problem, "blind": True, "watermark_age_s": 900.0})
    assert both == f"BLIND, NOT READ: {problem}, complete up to 900.0 s ago"


def test_a_deployment_that_does_not_answer_says_so_and_for_how_long() -> None:
    world = WorldState(sweeps={"prod": SweepState(0, 0, failing_since=NOW - 90 * SECOND), "lab": SweepState(0, 0)})
    assert [silent_s(world, name, NOW) for name in ("prod", "lab", "new")] == [90.0, None, None]
    deployment = {"ceiling": "act", "feed": "main", "silent_s": silent_s(world, "prod", NOW)}
    assert deployment_text(deployment) == "NO ANSWER for 1m30s, act, feed main"
    assert deployment_text({**deployment, "silent_s": None}) == "act, feed main"


def test_a_restored_store_says_what_it_found() -> None:
    restored = {"looking": False, "found": "of 2 open cases 1 were healed"}
    lines = list(status_lines({"frozen": True, "restored": restored}))
    assert "freeze off" in lines[0]
    assert lines[1] == "restored         found: of 2 open cases 1 were healed"


def test_what_keeps_it_from_its_work_comes_before_what_looks_well() -> None:
    view = {
        "store_failing": ["store: controller: disk is full"],
        "rules_rejected": "a.toml:1: no\nb.toml:2: nor that",
        "feeds": {"main": {"blind": True, "problem": ""}, "other": {"blind": False, "problem": ""}},
        "deployments": {"prod": {"silent_s": 40.0}, "lab": {"silent_s": None}},
    }
    lines = list(status_lines(view))
    assert lines[:6] == [
        "running",
        "STORE FAILING    store: controller: disk is full",
        "RULES REJECTED   a.toml:1: no",
        "RULES REJECTED   b.toml:2: nor that",
        "NOT READ         feed main",
        "NO ANSWER        deployment prod",
    ]
    assert list(status_lines({}))[1].startswith("incidents open")
