"""The questions for previews: answered by the change's own executor, changing nothing, within a bounded time."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from remediator.actions.port import Preview, Previewer
from remediator.actions.preview import PreviewQuestioner
from remediator.model.action import PREVIEWED, Action, DryRun, Guarantee
from remediator.model.inputs import Answer, Previewed
from remediator.model.outcome import Outcome, Refused
from remediator.model.time import MILLISECOND
from tests.contract.previews.preview_targets import ASKED, TARGETS, Target


class Stuck:
    """An executor whose target never answers."""

    guarantee = Guarantee.PROVABLE

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        return Refused("nobody performs here")

    async def preview(self, action: Action) -> Preview:
        await asyncio.Event().wait()
        raise AssertionError("nothing ends this wait")


def question(wanted: Action, action_id: str = "q") -> Action:
    """As the engine asks for it."""
    return msgspec.structs.replace(wanted, id=action_id, params=DryRun(wanted.params))  # type: ignore[arg-type]


async def asked(target: Target, *actions: Action) -> list[Answer]:
    return await PreviewQuestioner({target.wanted.kind: target.executor}).ask(actions, 0)


async def test_every_kind_that_the_engine_asks_for_is_answered() -> None:
    kinds = set()
    for name in ASKED:
        async with TARGETS[name]() as target:
            kinds.add(target.wanted.kind)
    assert kinds >= PREVIEWED


@pytest.mark.parametrize("name", ASKED)
async def test_the_answer_is_the_executors_and_asking_changes_nothing(name: str) -> None:
    async with TARGETS[name]() as target:
        before = target.changes()
        assert isinstance(target.executor, Previewer)
        found = await target.executor.preview(msgspec.structs.replace(target.wanted, id="q"))
        first, second = await asked(target, question(target.wanted), question(target.wanted, "other"))
        assert first == Previewed("q", target.wanted.key, found.text, found.affects, found.refused)
        assert isinstance(second, Previewed)
        assert (second.action_id, second.text) == ("other", found.text)
        assert target.changes() == before


@pytest.mark.parametrize("name", ASKED)
async def test_a_target_that_cannot_be_asked_is_an_answer(name: str) -> None:
    async with TARGETS[name]() as target:
        await asked(target, question(target.wanted))  # its answers fail by the names of the calls that it has had
        target.fails()
        (answer,) = await asked(target, question(target.wanted))
        assert isinstance(answer, Previewed)
        assert (answer.text, answer.affects) == ("", 0)
        assert "503" in answer.error


async def test_nobody_waits_for_a_target_that_never_answers_nor_for_one_that_is_not_there() -> None:
    async with TARGETS[ASKED[0]]() as target:
        wanted = question(target.wanted)
        (late,) = await PreviewQuestioner({target.wanted.kind: Stuck()}, 20 * MILLISECOND).ask([wanted], 0)
        (none,) = await PreviewQuestioner({}).ask([wanted], 0)
        assert late == Previewed("q", wanted.key, error=f"{wanted.target} did not answer within 20ms")
        assert none == Previewed("q", wanted.key, error=f"nothing here performs {target.wanted.kind}")
