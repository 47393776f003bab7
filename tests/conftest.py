"""Shared by every suite: an environment that steers nothing of ours, and a count of what was skipped, by component.

REMEDIATOR_REQUIRE="postgres,broker,kafka,airflow,airflow2" makes a run fail in which a test of these was skipped.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.support.broker_fixtures import embedded_broker
from tests.support.postgres import postgres_server

__all__ = ["embedded_broker", "postgres_server"]
"""One of each for all suites of a process."""

COMPONENTS = ("postgres", "broker", "kafka", "airflow", "airflow2")
REQUIRE = "REMEDIATOR_REQUIRE"
KEPT = {"REMEDIATOR_AIRFLOW_VENV", "REMEDIATOR_AIRFLOW2_VENV", "REMEDIATOR_KILLS", "REMEDIATOR_RECORDS"}
STEERING_PREFIXES = ("REMEDIATOR_", "AIRFLOW__", "OPENLINEAGE_", "SLACK_", "PAGERDUTY_", "PG")
STEERING = {
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",  # httpx and aiohttp would leave loopback
    "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "COLUMNS", "LINES",  # typer and rich
}  # fmt: skip


class Components:
    """Counts skipped tests by component and reason; fails the run for the components that it was told to require."""

    def __init__(self, required: frozenset[str]) -> None:
        self.required = required
        self.skips: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            names = [str(value) for key, value in report.user_properties if key == "component"]
            for name in names or ["other"]:
                self.skips.setdefault(name, Counter())[_reason(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skips.setdefault("whole modules", Counter())[_reason(report)] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.missing() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("skips by component")
        for name, reasons in sorted(self.skips.items()):
            for reason, count in reasons.most_common():
                terminalreporter.line(f"{name}: {count} ({reason})", yellow=True)
        if not self.skips:
            terminalreporter.line("none")
        for name in self.missing():
            terminalreporter.line(f"FAILED: {name} is required here ({REQUIRE}) and was left out", red=True)

    def missing(self) -> list[str]:
        """The required components of which a test did not run."""
        return sorted(self.required & self.skips.keys())


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    required = frozenset(name.strip() for name in os.environ.get(REQUIRE, "").split(",") if name.strip())
    if unknown := required - set(COMPONENTS):
        raise pytest.UsageError(f"{REQUIRE}: found {', '.join(sorted(unknown))}; allowed: {', '.join(COMPONENTS)}")
    environment = pytest.MonkeyPatch()
    config.add_cleanup(environment.undo)
    for name in [name for name in os.environ if _steers(name)]:
        environment.delenv(name)
    if not hasattr(config, "workerinput"):  # only the process that prints counts
        config.pluginmanager.register(Components(required), "components")


def _steers(name: str) -> bool:
    return name not in KEPT and (name.startswith(STEERING_PREFIXES) or name.upper() in STEERING)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let the report say the component, also when it comes from a worker and in the JUnit file."""
    marks = {mark.name for mark in item.iter_markers()}
    item.user_properties.extend(("component", name) for name in COMPONENTS if name in marks)
