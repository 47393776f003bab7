"""The log as a channel."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.log import LIMIT, LogExecutor
from remediator.model.action import Guarantee
from remediator.model.outcome import Delivered
from tests.contract.people.told import log_line, page


async def test_one_bounded_line_with_the_incident() -> None:
    lines: list[tuple[str, dict[str, Any]]] = []
    executor = LogExecutor(lambda event, **fields: lines.append((event, fields)))
    assert await executor.perform(log_line("x" * 10_000), uncertain=True) == Delivered()
    ((event, fields),) = lines
    assert event == "incident.told"
    assert fields["text"] == "x" * LIMIT
    assert fields["dag_id"] == "orders"
    assert executor.guarantee is Guarantee.AT_LEAST_ONCE


async def test_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        await LogExecutor(print).perform(page(), uncertain=False)
