"""What people and metrics read: incidents, stories, outbox rows, counts."""

from __future__ import annotations

from store_cases import (
    NOW,
    Backend,
    batch,
    claimed,
    dead_letter,
    decision,
    incident,
    lease_of,
    log,
    look,
    pressed,
    retry,
    step,
    with_actions,
)

from remediator.model.incident import Phase
from remediator.store.port import Counts


async def test_incidents_are_listed_latest_updated_first(backend: Backend) -> None:
    store = await backend.store()
    rows = [
        incident("a", updated_at=NOW + 1),
        incident("b", updated_at=NOW + 3, phase=Phase.RESOLVED, resolution="success"),
        incident("c", updated_at=NOW + 2, impact=("x", "y"), dagruns=("r",), paged=True),
    ]
    await step(store, await lease_of(store), incidents=rows)
    assert await store.incidents(open_only=False, limit=10) == [rows[1], rows[2], rows[0]]
    assert await store.incidents(open_only=True, limit=10) == [rows[2], rows[0]]
    assert await store.incidents(open_only=True, limit=1) == [rows[2]]


async def test_an_incident_is_found_by_a_prefix_that_is_unique(backend: Backend) -> None:
    store = await backend.store()
    assert await store.incident("a") is None
    rows = [incident("abc1"), incident("abc2"), incident("abc2", 2), incident("ab"), incident("b%_")]
    await step(store, await lease_of(store), incidents=rows)
    assert await store.incident("abc2") == incident("abc2", 2)
    assert await store.incident("abc1") == incident("abc1")
    assert await store.incident("abc") is None
    assert await store.incident("ab") == incident("ab"), "an id in full wins over a longer one"
    assert await store.incident("b") == incident("b%_")
    for none in ("", "%", "_", "b_", "abc3", "ABC1"):
        assert await store.incident(none) is None


async def test_a_story_is_told_in_order(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    told = [decision(n, text=f"line {n}", at=NOW - n) for n in range(1, 6)]
    await step(store, lease, 1, decisions=[told[0], decision(1, "other"), told[1]])
    await step(store, lease, 2, decisions=told[2:])
    assert await store.decisions("i", 10) == told
    assert await store.decisions("i", 2) == told[3:], "a limit keeps the end of the story"
    assert await store.decisions("none", 10) == []


async def test_actions_are_listed_in_order_of_creation(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("z", incident="i"), log("y"), retry("x", incident="i"), log("w", incident="j"))
    assert [row.action.id for row in await store.actions("", 10)] == ["z", "y", "x", "w"]
    assert [row.action.id for row in await store.actions("i", 10)] == ["z", "x"]
    assert [row.action.id for row in await store.actions("", 2)] == ["x", "w"]
    assert await store.actions("none", 10) == []


async def test_counts_of_an_empty_store(backend: Backend) -> None:
    store = await backend.store()
    assert await store.counts() == Counts(0, 0, 0, 0, {}, 0, 0, False, None)


async def test_counts(backend: Backend) -> None:
    store = await backend.store()
    await store.append([pressed("a"), pressed("b")], NOW + 1)
    await store.append([pressed("c")], NOW + 2)
    await store.commit_batch(batch(None, 3, dead_letters=[dead_letter(1), dead_letter(2)]))
    lease = await lease_of(store)
    fields = {
        "timers": {"k": (("now", NOW), ("thaw", NOW)), "l": (("now", NOW),)},
        "incidents": [incident("a"), incident("b", phase=Phase.RESOLVED), incident("c", phase=Phase.PENDING)],
        "actions": [retry("r1"), retry("r2"), look("l1"), log("g1")],
    }
    await step(store, lease, 1, frozen=True, **fields)
    claims = await claimed(store, limit=2)
    await store.finish(claims["r1"], None, "delivered", "", NOW)
    counts = await store.counts()
    assert counts == Counts(
        journal_head=3,
        controller_position=1,
        journal_rows=3,
        dead_letters=2,
        outbox={"airflow.retry": {"delivered": 1, "claimed": 1}, "airflow.look": {"pending": 1}, "log": {"pending": 1}},
        incidents_open=2,
        timers=3,
        frozen=True,
        oldest_unprocessed_at=NOW + 1,
    )
    await step(store, lease, 2)
    assert (await store.counts()).oldest_unprocessed_at == NOW + 2
    await step(store, lease, 3)
    assert (await store.counts()).oldest_unprocessed_at is None
