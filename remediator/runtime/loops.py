"""The loops around the parts: when each runs again. Waits on wake-ups with a bound; holds no decision.

A loop ends when `stopping` is set. What a loop does not expect ends the process: a half-dead daemon lies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from remediator.runtime.beats import LONG_CALL, Beat, Beats, unwatched
from remediator.runtime.controller import Controller
from remediator.runtime.dispatcher import Dispatcher, Job
from remediator.runtime.matcher import Matcher
from remediator.store.port import StoreError

CONTROLLER_POLL_S = 0.25
STORE_RETRY_S = 1.0
CLAIM_LIMIT = 100
DRAIN_S = 6.0
"""How long actions in flight may go on when the daemon stops; what is cut off is proven by the next claim."""

Report = Callable[[str, StoreError], None]


class Wakes:
    """Who wakes whom inside one process: shortens waits, carries no meaning."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.journal = asyncio.Event()
        self.outbox = asyncio.Event()

    def stop(self) -> None:
        """Ask every loop to end."""
        self.stopping.set()
        self.journal.set()
        self.outbox.set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the stop."""
        await wait_for(self.stopping, seconds)


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Until the event or the time, whichever comes first."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def match(matcher: Matcher, wakes: Wakes, report: Report, beat: Beat = unwatched) -> None:
    """Poll and commit until the stop. The source bounds the wait for records."""
    while not wakes.stopping.is_set():
        beat()
        try:
            await matcher.run_once()
        except StoreError as error:
            report("matcher", error)
            await wakes.pause(STORE_RETRY_S)
        wakes.journal.set()


async def decide(controller: Controller, wakes: Wakes, report: Report, beat: Beat = unwatched) -> None:
    """Decide until the stop, then give the lease up."""
    while not wakes.stopping.is_set():
        beat()
        wakes.journal.clear()
        try:
            worked = await controller.run_once()
        except StoreError as error:
            report("controller", error)
            await wakes.pause(STORE_RETRY_S)
            continue
        if worked:
            wakes.outbox.set()
        else:
            await wait_for(wakes.journal, CONTROLLER_POLL_S)
    try:
        await controller.resign()
    except StoreError as error:
        report("controller", error)  # the lease runs out by itself


async def dispatch(
    dispatcher: Dispatcher, wakes: Wakes, report: Report, concurrency: int, poll_s: float, beats: Beats
) -> None:
    """Claim and perform until the stop, then let what is in flight end."""
    beat = beats.part("dispatcher")
    room = asyncio.Semaphore(concurrency)
    running: set[asyncio.Task[None]] = set()
    while not wakes.stopping.is_set():
        beat()
        _reap(running)
        wakes.outbox.clear()
        try:
            jobs = await dispatcher.claim(CLAIM_LIMIT) if len(running) < CLAIM_LIMIT else []
        except StoreError as error:
            report("dispatcher", error)
            await wakes.pause(STORE_RETRY_S)
            continue
        running.update(asyncio.create_task(_work(dispatcher, job, room, wakes, report, beats)) for job in jobs)
        if not jobs:
            await wait_for(wakes.outbox, poll_s)
    await _drain(running)


async def _work(
    dispatcher: Dispatcher, job: Job, room: asyncio.Semaphore, wakes: Wakes, report: Report, beats: Beats
) -> None:
    async with room:
        with beats.during(f"dispatcher: {job.kind}", max(LONG_CALL, 2 * dispatcher.claim_duration)):
            try:
                await dispatcher.work(job)
            except StoreError as error:
                report("dispatcher", error)  # the claim runs out, and whoever gets it next looks first
    wakes.journal.set()
    wakes.outbox.set()


def _reap(running: set[asyncio.Task[None]]) -> None:
    """Forget what has ended; a bug in one is a bug of the daemon."""
    for task in [task for task in running if task.done()]:
        running.discard(task)
        task.result()


async def _drain(running: set[asyncio.Task[None]]) -> None:
    if running:
        _, late = await asyncio.wait(running, timeout=DRAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
