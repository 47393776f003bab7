"""The daemon's metrics in a registry of their own, so that two daemons in one process do not share any.

Owns names and labels. Labels hold configured names and our own words only, never a text from an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from remediator.model.shares import Loss
from remediator.model.time import SECOND, Duration
from remediator.store.port import Counts

PREFIX = "remediator"
LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
DELAY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0)


class Metrics:
    """One method per happening. Durations are microseconds, as everywhere; exposed in seconds."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, version: str = "") -> None:
        self.registry = CollectorRegistry()
        self._records = self._counter("records", "Records read", "feed")
        self._facts = self._counter("facts", "Events journalled as facts")
        self._matches = self._counter("matches", "Events that at least one rule met")
        self._rule_errors = self._counter("rule_errors", "Times that a rule could answer neither yes nor no")
        self._dead_letters = self._counter("dead_letters", "Records that no codec could read", "feed")
        self._unmapped = self._counter("unmapped", "Events that no deployment, or more than one, claims")
        self._actions = self._counter("actions", "Actions that ended", "kind", "outcome")
        self._helped = self._counter("helped", "Verified changes, by whether they helped", "helped")
        self._ended = self._gauge(
            "changes_ended", "Verified changes since ever, by whether they helped", "rule", "deployment", "helped"
        )
        self._decisions = self._counter("decisions", "Decisions, by their reason", "reason")
        self._budget_refusals = self._counter("budget_refusals", "Changes that a budget refused")
        self._store_failures = self._counter("store_failures", "Times that the store could not do it", "part")
        self._rules_rejected = self._gauge("rules_rejected", "1 while rule files have faults and older rules decide")
        self._rules_rejected.set(0)
        self._journal_entries = self._gauge("journal_entries", "Rows in the journal")
        self._journal_lag = self._gauge("journal_lag_entries", "Journal entries the controller has not decided on")
        self._controller_lag = self._gauge("controller_lag_seconds", "Age of the oldest undecided journal entry")
        self._watermark_age = self._gauge("feed_watermark_age_seconds", "Age of the feed's watermark", "feed")
        self._blind = self._gauge("feed_blind", "1 if the feed cannot answer", "feed")
        self._expected = self._gauge(
            "failures_last_hour", "Final failures of the last hour, of which an event is expected", "feed", "deployment"
        )
        self._lost = self._gauge(
            "failures_unannounced_last_hour", "Those that no event announced, though the watermark passed them",
            "feed", "deployment",
        )  # fmt: skip
        self._loss = self._gauge(
            "event_loss_ratio", "Share of the last hour's final failures that no event announced", "feed", "deployment"
        )
        self._delay = self._histogram(
            "event_delay_seconds",
            "From what an event says happened to when it was journalled, of events that are facts",
            DELAY_BUCKETS,
            "feed",
        )
        self._healthy = self._gauge("feed_healthy", "1 if the feed's source answers", "feed")
        self._outbox = self._gauge("outbox", "Actions in the outbox", "kind", "state")
        self._incidents = self._gauge("incidents_open", "Incidents that are not resolved")
        self._approvals = self._gauge("approvals_waiting", "Changes that wait for a person's yes or no")
        self._oldest = self._gauge("approvals_oldest_seconds", "How long the oldest of them waits; 0 if none does")
        self._breakers = self._gauge("breakers_open", "Errors for which the rule waits because it did not help", "rule")
        self._frozen = self._gauge("frozen", "1 while changes are frozen")
        self._lease = self._gauge("lease_held", "1 in the process that decides")
        self._latency = self._histogram(
            "decision_latency_seconds", "From the journal entry to its decision", LATENCY_BUCKETS
        )
        self._gauge("build_info", "Always 1", "version").labels(version=version).set(1)

    def records(self, feed: str, count: int) -> None:
        """So many records were read."""
        self._records.labels(feed=feed).inc(count)

    def facts(self, count: int) -> None:
        """So many facts were journalled."""
        self._facts.inc(count)

    def matches(self, count: int) -> None:
        """So many of them met a rule."""
        self._matches.inc(count)

    def rule_errors(self, count: int) -> None:
        """So often a rule could not answer."""
        self._rule_errors.inc(count)

    def dead_letters(self, feed: str, count: int) -> None:
        """So many records could not be read."""
        self._dead_letters.labels(feed=feed).inc(count)

    def unmapped(self, count: int) -> None:
        """So many events had no one deployment."""
        self._unmapped.inc(count)

    def action(self, kind: str, outcome: str) -> None:
        """An action ended as 'delivered', 'refused' or 'unknown', or was postponed ('retry')."""
        self._actions.labels(kind=kind, outcome=outcome).inc()

    def helped(self, helped: bool) -> None:
        """A change was verified."""
        self._helped.labels(helped="yes" if helped else "no").inc()

    def decision(self, reason: str) -> None:
        """Something was decided, such as 'fired', 'late', 'limit_reached' or 'capped'."""
        self._decisions.labels(reason=reason).inc()

    def budget_refused(self) -> None:
        """A budget said no."""
        self._budget_refusals.inc()

    def decided(self, latency: Duration) -> None:
        """A journal entry was decided on, so long after it was written."""
        self._latency.observe(max(0, latency) / SECOND)

    def controller_lag(self, lag: Duration) -> None:
        """How old the oldest undecided entry is; 0 if there is none."""
        self._controller_lag.set(max(0, lag) / SECOND)

    def watermark_age(self, feed: str, age: Duration) -> None:
        """How old the feed's watermark is."""
        self._watermark_age.labels(feed=feed).set(max(0, age) / SECOND)

    def blind(self, feed: str, is_blind: bool) -> None:
        """Can the feed answer?"""
        self._blind.labels(feed=feed).set(is_blind)

    def rates(self, rates: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """(rule, deployment) -> how many of its changes have helped, and how many have not. Replaces what was said."""
        self._ended.clear()
        for (rule, deployment), (helped, in_vain) in rates.items():
            self._ended.labels(rule=rule, deployment=deployment, helped="yes").set(helped)
            self._ended.labels(rule=rule, deployment=deployment, helped="no").set(in_vain)

    def losses(self, rates: Mapping[tuple[str, str], Loss]) -> None:
        """(feed, deployment) -> what no event announced in the last hour; what is not there any more goes away."""
        for gauge in (self._expected, self._lost, self._loss):
            gauge.clear()
        for (feed, deployment), loss in rates.items():
            labels = {"feed": feed, "deployment": deployment}
            self._expected.labels(**labels).set(loss.expected)
            self._lost.labels(**labels).set(loss.unannounced)
            self._loss.labels(**labels).set(loss.share or 0)

    def delay(self, feed: str, delay: Duration) -> None:
        """An event became known so long after it happened."""
        self._delay.labels(feed=feed).observe(max(0, delay) / SECOND)

    def healthy(self, feed: str, is_healthy: bool) -> None:
        """Does the feed's source answer?"""
        self._healthy.labels(feed=feed).set(is_healthy)

    def lease(self, held: bool) -> None:
        """Does this process decide?"""
        self._lease.set(held)

    def store_failed(self, part: str) -> None:
        """The store could not do what the part asked for."""
        self._store_failures.labels(part=part).inc()

    def rules_reloaded(self, rejected: bool) -> None:
        """The rule files were read anew."""
        self._rules_rejected.set(rejected)

    def sizes(self, counts: Counts) -> None:
        """What the store says of itself."""
        self._journal_entries.set(counts.journal_rows)
        self._journal_lag.set(max(0, counts.journal_head - counts.controller_position))
        self._incidents.set(counts.incidents_open)
        self._frozen.set(counts.frozen)
        self.outbox(counts.outbox)

    def standing(self, waiting: int, oldest: Duration, breakers: Mapping[str, int]) -> None:
        """Questions to people and how long the oldest waits; rule -> its open breakers, those without any go away."""
        self._approvals.set(waiting)
        self._oldest.set(max(0, oldest) / SECOND)
        self._breakers.clear()
        for rule, count in breakers.items():
            self._breakers.labels(rule=rule).set(count)

    def outbox(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        """kind -> state -> how many; what is not there any more goes away."""
        self._outbox.clear()
        for kind, states in counts.items():
            for state, count in states.items():
                self._outbox.labels(kind=kind, state=state).set(count)

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format, of `content_type`."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", text, labels, buckets=buckets, registry=self.registry)
