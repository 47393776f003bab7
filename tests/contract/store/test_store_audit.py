"""The audit chain: one transaction with what it documents, in one piece beside other writers, and no quiet change."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import msgspec
import pytest
from store_cases import (
    NOW,
    Backend,
    MemoryBackend,
    PostgresBackend,
    SqliteBackend,
    action,
    claimed,
    decision,
    incident,
    lease_of,
    look,
    message,
    pressed,
    reasons,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.model.action import Message
from remediator.model.inputs import Pressed
from remediator.store.audit import GENESIS, AuditEntry, AuditRow, Verifier, cancelled, canonical, entry_of, link_hash
from remediator.store.port import Fenced, Store

YES = Pressed("ada (cli; token)", "approve", "go", "p1", "dag:d/dag")
NO = Pressed("bob (cli; token)", "reject", "no", "p1", "dag:d/dag")


def said(text: str, **more: object) -> AuditEntry:
    return AuditEntry(event="command", actor="ada", what=text, **more)  # type: ignore[arg-type]


def wanted(*names: str) -> dict[str, AuditEntry]:
    return {name: entry_of(retry(name), "wanted", "rule r") for name in names}


async def told(store: Store) -> list[tuple[str, str]]:
    """(event, action or command) of every entry."""
    found = [msgspec.json.decode(row.body, type=AuditEntry) for row in (await store.audit(0, 1000)).rows]
    return [(one.event, one.action_id or one.what) for one in found]


async def faults(store: Store, limit: int = 3) -> list[str]:
    page = await store.audit(0, limit)
    verifier = Verifier(page.head)
    while page.rows:
        verifier.take(page.rows)
        page = await store.audit(page.rows[-1].seq, limit)
    return verifier.end()


async def test_a_new_chain_is_empty_and_whole(backend: Backend) -> None:
    store = await backend.store()
    page = await store.audit(0, 10)
    assert page.rows == []
    assert (page.head.seq, page.head.hash, page.head.anchor_seq) == (0, GENESIS, 0)
    assert await faults(store) == []


async def test_a_step_documents_new_actions_once(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await step(store, lease, 1, actions=[retry("a"), retry("b"), look("l")], audit=wanted("a", "b"))
    await step(store, lease, 2, actions=[retry("b"), retry("c")], audit=wanted("b", "c"))
    assert await told(store) == [("wanted", "a"), ("wanted", "b"), ("wanted", "c")]
    assert await faults(store) == []


async def test_a_fenced_step_documents_nothing(backend: Backend) -> None:
    store = await backend.store()
    old = await lease_of(store)
    await store.release_lease(old)
    await lease_of(store, "two")
    with pytest.raises(Fenced):
        await step(store, old, 1, actions=[retry("a")], audit=wanted("a"))
    assert await told(store) == []


async def test_a_cancel_in_time_is_documented_and_a_late_one_is_not(backend: Backend) -> None:
    store = await backend.store()
    edit = action("edit", Message(incident=incident("i"), channel="C1", ref="C1:1.0"))
    lease = await with_actions(store, retry("held"), retry("gone"), message("post", "m"), edit)
    await claimed(store, limit=1)
    reason = "the incident is resolved"
    await step(store, lease, 2, cancels=[(name, reason) for name in ("held", "gone", "post", "edit", "never")])
    assert await told(store) == [("cancelled", "gone"), ("cancelled", "post")]
    (row, _) = (await store.audit(0, 10)).rows
    assert row.body == canonical(cancelled(retry("gone"), reason))
    assert await faults(store) == []


async def test_a_result_is_documented_with_the_outcome_or_not_at_all(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"))
    claim = (await claimed(store))["a"]
    entry = entry_of(retry("a"), "result", "remediator", result="delivered")
    assert await store.finish(claim, pressed("done"), "delivered", "", NOW, entry)
    assert not await store.finish(claim, pressed("twice"), "delivered", "", NOW, entry)
    assert await told(store) == [("result", "a")]


async def test_an_append_documents_in_the_same_transaction(backend: Backend) -> None:
    store = await backend.store()
    await store.append([pressed("x")], NOW, frozen=True, audit=[said("freeze"), said("why")])
    assert await told(store) == [("command", "freeze"), ("command", "why")]
    assert (await store.counts()).frozen
    assert [row.at for row in (await store.audit(0, 9)).rows] == [NOW, NOW]


async def test_the_first_answer_to_a_proposal_counts_and_repeats_change_nothing(backend: Backend) -> None:
    store = await backend.store()
    assert await store.answered("p1") is None
    first = await store.answer(YES, NOW, said("approve"))
    again = await store.answer(YES, NOW + 5, said("approve"))
    other = await store.answer(NO, NOW + 6, said("reject"))
    assert (first.is_new, again.is_new, other.is_new) == (True, False, False)
    kept = await store.answered("p1")
    assert kept is not None
    assert (kept.command, kept.actor, kept.at) == ("approve", "ada (cli; token)", NOW)
    assert other == again == kept
    assert [entry.input for entry in await whole_journal(store)] == [YES]
    assert await told(store) == [("command", "approve")]
    assert await store.prune(NOW + 1, 0, 10) == 1
    assert await store.answered("p1") is None


async def test_two_answers_at_once_are_one(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(4)]
    answers = await asyncio.gather(
        *(store.answer((YES, NO)[n % 2], NOW + n, said(f"{n}")) for n, store in enumerate(stores))
    )
    assert sum(one.is_new for one in answers) == 1
    assert len({one.actor for one in answers}) == 1
    assert len(await whole_journal(stores[0])) == 1
    assert await faults(stores[0]) == []


async def test_writers_side_by_side_leave_one_whole_chain(backend: Backend) -> None:
    writers, turns = 4, 12
    stores = [await backend.store() for _ in range(writers)]
    await with_actions(stores[0], *(retry(f"0/{n}") for n in range(turns)))
    claims = await claimed(stores[0])

    async def act(number: int) -> None:
        for turn in range(turns):
            entry = said(f"{number}/{turn}")
            if number == 0:
                await stores[0].finish(claims[f"0/{turn}"], pressed("done"), "delivered", "", NOW, entry)
            else:
                await stores[number].append([pressed(f"{number}/{turn}")], NOW, audit=[entry])

    async with asyncio.timeout(60):
        await asyncio.gather(*map(act, range(writers)))
    names = [what for _, what in await told(stores[0])]
    assert len(set(names)) == writers * turns
    for number in range(writers):
        assert [name for name in names if name.startswith(f"{number}/")] == [f"{number}/{n}" for n in range(turns)]
    assert await faults(stores[0]) == []
    assert len(reasons(await whole_journal(stores[0]))) == writers * turns


async def test_pages_begin_after_a_number_or_at_a_time(backend: Backend) -> None:
    store = await backend.store()
    for n in range(6):
        await store.append([pressed(str(n))], NOW + n, audit=[said(str(n))])
    assert [row.seq for row in (await store.audit(2, 3)).rows] == [3, 4, 5]
    assert [row.seq for row in (await store.audit(0, 9, NOW + 4)).rows] == [5, 6]
    assert (await store.audit(6, 9)).head.seq == 6


async def test_a_reopened_store_goes_on_with_its_chain(backend: Backend) -> None:
    store = await backend.store()
    await store.append([pressed("a")], NOW, audit=[said("a", params={"ü": [1, 2.5, None, {"z": True}]})])
    await store.close()
    store = await backend.store()
    await store.append([pressed("b")], NOW, audit=[said("b\x00\u2028")])
    assert await faults(store) == []
    assert (await told(store))[-1] == ("command", "b\x00\u2028")


# -- retention ----------------------------------------------------------------------------------------------------


async def test_retention_of_other_things_leaves_the_chain_alone(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    await store.append([pressed("a")], NOW, audit=[said("a")])
    await step(store, lease, 1, decisions=[decision(1)])
    await store.snapshot(lease, NOW)
    while await store.prune(NOW + 10**12, NOW + 10**12, 100):
        pass
    assert await told(store) == [("command", "a")]


async def test_a_pruned_chain_keeps_its_anchor_and_says_so(backend: Backend) -> None:
    store = await backend.store()
    for n, at in enumerate((NOW, NOW + 1, NOW + 2, NOW + 9, NOW + 3)):
        await store.append([pressed(str(n))], at, audit=[said(str(n))])
    assert await store.prune_audit(NOW, NOW + 20, 10) == 0
    assert await store.prune_audit(NOW + 5, NOW + 20, 2) == 2
    assert await store.prune_audit(NOW + 5, NOW + 20, 2) == 1
    assert await store.prune_audit(NOW + 5, NOW + 20, 2) == 0, "a younger entry keeps what came after it"
    page = await store.audit(0, 10)
    assert [row.seq for row in page.rows] == [4, 5, 6, 7]
    assert (page.head.anchor_seq, page.head.anchor_hash) == (3, page.rows[0].prev_hash)
    assert (await told(store))[-1] == ("pruned", "retention")
    assert await faults(store) == []
    assert await store.prune_audit(NOW + 10**9, NOW + 10**9, 10) == 4
    assert [row.seq for row in (await store.audit(0, 10)).rows] == [8]
    assert await faults(store) == []


# -- tampering ----------------------------------------------------------------------------------------------------


async def _chain_of_five(store: Store) -> None:
    for n in range(5):
        await store.append([pressed(str(n))], NOW + n, audit=[said(str(n))])
    assert await faults(store) == []


async def _execute(backend: Backend, statement: str) -> None:
    if isinstance(backend, SqliteBackend):
        with closing(sqlite3.connect(backend.path)) as raw, raw:
            raw.execute(statement)
    else:
        assert isinstance(backend, PostgresBackend)
        await PostgresBackend._execute(backend.url, statement)


@pytest.mark.parametrize("backend", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET body = CAST(replace('{\"x\":1}', 'x', 'y') AS {blob}) WHERE seq = 3", "entry 3 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE audit SET hash = prev_hash WHERE seq = 4", "entry 4 was changed"),
        ("UPDATE audit SET prev_hash = 'no hash' WHERE seq = 4", "entry 4 does not follow entry 3"),
        ("DELETE FROM audit WHERE seq = 3", "entry 3 is missing; the next is 4"),
        ("DELETE FROM audit WHERE seq = 1", "entry 1 is missing; the next is 2"),
        ("DELETE FROM audit WHERE seq > 3", "the chain ends at entry 3; its head is entry 5"),
        ("UPDATE audit SET seq = 7 WHERE seq = 5", "entry 5 is missing; the next is 7"),
        ("UPDATE audit_head SET anchor_seq = 1, anchor_hash = hash", "entry 2 is missing; the next is 1"),
    ],
)
async def test_tampering_is_found(backend: Backend, statement: str, fault: str) -> None:
    store = await backend.store()
    await _chain_of_five(store)
    blob = "BLOB" if isinstance(backend, SqliteBackend) else "BYTEA"
    await _execute(backend, statement.replace("{blob}", blob))
    assert any(one.startswith(fault) for one in await faults(store)), await faults(store)


async def test_a_link_that_was_written_anew_with_its_hash_is_found_by_the_next_one() -> None:
    store = await MemoryBackend().store()
    await _chain_of_five(store)
    page = await store.audit(0, 9)
    forged = said("forged")
    rows = list(page.rows)
    old = rows[2]
    body = canonical(forged)
    rows[2] = AuditRow(3, old.at, body, old.prev_hash, link_hash(old.prev_hash, 3, old.at, body))
    verifier = Verifier(page.head)
    verifier.take(rows)
    assert verifier.end() == ["entry 4 does not follow entry 3"]


# -- reading stories by time --------------------------------------------------------------------------------------


async def test_decisions_of_all_incidents_by_time_page_by_page(backend: Backend) -> None:
    store = await backend.store()
    lease = await lease_of(store)
    stories = [decision(n, ("i", "j", "")[n % 3], at=NOW + n // 4) for n in range(12)]
    await step(store, lease, 12, decisions=stories)
    seen, since, after = [], NOW + 1, 0
    while found := await store.decisions_since(since, after, 3):
        assert len(found) <= 3
        seen += [one for _, one in found]
        since, after = found[-1][1].at, found[-1][0]
    assert seen == stories[4:]
    assert await store.decisions_since(NOW + 100, 0, 10) == []
