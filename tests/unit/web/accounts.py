"""The part of a daemon that is about people, for tests of what is in front of it: real surface, store in memory."""

from __future__ import annotations

from remediator.model.event import Event
from remediator.model.incident import Handling, Incident, Phase, Proposal
from remediator.model.inputs import Entry, Pressed
from remediator.model.policy import Policy
from remediator.model.time import HOUR, Instant
from remediator.runtime.foresight import Foresight
from remediator.runtime.surface_accounts import AccountsSurface
from remediator.runtime.surface_rules import Explainer
from remediator.store.memory import MemoryStore
from remediator.store.port import StepCommit

NOW: Instant = 1_800_000_000_000_000


def unassigned(event: Event, topic: str) -> tuple[str, tuple[str, ...]]:
    """No deployment claims anything."""
    return "", ()


class Accounts(AccountsSurface):
    """`woken_times`: how often somebody was told that the journal has grown. `now` may be set."""

    def __init__(self) -> None:
        self.now = NOW
        self.woken_times = 0
        self.store = MemoryStore(clock=lambda: self.now)
        super().__init__(self.store, lambda: self.now, Policy, self._wake, Foresight(Explainer(self.store, unassigned)))

    def _wake(self) -> None:
        self.woken_times += 1

    async def ask(self, *names: str, expires_at: Instant = NOW + HOUR) -> None:
        """An open incident with these proposals."""
        proposals = tuple(
            Proposal(name, "dag:prod/orders", "airflow.retry", f"orders {name}", expires_at) for name in names
        )
        incident = Incident("i1", 1, "orders failed", "error", "prod", Phase.FIRING, Handling.NONE, NOW, NOW,
                            dag_id="orders", rule="reset", proposals=proposals)  # fmt: skip
        lease = await self.store.acquire_lease("one", HOUR)
        assert lease is not None
        await self.store.commit_step(lease, StepCommit(position=1, at=NOW, incidents=[incident]))

    async def presses(self) -> list[Pressed]:
        """What was journalled."""
        entries: list[Entry] = await self.store.read_journal(0, 100)
        return [entry.input for entry in entries if isinstance(entry.input, Pressed)]
