"""The demo's course: start the plant, show it until the end or Ctrl-C, and report.

Owns signals and what is printed when.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from pathlib import Path

from rich.console import Console
from rich.live import Live

from remediator.demo.broker import BrokerFailed
from remediator.demo.display import View, clock, screen
from remediator.demo.files import CHANGES_TOLD, LOG
from remediator.demo.main import DEFAULT_PORT, Options, fail
from remediator.demo.plant import Plant, planted
from remediator.demo.story import Line, Story
from remediator.demo.summary import Report, report, spoken
from remediator.demo.watch import Tally
from remediator.model.time import HOUR, SECOND, Duration, Instant
from remediator.rules.faults import Faults
from remediator.runtime.clock import wall as now
from remediator.store.port import StoreError

SETTLE_S = 15
"""Before the end no dagrun begins any more, so that what is in flight settles."""
ENDLESS: Duration = 4 * HOUR
FRAME_S = 0.25
DRAIN: Duration = 6 * SECOND


def perform(options: Options, folder: Path) -> int:
    """The whole demo, with its files in `folder`. Returns the exit code."""
    try:
        return asyncio.run(_demo(options, folder))
    except Faults as faults:
        return fail(str(faults))
    except (StoreError, BrokerFailed, OSError) as error:
        return fail(f"{type(error).__name__}: {error}")


def _chosen_port(wanted: int | None) -> int:
    """The wanted port, else the one that `remediator freeze` asks unless told otherwise, else any (0)."""
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            return 0
    return DEFAULT_PORT


async def _demo(options: Options, folder: Path) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    console = Console()
    is_live = console.is_terminal and not options.headless
    story = Story() if is_live or options.headless else Story(_print_step)
    if not options.headless:
        print(f"{CHANGES_TOLD}\ndemo: starting the broker, three stand-in Airflows, Slack and PagerDuty …", flush=True)
    length = (options.seconds - SETTLE_S) * SECOND if options.seconds else ENDLESS
    port = _chosen_port(0 if options.headless and options.port is None else options.port)
    async with planted(folder, story, Tally(), seed=options.seed, length=length, port=port) as plant:
        ends_at = plant.started_at + options.seconds * SECOND if options.seconds else None
        if is_live:
            await _show(plant, console, stop, ends_at, str(options.keep or ""))
        else:
            if not options.headless:
                print(f"demo: HTTP API at {plant.daemon.http_url}; Ctrl-C ends it", flush=True)
            await _wait(plant, stop, ends_at)
        if not stop.is_set():
            await _drain(plant, stop)
        counts = await plant.counts()
        ended = now()
    _conclude(report(plant, counts, ended), options)
    return 0


async def _wait(plant: Plant, stop: asyncio.Event, ends_at: Instant | None) -> None:
    """Until the stop, the end, or the daemon's death, which is raised."""
    while not stop.is_set() and (ends_at is None or now() < ends_at):
        _raise_if_dead(plant)
        await _pause(stop, FRAME_S)


async def _show(plant: Plant, console: Console, stop: asyncio.Event, ends_at: Instant | None, kept: str) -> None:
    """The same, with the screen."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set() and (ends_at is None or now() < ends_at):
            _raise_if_dead(plant)
            view = View(plant, await plant.counts(), await plant.world(), now(), kept)
            live.update(screen(view, console.height), refresh=True)
            await _pause(stop, FRAME_S)


async def _drain(plant: Plant, stop: asyncio.Event) -> None:
    """Let what was emitted arrive, so that the report adds up; not longer than a few seconds."""
    plant.traffic.is_open = False
    until = now() + DRAIN
    while (plant.traffic.under_way or plant.tally.records < plant.traffic.sent) and now() < until:
        await _pause(stop, FRAME_S)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _raise_if_dead(plant: Plant) -> None:
    if plant.daemon_task.done():
        plant.daemon_task.result()
        raise RuntimeError("the daemon ended by itself")


def _print_step(line: Line, step: str, at: Instant) -> None:
    print(f"{clock(at)} {line.place}: {step}", flush=True)


def _conclude(found: Report, options: Options) -> None:
    if not options.json:
        print("\n".join(("demo: ended.", *spoken(found))))
    if options.keep is not None and not options.json:
        print(f"Kept in {options.keep}: configuration, rules, store and {LOG}.")
    if options.json:
        print(json.dumps(found), flush=True)
