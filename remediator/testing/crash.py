"""`python -m remediator.testing.crash run --config …`: the daemon, killed by SIGKILL at a chosen point.

The environment names it: REMEDIATOR_CRASH_AT=intent:before | intent:after | call:after | outcome:before, and, if
REMEDIATOR_CRASH_FLAG names a file, only as long as that file is not there (it is made right before the end).
The points surround one retry: the commit that holds its intent, the call, and the commit of its outcome.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from remediator.actions.port import Executor
from remediator.model.action import Action
from remediator.model.outcome import Outcome
from remediator.runtime.app import Seams, run
from remediator.runtime.wiring import Outside
from remediator.store.port import Claim, Lease, StepCommit, Store

RETRY = "airflow.retry"
POINTS = ("intent:before", "intent:after", "call:after", "outcome:before")


class Crash:
    """Ends the process where it is told to."""

    def __init__(self, point: str, flag: str) -> None:
        if point and point not in POINTS:
            raise SystemExit(f"REMEDIATOR_CRASH_AT is {point!r}; allowed: {', '.join(POINTS)}")
        self._point = point
        self._flag = Path(flag) if flag else None

    def at(self, point: str) -> None:
        """SIGKILL, if this is the point and it has not happened yet."""
        if point != self._point or (self._flag is not None and self._flag.exists()):
            return
        if self._flag is not None:
            self._flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore:
    """A store that crashes around the commits of a retry's intent and outcome."""

    def __init__(self, inner: Store, crash: Crash) -> None:
        self._inner = inner
        self._crash = crash

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        intent = any(action.kind == RETRY for action in commit.actions)
        if intent:
            self._crash.at("intent:before")
        await self._inner.commit_step(lease, commit)
        if intent:
            self._crash.at("intent:after")

    async def finish(self, claim: Claim, *rest: Any) -> bool:
        if claim.action.kind == RETRY:
            self._crash.at("outcome:before")
        return await self._inner.finish(claim, *rest)


class CrashingExecutor:
    """An executor that crashes when the call has been answered."""

    def __init__(self, inner: Executor, crash: Crash) -> None:
        self.guarantee = inner.guarantee
        self._inner = inner
        self._crash = crash

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        outcome = await self._inner.perform(action, uncertain=uncertain)
        self._crash.at("call:after")
        return outcome


def seams(crash: Crash) -> Seams:
    """The daemon's seams with the crash in them."""

    def outside(inner: Outside) -> Outside:
        executors = {**inner.executors, RETRY: CrashingExecutor(inner.executors[RETRY], crash)}
        return msgspec.structs.replace(inner, executors=executors)

    return Seams(store=lambda store: CrashingStore(store, crash), outside=outside)


def main() -> None:
    """Run the daemon of `--config FILE` until the crash."""
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    environ = os.environ
    run(config, seams(Crash(environ.get("REMEDIATOR_CRASH_AT", ""), environ.get("REMEDIATOR_CRASH_FLAG", ""))))


if __name__ == "__main__":
    main()
