"""`remediator demo`: a fleet that fails, healed before your eyes, with nothing else to install.

Owns arguments, signals and what is printed when. The plant does the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live

from remediator.config.settings import HttpSettings
from remediator.demo.broker import BrokerFailed
from remediator.demo.display import View, clock, screen
from remediator.demo.files import CHANGES_TOLD, LOG
from remediator.demo.plant import Plant, planted
from remediator.demo.story import Line, Story
from remediator.demo.summary import Report, report, spoken
from remediator.demo.watch import Tally
from remediator.model.time import HOUR, SECOND, Duration, Instant
from remediator.rules.faults import Faults
from remediator.runtime.app import now
from remediator.store.port import StoreError

SETTLE_S = 15
"""Before the end no dagrun begins any more, so that what is in flight settles."""
ENDLESS: Duration = 4 * HOUR
FRAME_S = 0.25
HEADLESS_S = 60
SHORTEST_S = 20
DEFAULT_PORT = HttpSettings().port


class Options(argparse.Namespace):
    """What the command line says. seconds: 0 for no end."""

    seconds: int
    seed: int
    headless: bool
    json: bool
    keep: Path | None
    port: int | None


def run(args: list[str]) -> int:
    """The command. Returns its exit code: 0 fine, 2 could not be done or not understood."""
    try:
        options = parse(args)
    except SystemExit as end:  # argparse has said what there is to say
        return int(end.code or 0)
    try:
        with _folder(options.keep) as folder:
            return asyncio.run(_demo(options, folder))
    except Faults as faults:
        return _fail(str(faults))
    except (StoreError, BrokerFailed, OSError, TimeoutError) as error:
        return _fail(f"{type(error).__name__}: {error}")


def parse(args: list[str]) -> Options:
    """The options. Raises SystemExit with code 2 for what makes no sense, 0 for --help."""
    parser = argparse.ArgumentParser(
        prog="remediator demo",
        description="A simulated fleet of three Airflows fails in all the usual ways, and remediator, unchanged, heals "
        "what can be healed. Kafka, Slack and PagerDuty are stand-ins on this machine's loopback interface.",
    )
    parser.add_argument("--seconds", type=_whole, default=0, help="how long (0: until Ctrl-C)")
    parser.add_argument("--seed", type=_whole, default=1, help="which dagruns fail, and how (1)")
    parser.add_argument("--headless", action="store_true", help="print the report only; 60 seconds unless said")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object, on the last line")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep configuration, rules, store and log in DIR")
    parser.add_argument("--port", type=_port, help=f"of the daemon's HTTP API ({DEFAULT_PORT} if free)")
    options = parser.parse_args(args, Options())
    if options.headless and not options.seconds:
        options.seconds = HEADLESS_S
    if options.seconds and options.seconds < SHORTEST_S:
        parser.error(f"--seconds: at least {SHORTEST_S}, a failure needs that long to heal")
    return options


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _port(text: str) -> int:
    port = _whole(text)
    if not 0 < port < 65_536:
        raise argparse.ArgumentTypeError(f"{port} is not a port (1 to 65535)")
    return port


def _fail(text: str) -> int:
    print(f"remediator demo: {text}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="remediator-demo-") as name:
            yield Path(name)
        return
    keep.mkdir(parents=True, exist_ok=True)
    if any(keep.iterdir()):
        raise FileExistsError(f"{keep} is not empty: the demo needs a folder of its own")
    yield keep


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
            await _show(plant, console, stop, ends_at)
        else:
            if not options.headless:
                print(f"demo: HTTP API at {plant.daemon.http_url}; Ctrl-C ends it", flush=True)
            await _wait(plant, stop, ends_at)
        counts = await plant.counts()
        ended = now()
    _conclude(report(plant, counts, ended), options)
    return 0


async def _wait(plant: Plant, stop: asyncio.Event, ends_at: Instant | None) -> None:
    """Until the stop, the end, or the daemon's death, which is raised."""
    while not stop.is_set() and (ends_at is None or now() < ends_at):
        _raise_if_dead(plant)
        await _pause(stop, FRAME_S)


async def _show(plant: Plant, console: Console, stop: asyncio.Event, ends_at: Instant | None) -> None:
    """The same, with the screen."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set() and (ends_at is None or now() < ends_at):
            _raise_if_dead(plant)
            view = View(plant, await plant.counts(), await plant.world(), now())
            live.update(screen(view, console.height), refresh=True)
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
        print("\n".join(spoken(found)))
    if options.keep is not None and not options.json:
        print(f"Kept in {options.keep}: configuration, rules, store and {LOG}.")
    if options.json:
        print(json.dumps(found), flush=True)
