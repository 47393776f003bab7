"""Ends a coroutine at its n-th await, as a killed process ends: what it had sent until then is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 500
"""Awaits of one action: more than that, and something waits for ever."""


@coroutine
def _counted(inner: Coroutine[Any, Any, T], last: int, kill: Callable[[], object]) -> Generator[Any, Any, T]:
    """Runs `inner`, and kills it when it begins its await number `last`."""
    awaits = 0
    step: Callable[[], Any] = partial(inner.send, None)
    while True:
        try:
            waiting = step()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        awaits += 1
        if awaits == last:
            kill()
        try:
            yield waiting
            step = partial(inner.send, None)
        except BaseException as thrown:  # whatever the loop throws is for `inner`
            step = partial(inner.throw, thrown)


async def _killed(inner: Coroutine[Any, Any, T], last: int) -> T | None:
    """Its result, None if it was killed."""

    async def run() -> T:
        return await _counted(inner, last, lambda: task.cancel())

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


async def killed_at_each_await(
    make: Callable[[], Coroutine[Any, Any, T]], then: Callable[[T | None], Awaitable[None]]
) -> int:
    """Run it again and again, killed one await later each time, and `then` after each; None: it was killed.

    Returns how many times it was killed before it lived.
    """
    for last in range(1, MOST):
        done = await _killed(make(), last)
        await then(done)
        if done is not None:
            return last - 1
    raise AssertionError(f"not done after {MOST} awaits")
