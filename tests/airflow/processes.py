"""The processes of one real Airflow: started with the tests, ended with them however they end.

Owns the processes, the home folder they run in and their logs there. Knows no version of Airflow, nor remediator.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 180.0
STOP_SECONDS = 6.0
_KEPT = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_PR_SET_PDEATHSIG = 1


class AirflowFailed(Exception):  # noqa: N818  (what happened)
    """It did not start; the text ends with what its log says last."""


def venv(variable: str, name: str) -> Path:
    """Where an Airflow is installed: where this environment variable says, or in the cache that make uses."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get(variable) or Path(cache) / "remediator-tests" / name)


def environment(venv: Path, home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """That of its processes. settings: 'SECTION__KEY' -> value."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    kept["PATH"] = f"{venv / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
    fixed = {"AIRFLOW_HOME": str(home), "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", "NO_PROXY": "127.0.0.1"}
    return kept | fixed | {f"AIRFLOW__{name}": value for name, value in settings.items()}


class Processes:
    """Parts of an Airflow by name, each with the arguments of its command. url: of its API."""

    def __init__(
        self, venv: Path, home: Path, url: str, environment: Mapping[str, str], parts: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.home = home
        self.url = url
        self._airflow = str(venv / "bin" / "airflow")
        self._environment = environment
        self._parts = parts
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def once(self, name: str, seconds: float, *arguments: str) -> None:
        """Run a command to its end. Raises AirflowFailed."""
        if self._run(name, *arguments).wait(seconds) != 0:
            raise AirflowFailed(f"airflow {' '.join(arguments[:2])} failed: {self.tail(name)}")

    def revive(self, is_healthy: Callable[[], bool], *names: str) -> None:
        """Start every part that does not run, as whoever runs an Airflow does, and wait for its health.

        names: these parts alone.
        """
        running = self._running
        ended = [name for name in names or self._parts if name not in running or running[name].poll() is not None]
        for name in ended:
            running[name] = self._run(name, *self._parts[name])
        if ended:
            self.until(is_healthy, "healthy")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait. Raises AirflowFailed if a part ends meanwhile, or if it takes too long."""
        until = time.monotonic() + START_SECONDS
        while not holds():
            for name, part in self._running.items():
                if part.poll() is not None:
                    raise AirflowFailed(f"{name} ended with {part.returncode}: {self.tail(name)}")
            if time.monotonic() > until:
                raise AirflowFailed(f"not {what} after {START_SECONDS:g} s: {self.tail('scheduler')}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End every process of it: politely, then by force. Idempotent."""
        parts, self._running = self._running, {}
        for part in parts.values():
            part.terminate()
        until = time.monotonic() + STOP_SECONDS
        for part in parts.values():
            with suppress(subprocess.TimeoutExpired):
                part.wait(max(0.1, until - time.monotonic()))
        for part in parts.values():
            _kill_session(part)

    def kill(self, *names: str) -> None:
        """End these parts and every process of theirs by SIGKILL."""
        for name in names:
            _kill_session(self._running.pop(name))

    def ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any] | None:
        """What the API answers; None if it does not, or refuses."""
        try:
            answer = httpx.request(method, self.url + path, timeout=5, trust_env=False, **arguments)
        except httpx.TransportError:
            return None
        found: dict[str, Any] = answer.json() if answer.is_success else {}
        return found or None

    def tail(self, name: str) -> str:
        """The end of a part's log."""
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")[-2000:]

    def _run(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [self._airflow, *arguments],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )


def _kill_session(part: subprocess.Popen[bytes]) -> None:
    for pid in _session(part.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    part.wait(STOP_SECONDS)


def _session(leader: int) -> Iterator[int]:
    """Every process of the session that this one leads; elsewhere than on Linux the leader alone."""
    if not Path("/proc").exists():
        yield leader
        return
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # "pid (name) state ppid pgrp session …", and a name may hold spaces and brackets
            if int(stat.read_text().rpartition(")")[2].split()[3]) == leader:
                yield int(stat.parent.name)


def _end_with_parent() -> Callable[[], None] | None:
    """Have the kernel end the part with the test run, however that ends; elsewhere than on Linux `stop` has to do."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
