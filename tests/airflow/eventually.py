"""Waiting for something that announces itself nowhere: asked again until it holds, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 90.0
PAUSE_SECONDS = 0.25


async def eventually(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool] = bool,
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str = "",
    pause: float = PAUSE_SECONDS,
) -> T:
    """The first answer for which `holds`. Raises AssertionError with the last answer after `seconds`."""
    last: list[T] = []
    try:
        async with asyncio.timeout(seconds):
            while not last or not holds(last[0]):
                if last:
                    await asyncio.sleep(pause)
                last[:] = [await ask()]
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}; the last answer: {last}") from None
    return last[0]
