"""The contract of `Previewer`, for every kind of change: it tells, changes nothing, and says so if it cannot tell."""

from __future__ import annotations

import msgspec
import pytest

from remediator.actions.port import Preview, Previewer
from remediator.model.action import CHANGES_TARGET, Scale
from remediator.model.outcome import Delivered
from tests.contract.previews.preview_targets import ASKED, TARGETS, Opening, Target, endpoint, kubernetes


async def previewed(target: Target, **params: object) -> Preview:
    assert isinstance(target.executor, Previewer)
    replaced = msgspec.structs.replace(target.wanted.params, **params)
    return await target.executor.preview(msgspec.structs.replace(target.wanted, params=replaced))


async def test_every_kind_of_change_is_here() -> None:
    kinds = set()
    for opened in TARGETS.values():
        async with opened() as target:
            kinds.add(target.wanted.kind)
    assert kinds == CHANGES_TARGET


@pytest.mark.parametrize("opened", TARGETS.values(), ids=TARGETS)
async def test_it_tells_and_changes_nothing_however_often_it_is_asked(opened: Opening) -> None:
    async with opened() as target:
        before = target.changes()
        first = await previewed(target)
        assert first.text
        assert (first.refused, first.error) == ("", "")
        assert await previewed(target) == first
        assert target.changes() == before
        assert isinstance(await target.executor.perform(target.wanted, uncertain=False), Delivered)
        assert target.changes() > before


@pytest.mark.parametrize("name", ASKED)
async def test_a_target_that_cannot_be_asked_is_said(name: str) -> None:
    async with TARGETS[name]() as target:
        await previewed(target)  # its answers fail by the names of the calls that it has had
        target.fails()
        found = await previewed(target)
        assert (found.text, found.affects) == ("", 0)
        assert "503" in found.error


@pytest.mark.parametrize("name", ASKED)
async def test_a_target_that_is_not_configured_is_said(name: str) -> None:
    async with TARGETS[name]() as target:
        target.wanted = msgspec.structs.replace(target.wanted, target="elsewhere")
        found = await previewed(target)
        assert (found.text, found.affects) == ("", 0)
        assert "'elsewhere'" in found.error


async def test_a_scaling_says_from_what_to_what_and_what_forbids_it() -> None:
    async with kubernetes() as target:
        text = "gives Deployment airflow/worker 5 replicas instead of 2"
        assert await previewed(target) == Preview(text)
        assert await previewed(target, only_if=2) == Preview(text)
        refused = "Deployment airflow/worker has 2 replicas, not 3"
        assert await previewed(target, only_if=3) == Preview(text, refused=refused)
        assert await previewed(target, replicas=2) == Preview(
            "changes nothing: Deployment airflow/worker has 2 replicas"
        )
        assert "404" in (await previewed(target, name="gone")).error
        assert isinstance(target.wanted.params, Scale)
        assert "cannot be the name" in (await previewed(target, name="../x")).error


async def test_a_request_shows_what_would_be_sent_where_without_secrets() -> None:
    async with endpoint() as target:
        found = await previewed(target)
        assert found.text.startswith("sends POST to http://127.0.0.1:")
        assert found.text.endswith('/*** (endpoint tickets): {"echo":"***","password":***,"title":"load failed"}')
        assert "hunter2" not in repr(found)
        long = await previewed(target, body={"text": "x" * 300_000})
        assert len(long.text) < 1_200
        assert long.refused == "the body has 300011 bytes, more than the 262144 allowed"
        assert "no endpoint named 'nowhere'" in (await previewed(target, endpoint="nowhere")).error
        assert target.changes() == 0
