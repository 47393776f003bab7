"""What only PostgreSQL promises: several processes, one clock, and pools that outlive their connections."""

from __future__ import annotations

import asyncio

import pytest
from store_cases import (
    LONG,
    NOW,
    PostgresBackend,
    batch,
    claimed,
    lease_of,
    log,
    pressed,
    reasons,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.model.time import DAY, MINUTE, SECOND
from remediator.store.inspect import Schema, schema_of
from remediator.store.port import Fenced, StoreError
from remediator.store.postgres import PostgresStore

pytestmark = pytest.mark.postgres


@pytest.fixture
async def shared(postgres_server: str) -> PostgresBackend:
    return await PostgresBackend.make(postgres_server)


async def test_several_may_start_at_once_on_nothing(shared: PostgresBackend) -> None:
    stores = [shared.make_store() for _ in range(5)]
    await asyncio.gather(*(store.open() for store in stores))
    positions = await asyncio.gather(*(store.append([pressed("x")], NOW) for store in stores))
    assert sorted(positions) == [1, 2, 3, 4, 5]
    await asyncio.gather(*(store.close() for store in stores))


async def test_of_two_pools_one_gets_the_lease_and_it_runs_out_by_the_servers_clock(shared: PostgresBackend) -> None:
    one, two = await shared.store(), await shared.store()
    given = await asyncio.gather(one.acquire_lease("one", LONG), two.acquire_lease("two", LONG))
    (winner,) = [lease for lease in given if lease is not None]
    holder, other = (one, two) if winner.owner == "one" else (two, one)
    assert await holder.renew_lease(winner, 0)
    await step(holder, winner, 1)
    taken = await lease_of(other, "other")
    with pytest.raises(Fenced):
        await step(holder, winner, 2)
    assert (await other.controller_start()).position == 1
    assert await other.renew_lease(taken, LONG)
    await shared.close()


async def test_two_controllers_that_fight_never_both_commit(shared: PostgresBackend) -> None:
    stores = [await shared.store() for _ in range(2)]
    committed: list[str] = []

    async def fight(number: int) -> None:
        for turn in range(10):
            lease = await stores[number].acquire_lease(f"c{number}", 0)
            if lease is not None:
                try:
                    await step(stores[number], lease, 1, states={"k": f"{number}/{turn}".encode()})
                except Fenced:
                    continue
                committed.append(f"{number}/{turn}")

    await asyncio.gather(fight(0), fight(1))
    assert committed
    state = (await stores[0].load_states(["k"]))["k"].decode()
    assert state in committed
    await shared.close()


async def test_two_dispatchers_take_lane_by_lane(shared: PostgresBackend) -> None:
    one, two = await shared.store(), await shared.store()
    await with_actions(one, *(retry(f"{lane}/{n}", f"lane{lane}") for n in range(4) for lane in range(5)))
    done: list[str] = []

    async def work(number: int) -> None:
        store = (one, two)[number]
        while len(done) < 20:
            for claim in await store.claim(f"w{number}", NOW, MINUTE, 2):
                assert await store.finish(claim, pressed(claim.action.id), "delivered", "", NOW)
                done.append(claim.action.id)

    async with asyncio.timeout(60):
        await asyncio.gather(work(0), work(1))
    told = reasons(await whole_journal(one))
    assert len(told) == 20
    for lane in range(5):
        assert [text for text in told if text.startswith(f"{lane}/")] == [f"{lane}/{n}" for n in range(4)]
    await shared.close()


async def test_a_lost_connection_is_one_error_and_the_pool_recovers(
    shared: PostgresBackend, postgres_server: str
) -> None:
    store = PostgresStore(shared.url, pool_size=1)
    await store.open()
    await store.append([pressed("a")], NOW)
    await shared._execute(
        postgres_server,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'remediator'",
    )
    failures = 0
    async with asyncio.timeout(30):
        while True:
            try:
                await store.append([pressed("b")], NOW)
                break
            except StoreError:
                failures += 1
    assert failures <= 1
    assert reasons(await whole_journal(store)) == ["a", "b"]
    await store.close()


async def test_a_caller_whose_clock_is_a_day_ahead_does_not_stamp_the_journal(shared: PostgresBackend) -> None:
    store = PostgresStore(shared.url)
    await store.open()
    own = await store.now()
    assert own is not None
    await store.append([pressed("ahead")], own + DAY)
    lease = await lease_of(store)
    await store.commit_batch(batch(None, 1, [pressed("batch")], at=own + DAY))
    await step(store, lease, at=own + DAY, actions=[log("told", not_before=own, not_after=own + LONG)])
    taken = (await claimed(store, own + DAY))["told"]
    assert await store.finish(taken, pressed("outcome"), "delivered", "", own + DAY)
    stamps = [entry.at for entry in await whole_journal(store)]
    assert len(stamps) == 3
    assert all(own <= at < own + MINUTE for at in stamps)
    await store.close()


async def test_a_clock_within_bounds_is_believed_and_a_late_one_too(shared: PostgresBackend) -> None:
    store = PostgresStore(shared.url)
    await store.open()
    own = await store.now()
    assert own is not None
    for at in (own + SECOND, own - DAY):
        await store.append([pressed("a")], at)
    assert [entry.at for entry in await whole_journal(store)] == [own + SECOND, own - DAY]
    await store.close()


async def test_no_server_is_one_clear_line_without_the_password(tmp_path_factory: pytest.TempPathFactory) -> None:
    for place in ("127.0.0.1:1/db", "127.0.0.1:1/db?password=hunter2", "/db?host=/nowhere"):
        store = PostgresStore(f"postgresql://ada:hunter2@{place}")
        with pytest.raises(StoreError) as caught:
            await store.open()
        assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(vars(store))
        assert "\n" not in str(caught.value)
        with pytest.raises(StoreError, match="not open"):
            await store.counts()


async def test_a_schema_of_the_future_is_refused(shared: PostgresBackend) -> None:
    store = await shared.store()
    await store.close()
    await shared._execute(shared.url, "INSERT INTO schema_version VALUES (99)")
    with pytest.raises(StoreError, match="schema version 99 is newer than this program's 5"):
        await shared.store()


async def test_text_is_compared_by_bytes_as_everywhere_else(shared: PostgresBackend) -> None:
    store = await shared.store()
    await with_actions(store, retry("é", "é"), retry("Z", "Z"), retry("a", "a"))
    assert [claim.action.id for claim in await store.claim("w", NOW, MINUTE, 9)] == ["é", "Z", "a"]
    await shared.close()


async def test_the_schema_is_looked_at_and_not_made(shared: PostgresBackend) -> None:
    newest = (await schema_of(shared.url)).newest
    assert await schema_of(shared.url) == Schema(0, newest)
    store = await shared.store()
    assert await schema_of(shared.url) == Schema(newest, newest)
    await store.close()
