"""Snapshots and pruning: what a replay needs stays, the rest goes in small transactions."""

from __future__ import annotations

from store_cases import (
    NOW,
    Backend,
    batch,
    claimed,
    dead_letter,
    decision,
    history_row,
    incident,
    lease_of,
    log,
    look,
    pressed,
    reasons,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.model.incident import Phase
from remediator.store.port import Store

LATER = NOW + 1_000_000


async def _prune_all(store: Store, before: int, outbox_before: int = 0, limit: int = 2) -> int:
    total = 0
    while gone := await store.prune(before, outbox_before, limit):
        assert gone <= limit
        total += gone
    return total


async def test_a_snapshot_keeps_the_states_of_its_position(backend: Backend) -> None:
    store = await backend.store()
    assert await store.load_snapshot() is None
    lease = await lease_of(store)
    await step(store, lease, 3, states={"a": b"3", "b": b"3"})
    assert await store.snapshot(lease, NOW) == 3
    await step(store, lease, 5, states={"a": b"5", "b": None})
    assert await store.load_snapshot() == (3, {"a": b"3", "b": b"3"})
    assert await store.snapshot(lease, NOW) == 5
    assert await store.snapshot(lease, NOW) == 5
    assert await store.load_snapshot() == (3, {"a": b"3", "b": b"3"})
    await step(store, lease, 8, states={"c": b"8"})
    assert await store.snapshot(lease, NOW) == 8
    assert await store.load_snapshot() == (5, {"a": b"5"})


async def test_a_snapshot_keeps_the_timers_of_its_position(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    kept = {"a": (("feed:main", NOW), ("now", NOW + 1)), "b": (("now", NOW),)}
    await step(store, lease, 3, timers=kept)
    assert await store.snapshot(lease, NOW) == 3
    await step(store, lease, 5, timers={"a": (), "b": (("now", LATER),)})
    assert await store.snapshot_timers(3) == kept
    assert await store.snapshot(lease, NOW) == 5
    assert await store.snapshot_timers(5) == {"b": (("now", LATER),)}
    assert await store.snapshot_timers(4) == {}


async def test_a_snapshot_of_nothing(backend: Backend) -> None:
    store = await backend.store()
    assert await store.snapshot(await lease_of(store), NOW) == 0
    assert await store.load_snapshot() == (0, {})


async def test_without_a_snapshot_no_journal_goes(backend: Backend) -> None:
    store = await backend.store()
    await store.append([pressed("a")], NOW)
    await step(store, await lease_of(store), 1)
    assert await _prune_all(store, LATER) == 0
    assert reasons(await whole_journal(store)) == ["a"]


async def test_the_journal_above_the_oldest_snapshot_survives(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    for n in range(1, 11):
        await store.append([pressed(str(n))], NOW)
    for position in (4, 7, 9):
        await step(store, lease, position)
        await store.snapshot(lease, NOW)
    assert await _prune_all(store, NOW) == 0, "not older than"
    assert await _prune_all(store, LATER) == 7
    entries = await whole_journal(store)
    assert [entry.position for entry in entries] == [8, 9, 10]
    for after in (0, 3, 6, 7):
        assert (await store.read_journal(after, 2))[0].position == 8
    assert [e.position for e in await store.read_journal(8, 5)] == [9, 10]
    assert await store.append([pressed("11")], NOW) == 11
    counts = await store.counts()
    assert (counts.journal_head, counts.journal_rows, counts.oldest_unprocessed_at) == (11, 4, NOW)


async def test_an_append_that_reaches_above_the_snapshot_stays_whole(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await store.append([pressed("1")], NOW)
    await store.append([pressed("2"), pressed("3"), pressed("4")], NOW)
    await step(store, lease, 3)
    await store.snapshot(lease, NOW)
    await _prune_all(store, LATER)
    assert reasons(await whole_journal(store)) == ["2", "3", "4"]
    assert reasons(await store.read_journal(3, 5)) == ["4"]


async def test_young_journal_below_the_snapshot_survives(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    for n, at in enumerate((NOW, LATER, NOW), start=1):
        await store.append([pressed(str(n))], at)
    await step(store, lease, 3)
    await store.snapshot(lease, NOW)
    await _prune_all(store, LATER)
    assert reasons(await whole_journal(store)) == ["2"]
    assert await store.read_journal(2, 5) == []


async def test_old_stories_go_and_open_incidents_stay(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    rows = [
        incident("open-old"),
        incident("done-old", phase=Phase.RESOLVED),
        incident("done-young", updated_at=LATER, phase=Phase.RESOLVED),
        incident("again", 1, phase=Phase.RESOLVED),
        incident("again", 2),
    ]
    stories = [decision(1, at=NOW), decision(2, at=LATER), decision(3, at=NOW)]
    await step(store, lease, incidents=rows, decisions=stories)
    await store.commit_batch(
        batch(None, 5, at=NOW, dead_letters=[dead_letter(1), dead_letter(2)], history=[history_row(1, "failed")])
    )
    young = history_row(1, "failed", LATER, "young")
    await store.commit_batch(batch(5, 6, at=LATER, dead_letters=[dead_letter(3, timestamp=NOW)], history=[young]))
    assert await _prune_all(store, LATER) == 2 + 2 + 2 + 1
    left = {(one.id, one.episode) for one in await store.incidents(open_only=False, limit=10)}
    assert left == {("open-old", 1), ("done-young", 1), ("again", 2)}
    assert await store.decisions("i", 10) == [stories[1]]
    assert await store.dead_letters(10) == [dead_letter(3)]
    assert await store.history("d", "dag", "run") == [young]


async def test_finished_actions_go_by_an_age_of_their_own(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, *(retry(n) for n in "abcde"), look("l", not_before=LATER), log("g"))
    claims = await claimed(store)
    for name, state, at in (
        ("a", "delivered", NOW),
        ("b", "refused", NOW),
        ("c", "unknown", NOW),
        ("d", "delivered", LATER),
    ):
        await store.finish(claims[name], None, state, "", at)
    await step(store, lease, 2, NOW, cancels=[("l", "no need")])
    assert await _prune_all(store, LATER, 0) == 0
    assert await _prune_all(store, 0, LATER) == 4
    assert [row.action.id for row in await store.actions("", 10)] == ["d", "e", "g"]
    assert list(await claimed(store, LATER + 10**9)) == ["e", "g"]
