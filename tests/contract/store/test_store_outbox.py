"""The outbox: lanes, claims and tokens, the brakes asked right before a call."""

from __future__ import annotations

import asyncio

import msgspec
from store_cases import (
    NOW,
    Backend,
    action,
    claimed,
    log,
    look,
    message,
    pressed,
    reasons,
    retry,
    step,
    sweep,
    whole_journal,
    with_actions,
)

from remediator.model.action import QUESTIONS, DryRun, LogTail, Look, Report, Survey, Sweep, Trigger
from remediator.model.inputs import Pressed
from remediator.model.time import MINUTE, SECOND
from remediator.store.audit import AuditEntry
from remediator.store.port import Go

RESTORED = Pressed("ada", "restored", "the disk was lost")
COMMAND = AuditEntry(event="command", actor="ada", what="restored")


async def test_a_claim_carries_the_action_and_its_end(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a", incident="i"))
    (claim,) = await store.claim("w", NOW, 60 * SECOND, 10)
    assert claim.action == retry("a", incident="i")
    assert (claim.until, claim.uncertain, claim.tries) == (NOW + 60 * SECOND, False, 0)
    (row,) = await store.actions("", 10)
    assert (row.action, row.state, row.tries, row.detail) == (claim.action, "claimed", 0, "")


async def test_only_due_actions_are_given_up_to_the_limit_oldest_first(backend: Backend) -> None:
    store = await backend.store()
    names = ["z", "y", "x", "later", "w"]
    await with_actions(store, *(log(n, not_before=NOW + (n == "later")) for n in names))
    assert await store.claim("w", NOW - 1, MINUTE, 10) == []
    assert list(await claimed(store, limit=2)) == ["z", "y"]
    assert list(await claimed(store)) == ["x", "w"]
    assert list(await claimed(store, NOW + 1)) == ["later"]
    assert await claimed(store, NOW + 1) == {}


async def test_a_lane_has_one_in_flight_and_keeps_its_order(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, retry("a1", "A"), retry("a2", "A"), retry("b1", "B"))
    await step(store, lease, 2, actions=[retry("b2", "B"), retry("a3", "A")])
    for expected in (["a1", "b1"], ["a2", "b2"], ["a3"]):
        claims = await claimed(store)
        assert list(claims) == expected
        assert await claimed(store) == {}
        for claim in claims.values():
            assert await store.finish(claim, None, "delivered", "", NOW)
    assert await claimed(store) == {}


async def test_a_head_that_waits_holds_its_lane_and_no_other(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a1", "A", not_before=NOW + 9), retry("a2", "A"), retry("b1", "B"), log("c1"))
    claims = await claimed(store)
    assert list(claims) == ["b1", "c1"]
    assert await store.postpone(claims["b1"], NOW + 5 * MINUTE, uncertain=False, detail="503")
    assert list(await claimed(store, NOW + 9)) == ["a1"]


async def test_a_stuck_lane_delays_no_other_however_many_wait_in_it(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, *(retry(f"a{n}", "A") for n in range(50)), retry("b1", "B"))
    assert list(await claimed(store, limit=1)) == ["a0"]
    assert list(await claimed(store, limit=1)) == ["b1"]


async def test_looks_of_a_lane_come_together(backend: Backend) -> None:
    store = await backend.store()
    waiting = look("l1", not_before=NOW + MINUTE)
    await with_actions(store, waiting, look("l2"), look("l3"), look("other", "look:e"), sweep("s1"), sweep("s2"))
    claims = await claimed(store)
    assert sorted(claims) == ["l2", "l3", "other", "s1"]
    assert len({claim.token for claim in claims.values()}) == len(claims)
    for name in ("l2", "l3"):
        assert await store.finish(claims[name], pressed(name), "delivered", "", NOW)
    assert sorted(await claimed(store, NOW + MINUTE - 1)) == []
    assert "l1" in await claimed(store, NOW + MINUTE)


async def test_a_lane_of_looks_has_one_batch_in_flight(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, look("l1"), look("l2"))
    claims = await claimed(store)
    await step(store, lease, 2, actions=[look("l3")])
    assert await claimed(store) == {}
    await store.finish(claims["l1"], None, "delivered", "", NOW)
    assert await claimed(store) == {}
    await store.postpone(claims["l2"], NOW, uncertain=False, detail="")
    assert sorted(await claimed(store)) == ["l2", "l3"]


async def test_the_limit_counts_looks(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, *(look(f"l{n}") for n in range(10)))
    assert list(await claimed(store, limit=3)) == ["l0", "l1", "l2"]


async def test_a_claim_that_ran_out_is_given_again_as_uncertain(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"))
    first = (await claimed(store))["a"]
    assert await claimed(store, NOW + MINUTE - 1) == {}
    second = (await claimed(store, NOW + MINUTE, worker="other"))["a"]
    assert second.uncertain
    assert second.token != first.token
    assert not await store.finish(first, pressed("stale"), "delivered", "", NOW)
    assert not await store.postpone(first, NOW, uncertain=False, detail="stale")
    assert await store.confirm(first, NOW + MINUTE, 100) is Go.LOST
    assert await store.confirm(second, NOW + MINUTE, 100) is Go.YES
    assert await whole_journal(store) == []
    assert (await store.actions("", 1))[0].state == "claimed"
    assert await store.finish(second, pressed("done"), "delivered", "", NOW)
    assert reasons(await whole_journal(store)) == ["done"]


async def test_a_claim_that_ran_out_may_still_tell_its_result(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"))
    claim = (await claimed(store))["a"]
    assert await store.confirm(claim, NOW + MINUTE, 100) is Go.LOST
    assert await store.finish(claim, pressed("late"), "delivered", "", NOW + 2 * MINUTE)
    assert not await store.finish(claim, pressed("twice"), "delivered", "", NOW + 2 * MINUTE)
    assert reasons(await whole_journal(store)) == ["late"]


async def test_finish_writes_state_detail_and_result(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"), retry("b"), retry("c"))
    claims = await claimed(store)
    for name, state in (("a", "delivered"), ("b", "refused"), ("c", "unknown")):
        assert await store.finish(claims[name], pressed(name), state, f"why {name}", NOW + 7)
    rows = [(row.action.id, row.state, row.detail, row.at) for row in await store.actions("", 10)]
    assert rows == [
        ("a", "delivered", "why a", NOW + 7),
        ("b", "refused", "why b", NOW + 7),
        ("c", "unknown", "why c", NOW + 7),
    ]
    assert [entry.at for entry in await whole_journal(store)] == [NOW + 7] * 3
    assert await claimed(store, NOW + 9 * MINUTE) == {}
    assert not await store.postpone(claims["a"], NOW, uncertain=False, detail="")


async def test_answered_questions_leave_no_row(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, look("l"), sweep("s"))
    for name, claim in (await claimed(store)).items():
        assert await store.finish(claim, pressed(name), "delivered", "", NOW)
        assert not await store.finish(claim, pressed(name), "delivered", "", NOW)
    assert await store.actions("", 10) == []
    assert sorted(reasons(await whole_journal(store))) == ["l", "s"]
    await step(store, lease, 2, actions=[look("l")])
    assert list(await claimed(store)) == ["l"]


async def test_postpone_gives_the_action_back_for_later_one_try_older(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"))
    for tries in range(3):
        when = NOW + tries * MINUTE
        claim = (await claimed(store, when))["a"]
        assert claim.tries == tries
        assert await store.postpone(claim, when + MINUTE, uncertain=False, detail=f"try {tries}")
        assert await claimed(store, when + MINUTE - 1) == {}
        (row,) = await store.actions("", 10)
        assert (row.state, row.tries, row.detail) == ("pending", tries + 1, f"try {tries}")


async def test_uncertainty_is_sticky(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a"))
    seen = []
    for uncertain in (False, True, False, False):
        claim = (await claimed(store))["a"]
        seen.append((claim.tries, claim.uncertain))
        assert await store.postpone(claim, NOW, uncertain=uncertain, detail="")
    assert seen == [(0, False), (1, False), (2, True), (3, True)]


async def test_a_frozen_store_lets_no_change_through_but_tells_people(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, retry("change"), message("tell", "slack:1"), look("ask"))
    claims = await claimed(store)
    await store.append([pressed("freeze")], NOW, frozen=True)
    answers = {name: await store.confirm(claim, NOW, 100) for name, claim in claims.items()}
    assert answers == {"change": Go.FROZEN, "tell": Go.YES, "ask": Go.YES}
    await step(store, lease, 2, frozen=False)
    assert await store.confirm(claims["change"], NOW, 100) is Go.YES
    await step(store, lease, 3, frozen=True)
    assert await store.confirm(claims["change"], NOW, 100) is Go.FROZEN


async def test_an_action_past_its_time_is_expired(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a", not_after=NOW + 5), log("b", not_after=NOW + 5))
    for claim in (await claimed(store)).values():
        assert await store.confirm(claim, NOW + 5, 100) is Go.YES
        assert await store.confirm(claim, NOW + 6, 100) is Go.EXPIRED


async def test_changes_of_one_minute_are_counted_by_all_who_share_the_store(backend: Backend) -> None:
    one, two = await backend.store(), await backend.store()
    await with_actions(one, *(retry(f"r{n}", not_after=NOW + 9 * MINUTE) for n in range(5)), log("l"))
    minute = NOW - NOW % MINUTE
    claims = {c.action.id: c for c in await one.claim("w", NOW, 10 * MINUTE, 10)}
    answers = [await (one, two)[n % 2].confirm(claims[f"r{n}"], minute + n, 3) for n in range(5)]
    assert answers == [Go.YES, Go.YES, Go.YES, Go.RATE, Go.RATE]
    assert await one.confirm(claims["l"], minute, 3) is Go.YES
    assert await two.confirm(claims["r3"], minute + MINUTE - 1, 3) is Go.RATE
    assert await two.confirm(claims["r3"], minute + MINUTE, 3) is Go.YES
    assert await one.confirm(claims["r4"], minute + MINUTE, 1) is Go.RATE
    assert await one.confirm(claims["r4"], minute + 2 * MINUTE, 0) is Go.RATE


async def test_a_deployment_that_uses_up_its_minute_leaves_the_others_theirs(backend: Backend) -> None:
    store = await backend.store()
    away = [msgspec.structs.replace(retry(f"a{n}"), target="away") for n in range(3)]
    await with_actions(store, *away, retry("here"))
    claims = await claimed(store)
    assert [await store.confirm(claims[f"a{n}"], NOW, 2) for n in range(3)] == [Go.YES, Go.YES, Go.RATE]
    assert await store.confirm(claims["here"], NOW, 2) is Go.YES


async def test_what_is_refused_does_not_count(backend: Backend) -> None:
    store = await backend.store()
    await with_actions(store, retry("a", not_after=NOW), retry("b"))
    claims = await claimed(store)
    await store.append([], NOW, frozen=True)
    assert await store.confirm(claims["b"], NOW + 1, 1) is Go.FROZEN
    await store.append([], NOW, frozen=False)
    assert await store.confirm(claims["a"], NOW + 1, 1) is Go.EXPIRED
    assert await store.confirm(claims["b"], NOW + 1, 1) is Go.YES


async def test_dispatchers_side_by_side_share_the_work(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(3)]
    await with_actions(stores[0], *(retry(f"{lane}{n}", str(lane)) for n in range(3) for lane in range(10)))
    for round_number in range(3):
        given = await asyncio.gather(*(store.claim(f"w{n}", NOW, MINUTE, 10) for n, store in enumerate(stores)))
        claims = [claim for some in given for claim in some]
        names = [claim.action.id for claim in claims]
        assert len(set(names)) == len(names), "one action was given to two dispatchers"
        claims += await stores[0].claim("rest", NOW, MINUTE, 100)
        assert sorted(c.action.id for c in claims) == [f"{lane}{round_number}" for lane in range(10)]
        done = await asyncio.gather(*(stores[1].finish(c, pressed(c.action.id), "delivered", "", NOW) for c in claims))
        assert all(done)
    assert len(await whole_journal(stores[2])) == 30


async def test_dispatchers_side_by_side_have_one_batch_of_looks_in_flight(backend: Backend) -> None:
    stores = [await backend.store() for _ in range(3)]
    await with_actions(stores[0], *(look(f"l{n}") for n in range(60)))
    for round_number in range(10):
        limits = (2, 4, 6)
        given = await asyncio.gather(*(s.claim("w", NOW, MINUTE, n) for s, n in zip(stores, limits, strict=True)))
        assert sum(bool(claims) for claims in given) == 1, f"round {round_number}: two batches of one lane in flight"
        for claim in [claim for claims in given for claim in claims]:
            assert await stores[0].finish(claim, None, "delivered", "", NOW)


async def test_what_a_restored_store_still_held_is_to_be_proved_and_never_done(backend: Backend) -> None:
    store = await backend.store()
    held = (retry("waits", not_before=NOW + 9), message("said", "m"), look("l"))
    lease = await with_actions(store, *held, retry("done"))
    done = (await claimed(store))["done"]
    await store.finish(done, None, "delivered", "", NOW)
    again = await backend.store()
    assert await again.restored(RESTORED, NOW, COMMAND) == 2
    entry = (await whole_journal(again))[-1]
    assert entry.input == msgspec.structs.replace(RESTORED, actions=2)
    assert (await again.counts()).frozen
    (row,) = (await again.audit(0, 10)).rows
    assert b'"restored"' in row.body
    claims = await claimed(again, NOW)
    assert {name: await again.confirm(claim, NOW, 100) for name, claim in claims.items()} == {
        "waits": Go.PROVE, "said": Go.PROVE,
    }  # fmt: skip
    assert all(claim.uncertain for claim in claims.values())
    assert await store.postpone(claims["waits"], NOW, uncertain=True, detail="no answer")
    await store.append([], NOW, frozen=False)
    later = NOW + MINUTE // 2
    assert await again.confirm((await claimed(again, later))["waits"], later, 100) is Go.PROVE
    await step(again, lease, 2, actions=[retry("new", "other")])
    assert await again.confirm((await claimed(again, later))["new"], later, 100) is Go.YES


async def test_what_is_to_be_proved_is_neither_cancelled_nor_superseded(backend: Backend) -> None:
    store = await backend.store()
    lease = await with_actions(store, message("edit-1", "m", "r"), retry("a"))
    await store.restored(RESTORED, NOW, COMMAND)
    await step(store, lease, 2, actions=[message("edit-2", "m", "r")], cancels=[("a", "over")])
    states = {row.action.id: row.state for row in await store.actions("", 10)}
    assert states == {"edit-1": "pending", "edit-2": "pending", "a": "pending"}


async def test_what_is_decided_on_entries_before_a_restore_is_to_be_proved_too(backend: Backend) -> None:
    store = await backend.store()
    await store.append([pressed(name) for name in "abc"], NOW)
    lease = await with_actions(store, retry("held"))
    await store.restored(RESTORED, NOW, COMMAND)
    again = await backend.store()
    await step(again, lease, 2, actions=[retry("held"), retry("late", "L"), message("said", "m", "r"), look("l")])
    await step(again, lease, 3, actions=[message("edit", "m", "r")], cancels=[("late", "over")])
    await step(again, lease, 4, actions=[retry("new", "N"), message("shown", "n")])
    found = {}
    for _ in range(2):  # the lane of the messages gives one after the other
        for name, claim in (await claimed(again)).items():
            found[name] = await again.confirm(claim, NOW, 100), claim.uncertain
            await again.finish(claim, None, "unknown", "", NOW)
    old = dict.fromkeys(("held", "late", "said", "edit"), (Go.PROVE, True))
    assert found == old | {"l": (Go.YES, False), "shown": (Go.YES, False), "new": (Go.FROZEN, False)}


async def test_the_latest_restore_counts(backend: Backend) -> None:
    store = await backend.store()
    assert await store.restored(RESTORED, NOW, COMMAND) == 0
    lease = await with_actions(store, message("between", "b"))
    assert await store.restored(RESTORED, NOW, COMMAND) == 1
    await step(store, lease, 1, actions=[message("again", "a")])
    claims = await claimed(store)
    assert {name: await store.confirm(claim, NOW, 100) for name, claim in claims.items()} == {
        "between": Go.PROVE, "again": Go.PROVE,
    }  # fmt: skip


async def test_questions_of_every_kind_are_asked_after_a_restore(backend: Backend) -> None:
    store = await backend.store()
    tail, dry = LogTail("dag", "run", "task", 1), DryRun(Trigger("dag", "run"))
    kinds = [Look("dag", "run"), Sweep(NOW), Survey(), Report(NOW, NOW + 1), tail, dry]
    questions = [action(f"q{number}", params, f"q{number}") for number, params in enumerate(kinds)]
    assert {one.kind for one in questions} == QUESTIONS
    await with_actions(store, *questions)
    assert await store.restored(RESTORED, NOW, COMMAND) == 0
    assert {await store.confirm(claim, NOW, 100) for claim in (await claimed(store)).values()} == {Go.YES}
