"""A Slack and a PagerDuty that listen on loopback, and actions to send there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.demo.receiver.app import Receiver
from remediator.web.server import Running, serving


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def stand_in(receiver: Receiver) -> AsyncIterator[Running]:
    async with serving(receiver.app()) as running:
        yield running
        receiver.release()
