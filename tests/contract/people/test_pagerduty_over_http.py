"""The PagerDuty executor against an Events API that listens: repeats are harmless, refusals say why."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from remediator.actions.pagerduty.executor import PagerDutyAccount, PagerDutyExecutor
from remediator.demo.receiver import faults
from remediator.demo.receiver.app import ENQUEUE, Receiver
from remediator.demo.receiver.faults import Fault
from remediator.model.action import Guarantee
from remediator.model.outcome import Delivered, Refused, RetryAfter
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, SECOND
from remediator.web.server import Running
from tests.contract.people.told import OPEN, message, page

KEY = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY12"


@pytest.fixture
async def pagerduty(stand_in: Running) -> AsyncIterator[PagerDutyExecutor]:
    account = PagerDutyAccount(routing_key=Secret(KEY), api_url=stand_in.url, timeout=300 * MILLISECOND)
    executor = PagerDutyExecutor({"team": account})
    yield executor
    await executor.close()


async def test_a_trigger_opens_one_alert(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    assert await pagerduty.perform(page(), uncertain=False) == Delivered(ref="incident-1")
    (event,) = receiver.pagerduty.events
    assert event["routing_key"] == KEY
    assert event["payload"]["severity"] == "error"
    assert event["payload"]["summary"] == "orders / load failed: connection reset [prod/orders/load]"
    assert event["links"] == [{"href": OPEN.log_url, "text": "Airflow log"}]


async def test_a_repeat_wakes_nobody_again(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    receiver.faults.add(ENQUEUE, faults.TIMEOUT_AFTER_ACTING)
    lost = await pagerduty.perform(page(), uncertain=False)
    assert isinstance(lost, RetryAfter)
    assert lost.uncertain
    assert isinstance(await pagerduty.perform(page(), uncertain=True), Delivered)
    assert (receiver.pagerduty.triggers, receiver.pagerduty.pages) == (2, 1)


async def test_a_resolve_closes_it(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    await pagerduty.perform(page(), uncertain=False)
    outcome = await pagerduty.perform(page(event_action="resolve"), uncertain=False)
    assert outcome == Delivered(ref="incident-1")
    assert (receiver.pagerduty.resolves, receiver.pagerduty.open_alerts) == (1, 0)
    assert "payload" not in receiver.pagerduty.events[1]


async def test_an_invalid_event_is_refused_with_its_errors(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    receiver.pagerduty.routing_key = "another"
    outcome = await pagerduty.perform(page(), uncertain=False)
    assert outcome == Refused("PagerDuty said HTTP 400: 'routing_key' is missing or not valid")
    assert KEY not in repr(outcome)


async def test_too_many_events_wait(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    receiver.faults.add(ENQUEUE, Fault(status=429, retry_after=11))
    outcome = await pagerduty.perform(page(), uncertain=False)
    assert isinstance(outcome, RetryAfter)
    assert outcome.after == 11 * SECOND
    receiver.faults.add(ENQUEUE, Fault(status=429))
    outcome = await pagerduty.perform(page(), uncertain=False)
    assert isinstance(outcome, RetryAfter)
    assert outcome.after == 30 * SECOND


@pytest.mark.parametrize("fault", [faults.BAD_GATEWAY, faults.TIMEOUT, Fault(status=500)])
async def test_its_own_trouble_is_tried_again(pagerduty: PagerDutyExecutor, receiver: Receiver, fault: Fault) -> None:
    receiver.faults.add(ENQUEUE, fault)
    assert isinstance(await pagerduty.perform(page(), uncertain=False), RetryAfter)
    assert receiver.pagerduty.pages == 0


async def test_a_pagerduty_that_is_away_is_tried_again() -> None:
    account = PagerDutyAccount(routing_key=Secret(KEY), api_url="http://127.0.0.1:1")
    executor = PagerDutyExecutor({"team": account})
    assert isinstance(await executor.perform(page(), uncertain=False), RetryAfter)
    await executor.close()


async def test_hostile_text_keeps_pagerdutys_limits(pagerduty: PagerDutyExecutor, receiver: Receiver) -> None:
    long = "x\x00<y>" * 5_000
    incident = msgspec.structs.replace(
        OPEN, title=long, error=long, task_id=long, severity="odd", dagruns=(long,) * 9, log_url="javascript:x"
    )
    assert isinstance(await pagerduty.perform(page(incident, key="k" * 400), uncertain=False), Delivered)
    assert "links" not in receiver.pagerduty.events[0]


async def test_an_unknown_receiver_is_refused_and_a_wrong_kind_is_a_bug(pagerduty: PagerDutyExecutor) -> None:
    assert isinstance(await pagerduty.perform(page(target="nobody"), uncertain=False), Refused)
    with pytest.raises(TypeError):
        await pagerduty.perform(message(), uncertain=False)


def test_the_guarantee_is_keyed() -> None:
    assert PagerDutyExecutor.guarantee is Guarantee.KEYED
