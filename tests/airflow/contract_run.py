"""The contract of the Airflow stand-in, run over a real Airflow of any version by a pytest of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = "tests/contract/airflow"
BOUND_SECONDS = 400.0


async def keeps_the_contract(mark: str, failed: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run that suite: its backends are chosen when it is collected. Raises AssertionError unless all of it passes.

    failed: dagruns that it may use up; they fail, or have failed. environment: what it reads beside that.
    """
    command = ["-m", "pytest", "-q", "-m", mark, "-p", "no:cacheprovider", "--durations=5", CONTRACT]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT,
        env=os.environ | environment | {"AIRFLOW_FAILED": " ".join(failed), "PYTEST_ADDOPTS": ""},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(BOUND_SECONDS):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = output.decode(errors="replace")
    assert process.returncode == 0, text[-6000:]
    assert " skipped" not in text, text[-2000:]
