"""Reloads of the rules, a whole life of them: a controller keeps what decides, and nothing of what did."""

from __future__ import annotations

import gc
import weakref

import msgspec
import pytest

from remediator.model.inputs import Activated
from remediator.model.policy import Policy
from remediator.model.time import DAY, Instant
from remediator.rules.index import RuleSet
from remediator.rules.spec import RuleSetSpec, decode_rule_set, encode_rule_set
from remediator.runtime import controller as module
from remediator.runtime.controller import Controller
from remediator.store.memory import MemoryStore
from remediator.store.memory_data import MemoryData

START: Instant = 1_800_000_000_000_000


async def test_a_reloaded_rule_set_replaces_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(MemoryData(), clock=lambda: START)
    controller = Controller("one", store, lambda: START)
    known: list[weakref.ref[RuleSet]] = []

    def compiled(spec: RuleSetSpec) -> RuleSet:
        rules = RuleSet(spec)
        known.append(weakref.ref(rules))
        return rules

    monkeypatch.setattr(module, "RuleSet", compiled)
    hashes = []
    for number in range(20):
        body = encode_rule_set(RuleSetSpec((), msgspec.structs.replace(Policy(), memory=DAY + number)))
        hashes.append(RuleSet(decode_rule_set(body)).hash)
        await store.put_rule_set(hashes[-1], body)
    for first, second in zip(hashes[::2], hashes[1::2], strict=True):
        await store.append([Activated(first), Activated(second), Activated(first)], START)
        while await controller.run_once():
            pass
    gc.collect()
    assert len(known) == 20
    assert sum(one() is not None for one in known) == 1
