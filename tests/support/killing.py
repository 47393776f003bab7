"""Kills a coroutine at its n-th await, as a process is killed: nothing of it goes on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 500
"""Awaits of one action: more than that, and something waits for ever."""


class Killed(Exception):  # noqa: N818  (it is what happened)
    """The coroutine did not live to its end."""


@coroutine
def _until(inner: Coroutine[Any, Any, T], last: int) -> Generator[Any, Any, T]:
    """Runs `inner`; its await number `last` ends with its death instead of its result."""
    awaits, dead = 0, False
    while True:
        try:
            waiting = inner.throw(asyncio.CancelledError()) if awaits == last and not dead else inner.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            raise Killed from None
        dead = dead or awaits == last
        awaits += 1
        yield waiting


async def killed_at_each_await(
    make: Callable[[], Coroutine[Any, Any, T]], then: Callable[[T | None], Awaitable[None]]
) -> int:
    """Run it again and again, killed one await later each time, and `then` after each; None: it was killed.

    Returns how many times it was killed before it lived.
    """
    for last in range(1, MOST):
        try:
            done: T | None = await _until(make(), last)
        except Killed:
            await then(None)
            continue
        await then(done)
        return last - 1
    raise AssertionError(f"not done after {MOST} awaits")
