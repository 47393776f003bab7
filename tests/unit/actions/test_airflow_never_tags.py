"""A change of another DAG than the one that failed: the tags that forbid it are read right before it is made."""

from __future__ import annotations

import dataclasses

import pytest

from remediator.actions.airflow.scope import never_tagged
from remediator.demo.fleet.faults import Kind
from remediator.model.action import Backfill, Change, Reprocess, Rerun
from remediator.model.outcome import Delivered, Refused
from remediator.model.time import DAY
from tests.unit.actions.airflow_changes import FIRST, Place, action, failed_job, standing

TAGS = ("remediator:never",)
CHANGES = pytest.mark.parametrize("kind", ["rerun", "reprocess", "backfill"])


def wanted(place: Place, kind: str) -> Change:
    if kind == "rerun":
        return Rerun("job", failed_job(place.state).run_id, never_tags=TAGS)
    if kind == "reprocess":
        return Reprocess("points", FIRST, FIRST + DAY, never_tags=TAGS)
    return Backfill("points", FIRST, FIRST + DAY, never_tags=TAGS)


def tag(place: Place, *tags: str) -> None:
    for name, spec in place.state.dags.items():
        place.state.dags[name] = dataclasses.replace(spec, tags=tags)


@CHANGES
async def test_a_dag_that_carries_the_tag_is_left_alone(kind: str) -> None:
    async with standing() as place:
        tag(place, "crm", *TAGS)
        change = action(wanted(place, kind))
        refused = await place.perform(change)
        assert isinstance(refused, Refused)
        assert refused.reason.endswith("carries the tag 'remediator:never'")
        shown = await place.preview(change)
        assert "carries the tag 'remediator:never'" in shown.refused + shown.error
        assert (place.state.clears, place.state.backfills) == (0, {})


@CHANGES
async def test_a_dag_without_it_is_changed(kind: str) -> None:
    async with standing() as place:
        tag(place, "crm")
        assert isinstance(await place.perform(action(wanted(place, kind))), Delivered)


@CHANGES
async def test_who_may_not_read_the_dag_may_not_change_it(kind: str) -> None:
    async with standing() as place:
        place.fails_with(Kind.STATUS, "dag", status=403, times=9)
        assert isinstance(await place.perform(action(wanted(place, kind))), Refused)
        assert place.state.clears == 0


def test_a_dag_that_nobody_knows() -> None:
    assert never_tagged(None, ()) is None
    assert isinstance(never_tagged(None, TAGS), Refused)
