"""Calls of a stand-in that go wrong as they are told to: bad answers, calls that act and are never answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import JSONResponse, Response

from remediator.demo.receiver.faults import Fault, FaultPlan

HANG_S = 60.0
"""No caller waits this long; the connection is dropped then."""


class Misbehaving:
    """The faults that wait for the next calls, and how many calls came, by name.

    `release` ends every call that hangs, so that a server can stop at once.
    """

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self.calls: dict[str, int] = {}
        self._released = asyncio.Event()

    def release(self) -> None:
        """End every call that hangs."""
        self._released.set()

    async def answer(self, name: str, act: Callable[[], Response]) -> Response:
        """What `act` answers, unless a fault waits for this call."""
        self.calls[name] = self.calls.get(name, 0) + 1
        fault = self.faults.take(name)
        if fault is None:
            return act()
        if fault.act:
            act()
        if fault.hang:
            await self._hang()
        return _bad(fault)

    async def _hang(self) -> None:
        try:
            await asyncio.wait_for(self._released.wait(), HANG_S)
        except TimeoutError:
            return


def _bad(fault: Fault) -> Response:
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    status = 504 if fault.hang else fault.status
    return JSONResponse({"message": fault.error}, status_code=status, headers=headers)
