"""A command loads what it needs itself, and its help reads the same as where all are loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from remediator.cli import main, rules
from remediator.cli.main import build

ALL = {**main.COMMANDS, **main.GROUPS}
HEAVY = (
    "httpx",
    "aiohttp",
    "slack_sdk",
    "aiokafka",
    "asyncpg",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "structlog",
)


def helped(arguments: list[str], loaded: list[str]) -> str:
    result = CliRunner().invoke(build(loaded), [*arguments, "--help"], prog_name="remediator")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", sorted({*ALL} - {"demo"}))
def test_a_command_loaded_alone_is_the_same(name: str) -> None:
    assert helped([name], [name]) == helped([name], [])


@pytest.mark.parametrize("name", rules.COMMANDS)
def test_a_command_about_rules_loaded_alone_is_the_same(name: str) -> None:
    arguments = ["rules", name]
    assert helped(arguments, arguments) == helped(arguments, [])


@pytest.mark.parametrize("arguments", [[], ["--help"], ["reprot"], ["--nonsense", "run"]])
def test_help_and_slips_know_all_commands(arguments: list[str]) -> None:
    output = CliRunner().invoke(build(arguments), ["--help"]).output
    assert all(f"  {name} " in output for name in ALL)


def test_a_command_about_files_starts_without_what_only_a_daemon_needs() -> None:
    program = (
        "import sys\n"
        "from remediator.cli.main import build\n"
        "build(['rules', 'lint'])(['rules', 'lint', '--help'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
