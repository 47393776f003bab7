"""Tables and files of a benchmark run. States the machine without naming it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import aiokafka

REPORTS = Path(__file__).resolve().parent / "reports"


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "loop": _loop(),
        "aiokafka": aiokafka.__version__,
    }


def _loop() -> str:
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """'median (least–greatest)'."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parser_of(description: str, quick: str) -> argparse.ArgumentParser:
    """The options that every benchmark has. quick: what --quick leaves out."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--report", action="store_true", help="keep the report in benchmarks/reports")
    return parser


def finish(name: str, text: str, figures: dict[str, Any], *, keep: bool) -> None:
    """Print the report, and keep it if asked to."""
    print(text)
    if keep:
        save(name, text, figures)


def save(name: str, text: str, figures: dict[str, Any]) -> list[Path]:
    """Keep a run: '<date>-<name>.md' to read, '.json' to compare."""
    REPORTS.mkdir(exist_ok=True)
    stem = f"{datetime.now(UTC).date().isoformat()}-{name}"
    paths = [REPORTS / f"{stem}.md", REPORTS / f"{stem}.json"]
    paths[0].write_text(text + "\n", encoding="utf-8")
    paths[1].write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return paths


def settings_line(given: dict[str, Any]) -> str:
    """'cores 2, python 3.11.7, …'."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in given.items())
