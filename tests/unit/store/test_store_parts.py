"""The pure parts of the stores: URLs, SQL files, chunks, the lattice, and where the memory store pauses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.model.inputs import Input, Pressed, Tick
from remediator.store.chunks import CHUNK_INPUTS, encode_chunks, entries_after, place_chunks
from remediator.store.factory import open_store
from remediator.store.lattice import merge
from remediator.store.memory import MemoryData, MemoryStore
from remediator.store.port import HistoryRow, Store, StoreError
from remediator.store.queries import load_migrations, load_queries, positional
from remediator.store.sqlite import SqliteStore
from remediator.store.urls import mask_url

ROWS = st.builds(
    HistoryRow,
    deployment=st.just("d"),
    dag_id=st.just("dag"),
    run_id=st.just("run"),
    task_id=st.just("task"),
    map_index=st.just(-1),
    try_number=st.integers(0, 2),
    state=st.sampled_from(["started", "skipped", "success", "failed", "odd"]),
    time=st.integers(0, 2),
    started_at=st.none() | st.integers(0, 2),
    ended_at=st.none() | st.integers(0, 2),
    error=st.sampled_from([None, "", "a", "b"]),
)


@given(a=ROWS, b=ROWS, c=ROWS)
def test_the_merge_is_a_lattice(a: HistoryRow, b: HistoryRow, c: HistoryRow) -> None:
    assert merge(a, a) == a
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


@given(sizes=st.lists(st.integers(0, 3 * CHUNK_INPUTS), max_size=4), data=st.data())
def test_chunks_give_back_what_went_in_from_any_position(sizes: list[int], data: st.DataObject) -> None:
    chunks, head = [], 0
    for size in sizes:
        chunks += place_chunks(head, encode_chunks([Tick()] * size), at=head)
        head += size
    after = data.draw(st.integers(0, head))
    entries = entries_after(chunks, after)
    assert [entry.position for entry in entries] == list(range(after + 1, head + 1))
    assert all(chunk.count <= CHUNK_INPUTS for chunk in chunks)


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_that_is_named_in_code_exists_and_none_else(dialect: str) -> None:
    package = Path(__file__).parents[3] / "remediator" / "store"
    source = "".join(path.read_text() for path in package.glob(f"{dialect}*.py"))
    tables = re.search(r"PRUNED = \(([^)]*)\)", source)
    assert tables is not None
    words = set(re.findall(r'"([a-z_]+)"', source)) | {f"prune_{t}" for t in re.findall(r"\w+", tables[1])}
    statements = load_queries(dialect)
    assert set(statements) <= words
    assert all(statements.values())


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_migrations_are_numbered_from_one_without_holes(dialect: str) -> None:
    migrations = load_migrations(dialect)
    assert [version for version, _ in migrations] == list(range(1, len(migrations) + 1))
    assert all(statements for _, statements in migrations)


def test_parameters_get_numbers_and_casts_stay() -> None:
    statement = positional("SELECT :a::bigint + :b, :a WHERE x = ANY(:c::text[])")
    assert statement.sql == "SELECT $1::bigint + $2, $1 WHERE x = ANY($3::text[])"
    assert statement.parameters == ("a", "b", "c")


@pytest.mark.parametrize(
    "url", ["mysql://h/db", "store.db", "", "sqlite://", "sqlite:///", "sqlite://host/path", "sqlite:///:memory:"]
)
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url)


def test_a_url_chooses_the_store(tmp_path: Path) -> None:
    assert isinstance(open_store(f"sqlite:///{tmp_path}/a.db"), SqliteStore)
    assert type(open_store("postgresql://u:p@h/db")).__name__ == "PostgresStore"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5/db?password=secret", "postgresql://u:…@h:5/db"),
        ("postgresql://u:secret@[::1]:5,h2:6/db", "postgresql://u:…@[::1]:5,h2:6/db"),
        ("postgresql://u@h", "postgresql://u@h"),
        ("postgresql:///db?host=/tmp&password=secret", "postgresql:///db"),
        ("postgresql://u:secret@secret@h/db", "postgresql://…"),
        ("postgresql://u:secret/secret@h/db", "postgresql://…"),
        ("postgresql://u:secret?secret@h/db", "postgresql://…"),
        ("postgresql://u:1?secret@h/db", "postgresql://…"),
        ("u:secret@h/db", "…"),
        ("postgresql://h/db", "postgresql://h/db"),
        ("mysql://u:secret@h/db", "mysql://u:…@h/db"),
        ("postgresql://u:secret@[h/db", "postgresql://…"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_an_error_masks_the_password() -> None:
    with pytest.raises(StoreError) as caught:
        open_store("mysql://u:secret@h/db")
    assert "secret" not in str(caught.value)
    store = open_store("postgresql://u:secret@h/db")
    assert "secret" not in repr(store) + repr(vars(store))


class CrashError(Exception):
    """The process ended here."""


def crashing_at(point: str) -> Callable[[str], object]:
    async def pause(reached: str) -> None:
        if reached == point:
            raise CrashError

    return pause


def drive(coroutine: object) -> object:
    """Run a coroutine that must not really wait."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something")


@pytest.mark.parametrize(("when", "written"), [("before", 0), ("after", 1)])
def test_a_crash_beside_the_atomic_section_writes_all_or_nothing(when: str, written: int) -> None:
    data = MemoryData()
    store = MemoryStore(data, clock=lambda: 0, pause=crashing_at(f"append:{when}"))  # type: ignore[arg-type]
    with pytest.raises(CrashError):
        drive(store.append([Tick()], 0))
    assert data.head == written
    other: Store = MemoryStore(data, clock=lambda: 0)
    assert len(drive(other.read_journal(0, 9))) == written  # type: ignore[arg-type]


def test_the_one_place_that_writes_the_journal_can_be_broken_on_purpose() -> None:
    class Skipping(MemoryStore):
        def _append_journal(self, inputs: list[Input], at: int) -> int:  # type: ignore[override]
            self.data.head += 1
            return super()._append_journal(inputs, at)

    store = Skipping(clock=lambda: 0)
    assert drive(store.append([Pressed("a", "freeze")], 0)) == 2


def test_two_stores_do_not_share_what_was_not_given_to_both() -> None:
    one, two = MemoryStore(clock=lambda: 0), MemoryStore(clock=lambda: 0)
    drive(one.append([Tick()], 0))
    assert two.data.head == 0
