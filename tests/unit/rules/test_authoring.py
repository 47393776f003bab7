"""docs/rules-authoring.md can be followed: its commands run as they stand, and say what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from remediator.cli.main import build

ROOT = Path(__file__).parents[3]
AUTHORING = (ROOT / "docs" / "rules-authoring.md").read_text(encoding="utf-8")
WITHOUT_DAEMON, WITH_DAEMON = AUTHORING.split("## 7. ")
FOUND = 1
"""Exit code of `unmatched` if there are any."""


def commands(text: str) -> list[str]:
    """What follows `$ ` in its console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_way_of_a_rule_can_be_gone_without_a_daemon(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    for name in ("tests", "config.example.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "my-rules").mkdir()
    rule, cases = re.findall(r"```toml\n(.*?)```", WITHOUT_DAEMON, re.DOTALL)
    (tmp_path / "my-rules" / "checksum-mismatch.toml").write_text(rule)
    (tmp_path / "my-rules" / "checksum-mismatch.test.toml").write_text(cases)
    said = {command: run(command, tmp_path) for command in commands(WITHOUT_DAEMON)}
    assert len(said) >= 8
    for shown in re.findall(r"^(?:\+|-|[0-9a-f]{16}|    yes) .*", AUTHORING, re.MULTILINE):
        assert any(shown.split() == line.split() for text in said.values() for line in text.splitlines()), shown


def run(command: str, folder: Path) -> str:
    """A shell command of the page, in a folder that looks like a clone."""
    shell = re.sub(r"(^|\| )remediator ", rf"\1{sys.executable} -m remediator ", command)
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    done = subprocess.run(["sh", "-c", shell], cwd=folder, env=path, capture_output=True, text=True, timeout=60)
    assert done.returncode == (FOUND if " unmatched " in command else 0), done.stdout + done.stderr
    return done.stdout


def test_the_commands_that_need_a_daemon_exist() -> None:
    words = [command.split() for command in commands(WITH_DAEMON) if command.startswith("remediator ")]
    assert {line[1] for line in words} == {"demo", "status", "incidents"}
    for line in words:
        usage = CliRunner(env={"COLUMNS": "200"}).invoke(build(), [line[1], "--help"]).output
        assert all(word in usage for word in line if word.startswith("--"))
