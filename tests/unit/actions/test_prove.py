"""Proving what a restored store still held: nothing is sent, and what was done before is found."""

from __future__ import annotations

import pytest

from remediator.actions.airflow.executors import executors
from remediator.actions.http.executor import RequestExecutor
from remediator.actions.log import LogExecutor
from remediator.actions.pagerduty.executor import PagerDutyExecutor
from remediator.actions.port import Prover
from remediator.model.action import Change, LogLine, Page, Pause, Pool, Retry, RetryTarget, Trigger
from remediator.model.incident import Handling, Incident, Phase
from remediator.model.outcome import NOT_DONE, Delivered, Refused, Unknown
from tests.unit.actions.airflow_changes import NOW, RUN, Place, action, failed_job, standing

INCIDENT = Incident("i", 1, "t", "error", "prod", Phase.FIRING, Handling.NONE, NOW, NOW)
WRITES = ("clear", "trigger", "patch_dag", "patch_pool")


async def proved(place: Place, params: Change) -> object:
    wanted = action(params)
    return await executors({"prod": place.client()})[wanted.kind].prove(wanted)


@pytest.mark.parametrize("params", [
    Retry("job", RUN, (RetryTarget("part.load", 1),)), Trigger("points", "remediator__1"), Pause("job"),
    Pool("crm pool", 9),
], ids=lambda params: type(params).__name__)  # fmt: skip
async def test_what_was_not_done_is_not_done_now_and_what_was_done_is_found(params: Change) -> None:
    async with standing() as place:
        failed_job(place.state)
        assert await proved(place, params) == Refused(NOT_DONE)
        assert sum(place.state.calls[name] for name in WRITES) == 0
        assert isinstance(await place.perform(action(params)), Delivered)
        sent = sum(place.state.calls[name] for name in WRITES)
        assert isinstance(await proved(place, params), Delivered)
        assert sum(place.state.calls[name] for name in WRITES) == sent


async def test_an_attempt_that_moved_on_without_our_note_is_unknown() -> None:
    async with standing() as place:
        run = failed_job(place.state)
        run.tasks["part.load", -1].try_number = 2
        assert isinstance(await proved(place, Retry("job", RUN, (RetryTarget("part.load", 1),))), Unknown)


async def test_a_pager_is_not_triggered_and_a_log_line_is_left_for_later() -> None:
    pager = PagerDutyExecutor({})
    assert isinstance(await pager.prove(action(Page(INCIDENT, "trigger", "k"))), Unknown)
    await pager.close()
    lines: list[str] = []
    log = LogExecutor(lambda event, **fields: lines.append(event))
    assert await log.prove(action(LogLine(INCIDENT, "text"))) == Refused(NOT_DONE)
    assert lines == []


async def test_a_request_cannot_be_proved() -> None:
    requests = RequestExecutor({})
    assert not isinstance(requests, Prover)
    await requests.close()
