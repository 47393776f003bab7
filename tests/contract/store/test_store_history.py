"""The history: a lattice, so order and repetition of reports change nothing."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_cases import NOW, Backend, batch, history_row

from remediator.store.lattice import merge_all
from remediator.store.port import HistoryRow, Store

ROWS = st.builds(
    history_row,
    try_number=st.integers(0, 2),
    state=st.sampled_from(["started", "skipped", "success", "failed", "odd"]),
    time=st.sampled_from([NOW, NOW + 1]),
    started_at=st.sampled_from([None, NOW - 2, NOW - 1]),
    ended_at=st.sampled_from([None, NOW + 2, NOW + 3]),
    error=st.sampled_from([None, "", "é", "z"]),
)


async def _put(store: Store, number: int, rows: list[HistoryRow]) -> None:
    assert await store.commit_batch(batch(None, 1, history=rows, partition=number))


async def _put_each(store: Store, rows: list[HistoryRow]) -> list[HistoryRow]:
    number = len(await store.progress("feed", "topic"))
    for offset, row in enumerate(rows):
        await _put(store, number + offset, [row])
    return await store.history("d", "dag", "run")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (history_row(1, "failed"), history_row(2, "started")),
        (history_row(1, "started", NOW + 9), history_row(1, "skipped")),
        (history_row(1, "skipped", NOW + 9), history_row(1, "success")),
        (history_row(1, "success", NOW + 9), history_row(1, "failed")),
        (history_row(1, "failed"), history_row(1, "failed", NOW + 1, error="more")),
    ],
)
async def test_the_greater_report_wins_in_either_order(
    backend: Backend, earlier: HistoryRow, later: HistoryRow
) -> None:
    store = await backend.store()
    assert await _put_each(store, [earlier, later]) == [later]
    assert await _put_each(store, [later, earlier]) == [later]


async def test_the_start_of_one_try_is_kept(backend: Backend) -> None:
    store = await backend.store()
    assert await _put_each(store, [history_row(1, "failed", ended_at=NOW)]) == [history_row(1, "failed", ended_at=NOW)]
    late = await _put_each(store, [history_row(1, "started", started_at=NOW - 5)])
    assert late == [history_row(1, "failed", started_at=NOW - 5, ended_at=NOW)]
    assert await _put_each(store, [history_row(2, "started")]) == [history_row(2, "started")]


async def test_rows_of_one_dagrun_are_separate_and_of_others_unseen(backend: Backend) -> None:
    store = await backend.store()
    rows = [
        HistoryRow("d", "dag", "run", "", -1, 0, "failed", NOW),
        HistoryRow("d", "dag", "run", "task", -1, 1, "failed", NOW),
        HistoryRow("d", "dag", "run", "task", 3, 1, "success", NOW),
    ]
    others = [HistoryRow(*place, "task", -1, 1, "failed", NOW) for place in (("e", "dag", "run"), ("d", "x", "run"))]
    await _put(store, 0, [*others, *rows])
    assert await store.history("d", "dag", "run") == rows
    assert await store.history("e", "dag", "run") == others[:1]


async def _merged_by(store: Store, reports: list[list[HistoryRow]]) -> list[HistoryRow]:
    """What a dagrun of its own looks like after these batches."""
    number = len(await store.progress("feed", "topic"))
    for offset, rows in enumerate(reports):
        await _put(store, number + offset, [msgspec.structs.replace(row, run_id=f"run-{number}") for row in rows])
    return [msgspec.structs.replace(row, run_id="run") for row in await store.history("d", "dag", f"run-{number}")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROWS, min_size=1, max_size=5), chance=st.randoms(use_true_random=False))
async def test_any_order_and_repetition_gives_the_same(
    backend: Backend, rows: list[HistoryRow], chance: random.Random
) -> None:
    store = backend.opened[0] if backend.opened else await backend.store()
    shuffled = [*rows, *rows]
    chance.shuffle(shuffled)
    expected = list(merge_all(rows).values())
    assert list(merge_all(shuffled).values()) == expected
    assert await _merged_by(store, [[row] for row in rows]) == expected
    assert await _merged_by(store, [[row] for row in shuffled]) == expected
    assert await _merged_by(store, [shuffled]) == expected
