"""People at work beside the daemon: they answer questions, pause DAGs, resize pools, and put back a backup.

Owns what they do and remembers it for the checks. Their random numbers are their own.
"""

from __future__ import annotations

import copy
from collections.abc import Coroutine
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from remediator.model.action import PREVIEWED
from remediator.model.incident import Incident, Phase, Proposal
from remediator.model.inputs import Pressed
from remediator.model.time import SECOND, Duration, Instant
from remediator.store.audit import AuditEntry
from remediator.store.memory_data import MemoryData
from remediator.testing.simulation.layout import FOR_EVER, START, TROUBLE, WATCHED
from remediator.testing.simulation.runs import POOL

if TYPE_CHECKING:
    from remediator.testing.simulation.plant import Plant
    from remediator.testing.simulation.scheduler import Scheduler

WHO = "somebody"
LATE: Duration = 300 * SECOND
"""Nobody reads so long after a question's end that it is still open."""


class Given(msgspec.Struct, frozen=True):
    """An answer that the store took. run_id: '' of a question that is about no dagrun."""

    at: Instant
    incident: str
    proposal: Proposal
    command: str

    @property
    def run_id(self) -> str:
        return subject_of(self.proposal).rpartition(" ")[2]


def subject_of(proposal: Proposal) -> str:
    """What the question is about, as people read it: 'dag task dagrun'."""
    return proposal.text.partition(": ")[0]


