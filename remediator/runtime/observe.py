"""Observation: what happened, as log lines and metrics. Changes nothing and is never asked for a decision."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from structlog.typing import FilteringBoundLogger

from remediator.engine.core import Changes
from remediator.model.inputs import Entry, Fact, Unmapped
from remediator.model.reasons import Decision, Reason
from remediator.model.time import Duration, Instant
from remediator.rules.faults import Faults
from remediator.runtime.health import Health
from remediator.runtime.intake import Prepared
from remediator.runtime.logs import Name
from remediator.runtime.metrics import Metrics
from remediator.store.port import StoreError

QUIET = frozenset({Reason.SUSPECTED, Reason.DUPLICATE, Reason.STILL_RUNNING, Reason.RULE_YIELDS, Reason.RULE_OBSERVES})
"""Decisions that are logged at level debug: the store has them all."""
DELAYS_KEPT = 500
OUTCOME_LINES: dict[str, Name] = {
    "delivered": Name.ACTION_DONE,
    "refused": Name.ACTION_REFUSED,
    "unknown": Name.ACTION_UNKNOWN,
}


class Observer:
    """Callbacks of the parts."""

    def __init__(self, log: FilteringBoundLogger, metrics: Metrics, clock: Callable[[], Instant]) -> None:
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self.health = Health(clock)
        self.delays: dict[str, deque[Duration]] = {}
        """Feed -> the delays of the latest facts that this process read."""

    def committed(self, feed: str, prepared: Prepared) -> None:
        """A matcher's batch is in the store."""
        self._metrics.records(feed, prepared.records)
        self._metrics.facts(prepared.facts)
        self._metrics.matches(prepared.matches)
        self._metrics.rule_errors(prepared.rule_errors)
        self._note_delays(feed, prepared)
        letters = prepared.batch.dead_letters
        if letters:
            self._metrics.dead_letters(feed, len(letters))
            first = letters[0]
            place = f"{first.topic}/{first.partition}@{first.offset}"
            self._log.warning(Name.RECORD_DEAD, feed=feed, count=len(letters), first=place, reason=first.reason)
        self._metrics.unmapped(sum(one.count for one in prepared.batch.inputs if isinstance(one, Unmapped)))

    def _note_delays(self, feed: str, prepared: Prepared) -> None:
        batch = prepared.batch
        delays = [max(0, batch.at - one.event.time) for one in batch.inputs if isinstance(one, Fact)]
        for delay in delays:
            self._metrics.delay(feed, delay)
        if delays:
            self.delays.setdefault(feed, deque(maxlen=DELAYS_KEPT)).extend(delays)

    def decided(self, changes: Changes, entries: Sequence[Entry]) -> None:
        """A controller's step is in the store."""
        now = self._clock()
        for entry in entries:
            if isinstance(entry.input, Fact):
                self._metrics.decided(now - entry.at)
        for decision in changes.decisions:
            self._tell(decision)

    def _tell(self, decision: Decision) -> None:
        write = self._log.debug if decision.reason in QUIET else self._log.info
        write(
            Name.DECISION,
            reason=decision.reason.value,
            text=decision.text,
            key=decision.key,
            incident=decision.incident,
            rule=decision.rule,
            action_id=decision.action_id,
        )
        self._metrics.decision(decision.reason.value)
        if decision.reason in (Reason.HELPED, Reason.DID_NOT_HELP):
            self._metrics.helped(decision.reason is Reason.HELPED)
        elif decision.reason is Reason.BUDGET_SPENT:
            self._metrics.budget_refused()

    def performed(self, kind: str, state: str) -> None:
        """An action's outcome is in the store."""
        self._metrics.action(kind, state)
        self._log.debug(OUTCOME_LINES[state], kind=kind)

    def store_failed(self, part: str, error: StoreError) -> None:
        """The store could not do it; the part tries again."""
        self._metrics.store_failed(part)
        self.health.store_failed(part, str(error))
        self._log.error(Name.STORE_FAILED, part=part, problem=str(error))

    def rules_reloaded(self, faults: Faults | None) -> None:
        """The rule files were read anew; with faults they change nothing."""
        self._metrics.rules_reloaded(faults is not None)
        self.health.rules_reloaded(faults)
