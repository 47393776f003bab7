"""What the daemon did, counted where it happens: an observer that tells the story and keeps the tally.

Owns the numbers of the demo's report that are the daemon's own. Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from remediator.demo.story import Story
from remediator.engine.core import Changes
from remediator.engine.tell import PAGERDUTY
from remediator.model.incident import Incident, Phase
from remediator.model.inputs import Entry
from remediator.model.reasons import Reason
from remediator.runtime.intake import Prepared
from remediator.runtime.observe import Observer


@dataclass(slots=True)
class Tally:
    """Counts since the start. reasons: decisions by name; actions: (kind, outcome)."""

    records: int = 0
    events: int = 0
    facts: int = 0
    met: int = 0
    dead_letters: int = 0
    pages: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    actions: Counter[tuple[str, str]] = field(default_factory=Counter)
    opened: set[tuple[str, int]] = field(default_factory=set)
    resolved: set[tuple[str, int]] = field(default_factory=set)

    @property
    def matches(self) -> int:
        """Events that met a rule as they were read, and final failures that a rule answered for."""
        return self.met + self.reasons[Reason.RULE_RESPONDS]

    def batch(self, prepared: Prepared) -> None:
        """A matcher's batch was committed."""
        self.records += prepared.records
        self.events += prepared.events
        self.facts += prepared.facts
        self.met += prepared.matches
        self.dead_letters += len(prepared.batch.dead_letters)

    def step(self, changes: Changes) -> None:
        """A controller's step was committed."""
        for decision in changes.decisions:
            self.reasons[decision.reason] += 1
            self.pages += decision.reason is Reason.PAGED and decision.text.startswith(PAGERDUTY)
            if decision.reason is Reason.FAILED_FINALLY:
                self.failed[decision.key.removeprefix("dag:").partition("/")[0]] += 1
        for incident in changes.incidents:
            self._incident(incident)

    def _incident(self, incident: Incident) -> None:
        episode = (incident.id, incident.episode)
        self.opened.add(episode)
        if incident.phase is Phase.RESOLVED:
            self.resolved.add(episode)


def watching(story: Story, tally: Tally) -> type[Observer]:
    """An observer class that also tells `story` and `tally`."""

    class Watching(Observer):
        def committed(self, feed: str, prepared: Prepared) -> None:
            super().committed(feed, prepared)
            tally.batch(prepared)

        def decided(self, changes: Changes, entries: Sequence[Entry]) -> None:
            super().decided(changes, entries)
            tally.step(changes)
            story.take(changes.decisions, changes.incidents)

        def performed(self, kind: str, state: str) -> None:
            super().performed(kind, state)
            tally.actions[kind, state] += 1

    return Watching
