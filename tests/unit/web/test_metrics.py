"""Metrics: what is counted is what is exposed, under names that stay."""

from __future__ import annotations

from remediator.model.shares import Loss
from remediator.model.time import SECOND
from remediator.runtime.metrics import Metrics
from remediator.store.port import Counts

COUNTS = Counts(
    journal_head=120,
    controller_position=100,
    journal_rows=50,
    dead_letters=1,
    outbox={"airflow.retry": {"pending": 2, "delivered": 5}},
    incidents_open=3,
    timers=4,
    frozen=True,
    oldest_unprocessed_at=None,
)

NAMES = [
    "records_total",
    "facts_total",
    "matches_total",
    "dead_letters_total",
    "unmapped_total",
    "actions_total",
    "helped_total",
    "budget_refusals_total",
    "journal_entries",
    "journal_lag_entries",
    "controller_lag_seconds",
    "feed_watermark_age_seconds",
    "feed_blind",
    "event_loss_ratio",
    "event_delay_seconds_bucket",
    "failures_last_hour",
    "failures_unannounced_last_hour",
    "feed_healthy",
    "outbox",
    "approvals_waiting",
    "approvals_oldest_seconds",
    "breakers_open",
    "lease_held",
    "store_failures_total",
    "rules_rejected",
    "build_info",
    "decision_latency_seconds_bucket",
]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"remediator_{name}", labels)


def filled() -> Metrics:
    metrics = Metrics("1.2.3")
    metrics.records("main", 10)
    metrics.facts(4)
    metrics.matches(2)
    metrics.dead_letters("main", 1)
    metrics.unmapped(3)
    metrics.action("airflow.retry", "delivered")
    metrics.helped(True)
    metrics.helped(False)
    metrics.budget_refused()
    metrics.decided(SECOND // 2)
    metrics.controller_lag(3 * SECOND)
    metrics.watermark_age("main", 12 * SECOND)
    metrics.blind("main", False)
    metrics.healthy("main", True)
    metrics.losses({("main", "prod"): Loss(20, 5), ("main", "quiet"): Loss(0, 0)})
    metrics.delay("main", 2 * SECOND)
    metrics.standing(2, 90 * SECOND, {"reset": 1})
    metrics.lease(True)
    metrics.store_failed("matcher")
    metrics.sizes(COUNTS)
    return metrics


def test_every_name_is_exposed() -> None:
    text = filled().exposition().decode()
    for name in NAMES:
        assert f"\nremediator_{name}" in text, name


def test_values() -> None:
    metrics = filled()
    assert value(metrics, "records_total", feed="main") == 10
    assert value(metrics, "helped_total", helped="no") == 1
    assert value(metrics, "journal_lag_entries") == 20
    assert value(metrics, "controller_lag_seconds") == 3
    assert value(metrics, "decision_latency_seconds_sum") == 0.5
    assert value(metrics, "outbox", kind="airflow.retry", state="pending") == 2
    assert value(metrics, "build_info", version="1.2.3") == 1
    assert value(metrics, "frozen") == 1
    assert value(metrics, "event_loss_ratio", feed="main", deployment="prod") == 0.25
    assert value(metrics, "failures_unannounced_last_hour", feed="main", deployment="prod") == 5
    assert value(metrics, "event_loss_ratio", feed="main", deployment="quiet") == 0
    assert value(metrics, "event_delay_seconds_sum", feed="main") == 2


def test_a_state_that_is_gone_is_gone_from_the_outbox() -> None:
    metrics = filled()
    metrics.outbox({"slack.message": {"pending": 1}})
    assert value(metrics, "outbox", kind="airflow.retry", state="pending") is None


def test_a_deployment_that_is_gone_is_gone_from_the_losses() -> None:
    metrics = filled()
    metrics.losses({("main", "quiet"): Loss(1, 0)})
    assert value(metrics, "event_loss_ratio", feed="main", deployment="prod") is None


def test_a_breaker_that_is_closed_is_gone() -> None:
    metrics = filled()
    assert value(metrics, "breakers_open", rule="reset") == 1
    metrics.standing(0, 0, {})
    assert value(metrics, "breakers_open", rule="reset") is None
    assert (value(metrics, "approvals_waiting"), value(metrics, "approvals_oldest_seconds")) == (0, 0)


def test_two_daemons_share_nothing() -> None:
    filled()
    assert value(Metrics(), "records_total", feed="main") is None
