"""The journal: no holes, visible in order, however many write side by side."""

from __future__ import annotations

import asyncio

from store_cases import NOW, Backend, batch, fact, pressed, reasons, whole_journal

from remediator.store.port import Store


async def test_positions_start_at_one_and_have_no_holes(backend: Backend) -> None:
    store = await backend.store()
    assert await store.append([pressed("a")], NOW) == 1
    assert await store.append([pressed("b"), pressed("c")], NOW + 1) == 3
    entries = await whole_journal(store)
    assert [(e.position, e.at) for e in entries] == [(1, NOW), (2, NOW + 1), (3, NOW + 1)]
    assert reasons(entries) == ["a", "b", "c"]


async def test_appending_nothing_moves_nothing(backend: Backend) -> None:
    store = await backend.store()
    assert await store.append([], NOW) == 0
    assert await store.append([pressed("a")], NOW) == 1
    assert await store.append([], NOW) == 1
    assert await store.read_journal(1, 10) == []


async def test_a_reader_starts_inside_an_append(backend: Backend) -> None:
    store = await backend.store()
    await store.append([fact(n) for n in range(1_200)], NOW)
    await store.append([pressed("last")], NOW)
    for after in (0, 1, 499, 500, 501, 999, 1_000, 1_199, 1_200):
        found = await store.read_journal(after, 3)
        assert found[0].position == after + 1
        assert [e.position for e in found] == list(range(after + 1, after + 1 + len(found)))
    assert await store.read_journal(1_201, 3) == []


async def test_a_read_is_about_as_long_as_asked(backend: Backend) -> None:
    store = await backend.store()
    for n in range(40):
        await store.append([pressed(str(n))], NOW)
    assert len(await store.read_journal(0, 10)) == 10
    await store.append([fact(n) for n in range(5_000)], NOW)
    assert 10 <= len(await store.read_journal(35, 10)) <= 510
    assert len(await store.read_journal(40, 1)) >= 1


async def test_an_input_of_a_megabyte(backend: Backend) -> None:
    store = await backend.store()
    text = "é" * 500_000
    await store.append([pressed(text), pressed("small")], NOW)
    assert reasons(await store.read_journal(0, 1)) in ([text], [text, "small"])


async def test_what_is_handed_out_is_not_what_is_kept(backend: Backend) -> None:
    store = await backend.store()
    await store.append([fact(1)], NOW)
    first = (await store.read_journal(0, 1))[0]
    first.input.event.attributes["changed"] = True  # type: ignore[union-attr]
    assert (await store.read_journal(0, 1))[0].input == fact(1)


async def test_append_sets_the_freeze_flag(backend: Backend) -> None:
    store = await backend.store()
    assert not (await store.counts()).frozen
    for frozen in (True, False):
        await store.append([pressed("freeze")], NOW, frozen=frozen)
        assert (await store.counts()).frozen is frozen
        await store.append([pressed("other")], NOW)
        assert (await store.counts()).frozen is frozen


async def _write(store: Store, partition: int, batches: int) -> None:
    expected = None
    for n in range(batches):
        inputs = [pressed(f"{partition}/{n}/{i}") for i in range(1 + n % 4)]
        assert await store.commit_batch(batch(expected, n + 1, inputs, partition=partition))
        expected = n + 1


async def _read(store: Store, total: int) -> list[str]:
    seen: list[str] = []
    after = 0
    while len(seen) < total:
        for entry in await store.read_journal(after, 7):
            assert entry.position == after + 1, "a position was skipped: it became visible too late"
            after = entry.position
            seen += reasons([entry])
    return seen


async def test_a_reader_beside_three_writers_skips_nothing(backend: Backend) -> None:
    writers, batches = 3, 40
    total = writers * sum(1 + n % 4 for n in range(batches))
    stores = [await backend.store() for _ in range(writers + 1)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        reader = group.create_task(_read(stores[-1], total))
        for partition in range(writers):
            group.create_task(_write(stores[partition], partition, batches))
    seen = reader.result()
    assert len(set(seen)) == total
    for partition in range(writers):
        mine = [text for text in seen if text.startswith(f"{partition}/")]
        assert mine == [f"{partition}/{n}/{i}" for n in range(batches) for i in range(1 + n % 4)]


async def test_two_owners_of_one_partition_never_both_win(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(4)]
    wins = await asyncio.gather(*(s.commit_batch(batch(None, 5, [pressed(str(n))])) for n, s in enumerate(stores)))
    assert sorted(wins) == [False, False, False, True]
    assert reasons(await whole_journal(stores[0])) == [str(wins.index(True))]
