"""A backup whose journal was not decided to its end: the restore begins a step of its own."""

from __future__ import annotations

from remediator.model.inputs import Activated, Input, Pressed
from remediator.model.policy import Policy
from remediator.model.time import SECOND, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, encode_rule_set
from remediator.runtime.controller import Controller
from remediator.store.audit import AuditEntry
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData

NOW: Instant = 1_800_000_000 * SECOND
COMMAND = AuditEntry(event="command", actor="ann", what="restored")


async def test_what_a_backup_had_not_decided_yet_is_a_step_of_its_own() -> None:
    data, spec = MemoryData(), RuleSetSpec((), Policy())
    store = MemoryStore(data, clock=lambda: NOW)
    await store.put_rule_set(RuleSet(spec).hash, encode_rule_set(spec))
    given: list[Input] = [Activated(RuleSet(spec).hash), Pressed("ann", "freeze")]
    await store.append(given, NOW)
    await store.restored(Pressed("ann", "restored"), NOW, COMMAND)
    await store.append([Pressed("ann", "thaw")], NOW)
    controller, positions = Controller("one", store, lambda: NOW), []
    while await controller.run_once():
        positions.append(data.position)
    assert positions == [2, 4]
