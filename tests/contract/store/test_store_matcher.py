"""Progress and batches: compare-and-swap on the position, all of a batch or nothing."""

from __future__ import annotations

from store_cases import (
    NOW,
    Backend,
    batch,
    dead_letter,
    history_row,
    pressed,
    reasons,
    whole_journal,
)


async def test_progress_of_a_topic_never_read_is_empty(backend: Backend) -> None:
    store = await backend.store()
    assert await store.progress("feed", "topic") == {}


async def test_a_first_batch_needs_no_row_and_later_ones_continue_it(backend: Backend) -> None:
    store = await backend.store()
    assert await store.commit_batch(batch(None, 7, [pressed("a")]))
    assert await store.commit_batch(batch(7, 9, [pressed("b")]))
    assert await store.progress("feed", "topic") == {0: 9}
    assert reasons(await whole_journal(store)) == ["a", "b"]


async def test_offsets_may_have_gaps(backend: Backend) -> None:
    store = await backend.store()
    assert await store.commit_batch(batch(None, 1_000_000_000_000))
    assert await store.commit_batch(batch(1_000_000_000_000, 5_000_000_000_000, partition=0))
    assert await store.commit_batch(batch(None, 3, partition=17))
    assert await store.progress("feed", "topic") == {0: 5_000_000_000_000, 17: 3}


async def test_progress_is_per_feed_and_topic(backend: Backend) -> None:
    store = await backend.store()
    for feed, topic, offset in (("a", "x", 1), ("a", "y", 2), ("b", "x", 3)):
        assert await store.commit_batch(batch(None, offset, feed=feed, topic=topic))
    assert await store.progress("a", "x") == {0: 1}
    assert await store.progress("a", "y") == {0: 2}
    assert await store.progress("b", "x") == {0: 3}


async def test_a_failed_swap_writes_nothing(backend: Backend) -> None:
    store = await backend.store()
    assert await store.commit_batch(batch(None, 10, [pressed("kept")]))
    for expected in (None, 9, 11):
        late = batch(
            expected, 20, [pressed("lost")], history=[history_row(1, "failed")], dead_letters=[dead_letter(11)]
        )
        assert not await store.commit_batch(late)
    assert await store.progress("feed", "topic") == {0: 10}
    assert reasons(await whole_journal(store)) == ["kept"]
    assert await store.history("d", "dag", "run") == []
    assert await store.dead_letters(10) == []
    assert (await store.counts()).journal_head == 1


async def test_a_swap_from_a_row_that_is_not_there_fails(backend: Backend) -> None:
    store = await backend.store()
    assert not await store.commit_batch(batch(5, 10, [pressed("lost")]))
    assert await store.progress("feed", "topic") == {}


async def test_all_of_a_batch_is_there(backend: Backend) -> None:
    store = await backend.store()
    rows, letters = [history_row(1, "failed", error="boom")], [dead_letter(3), dead_letter(4, reason="no codec")]
    assert await store.commit_batch(batch(None, 5, [pressed("a")], history=rows, dead_letters=letters))
    assert await store.history("d", "dag", "run") == rows
    assert await store.dead_letters(10) == letters[::-1]
    assert await store.dead_letters(1) == letters[1:]
    assert [entry.at for entry in await whole_journal(store)] == [NOW]


async def test_text_survives_as_it_is(backend: Backend) -> None:
    store = await backend.store()
    text = "nul \x00 and \U0001f9ef and \u202e and é"
    assert await store.commit_batch(batch(None, 1, [pressed(text)], dead_letters=[dead_letter(1, reason=text)]))
    assert reasons(await whole_journal(store)) == [text]
    assert (await store.dead_letters(1))[0].reason == text


async def test_a_nul_in_a_column_of_text_loses_no_row(backend: Backend) -> None:
    store = await backend.store()
    row = history_row(1, "failed", task_id="a\x00b", error="x\x00y")
    assert await store.commit_batch(batch(None, 1, history=[row], topic="to\x00pic"))
    (found,) = await store.history("d", "dag", "run")
    assert found.task_id.replace("\ufffd", "\x00") == "a\x00b"
    assert (found.error or "").replace("\ufffd", "\x00") == "x\x00y"
    assert await store.progress("feed", "to\x00pic") == {0: 1}
