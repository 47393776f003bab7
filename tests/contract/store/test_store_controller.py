"""Steps: state, timers, actions, story and position in one transaction."""

from __future__ import annotations

from store_cases import (
    NOW,
    Backend,
    claimed,
    decision,
    incident,
    lease_of,
    log,
    message,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.model.inputs import Performed
from remediator.model.outcome import Refused
from remediator.store.port import ControllerStart


async def test_a_new_store_starts_at_nothing(backend: Backend) -> None:
    store = await backend.store()
    assert await store.controller_start() == ControllerStart(position=0, timers={})
    assert await store.load_states(["k"]) == {}
    assert await store.load_states([]) == {}


async def test_states_and_timers_are_replaced_and_deleted(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    timers = (("now", NOW), ("feed:main", NOW + 1), ("thaw", 2**60))
    await step(store, lease, 1, states={"a": b"1", "b": b"\x00\xff", "c": b""}, timers={"a": timers, "b": timers[:1]})
    assert await store.load_states(["a", "b", "c", "d"]) == {"a": b"1", "b": b"\x00\xff", "c": b""}
    assert await store.controller_start() == ControllerStart(position=1, timers={"a": timers, "b": timers[:1]})
    await step(store, lease, 5, states={"a": b"2", "b": None, "never": None}, timers={"a": (), "c": timers[1:]})
    assert await store.load_states(["a", "b", "c"]) == {"a": b"2", "c": b""}
    assert await store.controller_start() == ControllerStart(position=5, timers={"b": timers[:1], "c": timers[1:]})


async def test_a_state_of_a_megabyte(backend: Backend) -> None:
    store = await backend.store()
    await step(store, await lease_of(store), states={"k": b"\x00x" * 500_000})
    assert await store.load_states(["k"]) == {"k": b"\x00x" * 500_000}


async def test_an_action_already_in_the_outbox_is_left_alone(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, retry("a"), log("b"))
    claim = (await claimed(store))["a"]
    await store.finish(claim, None, "delivered", "done", NOW + 5)
    await step(store, lease, 2, actions=[retry("a", lane="other"), log("b"), log("c")])
    rows = {row.action.id: row for row in await store.actions("", 10)}
    assert list(rows) == ["a", "b", "c"]
    assert (rows["a"].state, rows["a"].detail, rows["a"].action.lane) == ("delivered", "done", "a")
    assert "a" not in await claimed(store)


async def test_a_cancelled_action_is_refused_and_journalled(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, retry("a"), retry("b"), retry("c"))
    held = await claimed(store, limit=1)
    assert list(held) == ["a"]
    await step(store, lease, 2, NOW + 1, cancels=[("a", "claimed"), ("b", "no longer"), ("none", "unknown")])
    (entry,) = await whole_journal(store)
    outcome = Refused(reason="no longer")
    assert entry.input == Performed(action_id="b", key="dag:d/dag", kind="airflow.retry", outcome=outcome)
    assert entry.at == NOW + 1
    rows = {row.action.id: (row.state, row.detail) for row in await store.actions("", 10)}
    assert rows == {"a": ("claimed", ""), "b": ("refused", "no longer"), "c": ("pending", "")}
    assert list(await claimed(store)) == ["c"]
    await step(store, lease, 3, cancels=[("b", "again")])
    assert len(await whole_journal(store)) == 1


async def test_a_step_may_cancel_what_it_wanted_itself(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await step(store, lease, 1, actions=[retry("a")], cancels=[("a", "resolved meanwhile")])
    assert await claimed(store) == {}
    assert len(await whole_journal(store)) == 1


async def test_a_newer_edit_supersedes_pending_ones(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(
        store,
        message("e1", "slack:1", "m1"),
        message("e2", "slack:1", "m1"),
        message("other-value", "slack:1", "m2"),
        message("other-lane", "slack:2", "m1"),
        message("plain", "slack:1"),
    )
    rows = {row.action.id: (row.state, row.detail) for row in await store.actions("", 10)}
    assert rows.pop("e1") == ("refused", "superseded")
    assert set(rows.values()) == {("pending", "")}
    await step(store, lease, 2, actions=[message("e2", "slack:1", "m1")])
    assert (await store.actions("", 10))[1].state == "pending"
    assert await whole_journal(store) == []


async def test_a_claimed_edit_is_not_superseded(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, message("e1", "slack:1", "m1"))
    held = (await claimed(store))["e1"]
    await step(store, lease, 2, actions=[message("e2", "slack:1", "m1")])
    assert await claimed(store) == {}
    assert await store.finish(held, None, "delivered", "", NOW)
    assert list(await claimed(store)) == ["e2"]


async def test_a_step_sets_or_leaves_the_freeze_flag(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    for given, expected in ((True, True), (None, True), (False, False), (None, False)):
        await step(store, lease, frozen=given)
        assert (await store.counts()).frozen is expected


async def test_rule_sets_are_kept_by_their_hash(backend: Backend) -> None:
    store = await backend.store()
    assert await store.rule_set("h1") is None
    await store.put_rule_set("h1", b"\x00one")
    await store.put_rule_set("h1", b"\x00one")
    await store.put_rule_set("h2", b"two")
    assert await store.rule_set("h1") == b"\x00one"
    assert await store.rule_set("h2") == b"two"


async def test_incidents_and_decisions_come_with_the_step(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await step(store, lease, incidents=[incident("i")], decisions=[decision(1), decision(1, "")])
    await step(store, lease, incidents=[incident("i", updated_at=NOW + 9, status="x")], decisions=[decision(2)])
    assert await store.incident("i") == incident("i", updated_at=NOW + 9, status="x")
    assert await store.decisions("i", 10) == [decision(1), decision(2)]
