"""The lease: one decides, and one that lost it writes nothing."""

from __future__ import annotations

import pytest
from store_cases import (
    LONG,
    NOW,
    Backend,
    decision,
    incident,
    lease_of,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.store.port import Fenced


async def test_only_one_holds_it_and_release_passes_it_on(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    first = await lease_of(one, "one")
    assert await two.acquire_lease("two", LONG) is None
    assert await one.renew_lease(first, LONG)
    await one.release_lease(first)
    second = await lease_of(two, "two")
    assert second.epoch > first.epoch
    assert not await one.renew_lease(first, LONG)
    assert await one.acquire_lease("one", LONG) is None


async def test_the_owner_may_take_it_again_with_a_higher_epoch(backend: Backend) -> None:
    store = await backend.store()
    first = await lease_of(store, "one")
    second = await lease_of(store, "one")
    assert second.epoch > first.epoch
    assert not await store.renew_lease(first, LONG)
    assert await store.renew_lease(second, LONG)


async def test_another_owner_in_the_same_process_does_not_get_it(backend: Backend) -> None:
    store = await backend.store()
    await lease_of(store, "one")
    assert await store.acquire_lease("two", LONG) is None


async def test_release_by_one_who_lost_it_takes_nothing_away(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    first = await lease_of(one, "one")
    await one.release_lease(first)
    second = await lease_of(two, "two")
    await one.release_lease(first)
    assert await two.renew_lease(second, LONG)
    assert await one.acquire_lease("one", LONG) is None


async def test_a_commit_under_a_lost_lease_is_fenced_and_writes_nothing(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    lost = await with_actions(one, retry("r1"))
    await one.release_lease(lost)
    current = await lease_of(two, "two")
    before = await two.counts()
    with pytest.raises(Fenced):
        await step(
            one,
            lost,
            9,
            states={"k": b"late"},
            timers={"k": (("now", NOW),)},
            actions=[retry("r2")],
            cancels=[("r1", "late")],
            incidents=[incident("late")],
            decisions=[decision(9)],
            frozen=True,
        )
    with pytest.raises(Fenced):
        await one.snapshot(lost, NOW)
    assert await two.counts() == before
    assert await two.load_states(["k"]) == {}
    assert await two.decisions("i", 10) == []
    assert await whole_journal(two) == []
    await step(two, current, 9, states={"k": b"mine"})
    assert await two.load_states(["k"]) == {"k": b"mine"}


async def test_a_commit_after_release_is_fenced(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await store.release_lease(lease)
    with pytest.raises(Fenced):
        await step(store, lease)


async def test_closing_the_store_of_a_new_process_leaves_the_epoch_growing(backend: Backend) -> None:
    epochs = []
    for _ in range(3):
        store = await backend.store()
        lease = await lease_of(store)
        epochs.append(lease.epoch)
        await store.release_lease(lease)
        await store.close()
    assert epochs == sorted(set(epochs))