class Crowd:
    """All people of one plant."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._random = Random(f"people of {plant.seed}")  # noqa: S311
        self._asked: set[str] = set()
        self._backup: MemoryData | None = None
        self._before_step: MemoryData | None = None
        self._wants_backlog = False
        self.given: list[Given] = []
        self.forgotten: list[MemoryData] = []
        """The store as it was right before each restore."""
        self.old_outbox: set[str] = set()
        """Actions that a restored store still held."""
        self.restored_at = 0
        """The journal position of the restore: what comes of entries before it may have been done already."""

    def plan(self) -> None:
        """What will be done beside answering."""
        features, random = self._plant.features, self._random
        if features.pauses:
            for _ in range(random.randrange(1, 4)):
                self._plan_pause()
        if features.changes and random.random() < 0.5:
            self._plant.at(START + random.randrange(TROUBLE), self._resize)
        if features.restores:
            backed_up = random.randrange(10 * SECOND, TROUBLE // 2)
            put_back = backed_up + random.randrange(5 * SECOND, TROUBLE // 3)
            thaw = min(put_back + random.randrange(SECOND, 120 * SECOND), TROUBLE)
            self._plant.at(START + backed_up, self._back_up)
            self._plant.at(START + put_back, self._put_back)
            self._plant.at(START + thaw, lambda: self._plant.press("thaw"))

    # -- pauses and pools -----------------------------------------------------------------------------------------

    def _plan_pause(self) -> None:
        random, plant = self._random, self._plant
        scheduler = plant.schedulers[random.choice([name for name in sorted(plant.schedulers) if name != WATCHED])]
        dag_id = f"dag{random.randrange(3)}"
        begin = random.randrange(TROUBLE)
        end = min(begin + random.randrange(10 * SECOND, TROUBLE), TROUBLE)
        plant.at(START + begin, lambda: scheduler.pause(dag_id, "person", paused=True))
        plant.at(START + end, lambda: scheduler.pause(dag_id, "person", paused=False))

    def _resize(self) -> None:
        self._plant.schedulers["alpha"].resize(POOL, self._random.choice([2, 10, 20]), "person")

    # -- answers --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read what is asked; answer in time, late, twice, for another thing, or not at all."""
        asked: set[tuple[str, ...]] = set()
        for incident in list(self._plant.data.incidents.values()):
            if incident.phase is Phase.RESOLVED or not incident.proposals:
                continue
            for proposal in incident.proposals:
                thing = incident.id, proposal.action, *subject_of(proposal).split()[-1:]
                if thing in asked:
                    self._plant.violations.append(f"P5 two questions at once about {thing}")
                asked.add(thing)
                if proposal.action in PREVIEWED and not proposal.preview:
                    self._plant.violations.append(f"P6 a question that does not say what it would do: {thing}")
                if proposal.id not in self._asked:
                    self._asked.add(proposal.id)
                    self._intend(incident, proposal)

    def _intend(self, incident: Incident, proposal: Proposal) -> None:
        random, now = self._random, self._plant.clock.now
        soon = now + random.randrange(SECOND, 100 * SECOND)
        intended = random.choice(["approve", "approve", "approve", "reject", "reject", "twice", "other", "late", ""])
        if intended in ("approve", "reject"):
            self._plant.at(soon, lambda: self._answer(incident, proposal, intended))
        elif intended == "twice":
            first, second = random.sample(["approve", "reject"], 2)
            self._plant.at(soon, lambda: self._answer(incident, proposal, first))
            self._plant.at(soon + random.randrange(SECOND), lambda: self._answer(incident, proposal, second))
        elif intended == "other":
            self._plant.at(soon, lambda: self._answer_another(proposal))
        elif intended == "late":
            self._plant.at(proposal.expires_at + LATE, lambda: self._answer(incident, proposal, "approve"))

    def _answer(self, incident: Incident, proposal: Proposal, command: str) -> None:
        pressed = Pressed(WHO, command, subject=proposal.id, key=proposal.key)
        store = self._plant.store_of_people()
        found = at_once(
            store.answer(pressed, self._plant.clock(), AuditEntry(event="command", actor=WHO, what=command))
        )
        self._plant.note(f"somebody says {command} to {subject_of(proposal)}")
        if found.is_new:
            self.given.append(Given(self._plant.clock.now, incident.id, proposal, command))

    def _answer_another(self, proposal: Proposal) -> None:
        """A yes to something that nobody asked there."""
        pressed = Pressed(WHO, "approve", subject="0" * 24, key=proposal.key)
        at_once(self._plant.store_of_people().append([pressed], self._plant.clock()))
        self._plant.note("somebody says approve to another thing")

    # -- the backup -----------------------------------------------------------------------------------------------

    def _back_up(self) -> None:
        self._backup = copy.deepcopy(self._plant.data)
        self._wants_backlog = self._plant.seed % 2 == 1
        self._plant.note("the store is backed up")

    def step_begins(self) -> None:
        """A controller is about to commit: now the journal holds something undecided."""
        if self._wants_backlog:
            self._before_step = copy.deepcopy(self._plant.data)

    def step_ends(self) -> None:
        """It has: if an action came of it, a backup from right before is the one that is put back."""
        before, plant = self._before_step, self._plant
        if before is None or not self._wants_backlog:
            return
        if any(name not in before.outbox and not plant.is_question(row) for name, row in plant.data.outbox.items()):
            self._backup, self._wants_backlog = before, False
            plant.note("the store is backed up right before a step that wants an action")

    def _put_back(self) -> None:
        """Both daemons are stopped, the backup is put back and marked as such, and they start again."""
        plant, backup = self._plant, self._backup
        self._wants_backlog = False
        if backup is None:
            return
        for process in plant.driver.processes:
            process.stalled_until = 0
            process.kill(plant.clock.now + self._random.randrange(20 * SECOND))
        self.forgotten.append(MemoryData(**{name: getattr(plant.data, name) for name in MemoryData.__struct_fields__}))
        for name in MemoryData.__struct_fields__:
            setattr(plant.data, name, getattr(backup, name))
        unfinished = {action_id for lane in plant.data.lanes.values() for action_id in lane}
        self.old_outbox = {one for one in unfinished if not plant.is_question(plant.data.outbox[one])}
        pressed = Pressed(WHO, "restored")
        at_once(
            plant.store_of_people().restored(
                pressed, plant.clock(), AuditEntry(event="command", actor=WHO, what="restored")
            )
        )
        self.restored_at = plant.data.head
        if not plant.is_frozen:
            plant.froze.append((plant.clock.now, FOR_EVER))
        plant.note(f"the backup is put back; it holds {len(self.old_outbox)} actions")

    def is_old(self, action_id: str) -> bool:
        """May the store that was lost have done it?"""
        decided = (one.position for one in self._plant.data.decisions if one.action_id == action_id)
        return action_id in self.old_outbox or any(position < self.restored_at for position in decided)


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a call that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the call waits")


def meddle(plant: Plant, scheduler: Scheduler, dag_id: str, run_id: str, task_id: str) -> None:
    """Who watches a retry fail is sometimes there before the next look, and has taken the cause away."""
    if not plant.troubled or plant.meddling.random() < 0.5:
        return

    def act() -> None:
        instance = scheduler.instance(dag_id, run_id, task_id)
        if instance is None or instance.state != "failed":
            return
        if plant.meddling.random() < 0.3:
            scheduler.mark_success(dag_id, run_id, task_id)
            return
        instance.plan = msgspec.structs.replace(instance.plan, fails=instance.try_number)
        scheduler.clear(dag_id, run_id, [task_id], "by hand", "person")

    plant.at(plant.clock.now + plant.meddling.randrange(2 * SECOND), act)
