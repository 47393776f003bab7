"""What is there after everything was closed."""

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
    log,
    look,
    pressed,
    reasons,
    retry,
    step,
    whole_journal,
    with_actions,
)

from remediator.model.time import MINUTE


async def test_reopening_keeps_everything(backend: Backend) -> None:
    store = await backend.store()
    rows, letters = [history_row(1, "failed", error="boom")], [dead_letter(1)]
    await store.commit_batch(batch(None, 2, [pressed("a")], history=rows, dead_letters=letters))
    lease = await with_actions(store, retry("r"), look("l"), log("g"))
    claim = (await claimed(store))["r"]
    await step(
        store,
        lease,
        1,
        states={"k": b"s"},
        timers={"k": (("now", NOW),)},
        incidents=[incident("i")],
        decisions=[decision(1)],
        cancels=[("none", "")],
    )
    await store.put_rule_set("h", b"rules")
    await store.snapshot(lease, NOW)
    await store.append([pressed("freeze")], NOW, frozen=True)
    before = await store.counts()
    await store.close()
    await store.close()

    store = await backend.store()
    assert await store.counts() == before
    assert await store.progress("feed", "topic") == {0: 2}
    assert reasons(await whole_journal(store)) == ["a", "freeze"]
    assert await store.history("d", "dag", "run") == rows
    assert await store.dead_letters(9) == letters
    start = await store.controller_start()
    assert (start.position, start.timers) == (1, {"k": (("now", NOW),)})
    assert await store.load_states(["k"]) == {"k": b"s"}
    assert await store.rule_set("h") == b"rules"
    assert await store.load_snapshot() == (1, {"k": b"s"})
    assert await store.incident("i") == incident("i")
    assert await store.decisions("i", 9) == [decision(1)]
    assert await store.finish(claim, pressed("told after a restart"), "delivered", "", NOW)
    again = await claimed(store, NOW + MINUTE)
    assert {name: c.uncertain for name, c in again.items()} == {"l": True, "g": True}
    assert await store.append([pressed("on")], NOW) == 4
