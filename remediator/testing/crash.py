"""`python -m remediator.testing.crash run --config …`: the daemon, killed by SIGKILL at chosen points of its actions.

REMEDIATOR_CRASH_AT names them, separated by commas: '<label of an action> <moment>' (see `label_of` and MOMENTS); a
moment alone is one of a retry. If REMEDIATOR_CRASH_DIR names a folder, each point is used once, on an action of its
own, and the daemon begins again after each; the folder's files 'kills' and 'calls' tell which actions and requests.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from remediator.actions.port import Executor
from remediator.model.action import Action, Message, Page, Pause, Request
from remediator.model.outcome import Outcome
from remediator.runtime.app import Seams, run
from remediator.runtime.wiring import Outside
from remediator.store.port import Claim, Lease, StepCommit, Store
from remediator.testing.calls import Calls, listen

RETRY = "airflow.retry"
MOMENTS = ("intent:before", "intent:after", "call:before", "call:after", "outcome:before", "outcome:after")
"""Around the commit of an action's intent, what its executor does, and the commit of its outcome. Besides, for each of
its requests, counted from 1: '1:sent', a moment after it was sent, and '1:answered'."""
_REQUEST = re.compile(r"[1-9][0-9]*:(sent|answered)")


def label_of(action: Action) -> str:
    """Its kind, and which of the things that this kind does it is."""
    match action.params:
        case Message(ref=ref):
            return f"{action.kind} {'edit' if ref else 'post'}"
        case Page(event_action=what):
            return f"{action.kind} {what}"
        case Request(endpoint=endpoint):
            return f"{action.kind} {endpoint}"
        case Pause(paused=False, why=why) if why != "undone":
            return "airflow.resume"
    return f"{action.kind} undo" if getattr(action.params, "why", "") == "undone" else action.kind


class Crash:
    """Ends the process where it is told to. folder: where it is kept what happened, None to do it at every passing."""

    def __init__(self, points: Sequence[str], folder: Path | None = None) -> None:
        named = [point if " " in point else f"{RETRY} {point}" for point in points]
        for point in named:
            moment = point.rpartition(" ")[2]
            if moment not in MOMENTS and not _REQUEST.fullmatch(moment):
                raise SystemExit(
                    f"REMEDIATOR_CRASH_AT has {point!r}; allowed: {', '.join(MOMENTS)}, 1:sent, 1:answered"
                )
        self.folder = folder
        happened = self._happened()
        self._points = set(named) - happened.keys()
        self._killed = set(happened.values())

    def at(self, action: Action, moment: str, kill: Callable[[], None] | None = None) -> None:
        """SIGKILL, if this is a point that has not been used, and this an action that was not killed before.

        kill: does it instead, a moment later.
        """
        point = f"{label_of(action)} {moment}"
        if point not in self._points or action.id in self._killed:
            return
        self._points.clear()
        self._note("kills", point, action.id)
        (kill or end)()

    def called(self, action: Action, number: int, request: str) -> None:
        """One of its requests is about to be sent."""
        self._note("calls", label_of(action), action.id, str(number), request)

    def _note(self, file: str, *parts: str) -> None:
        if self.folder is not None:
            with (self.folder / file).open("a") as out:
                out.write("\t".join(parts) + "\n")

    def _happened(self) -> dict[str, str]:
        """Point -> the action that was killed there."""
        file = None if self.folder is None else self.folder / "kills"
        if file is None or not file.exists():
            return {}
        return dict(line.split("\t") for line in file.read_text().splitlines())


def end() -> None:
    """As the kernel, or an operator who has no patience, ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore:
    """A store that crashes around the commits of an action's intent and outcome.

    is_serial: it gives one action at a time away, so that a crash leaves no other one in doubt.
    """

    def __init__(self, inner: Store, crash: Crash, *, is_serial: bool) -> None:
        self._inner = inner
        self._crash = crash
        self._is_serial = is_serial
        self._in_hand: dict[str, Claim] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit_step(self, lease: Lease, commit: StepCommit) -> None:
        for action in commit.actions:
            self._crash.at(action, "intent:before")
        await self._inner.commit_step(lease, commit)
        for action in commit.actions:
            self._crash.at(action, "intent:after")

    async def claim(self, worker: str, now: int, duration: int, limit: int) -> list[Claim]:
        if not self._is_serial:
            return await self._inner.claim(worker, now, duration, limit)
        if any(claim.until > now for claim in self._in_hand.values()):
            return []
        claims = await self._inner.claim(worker, now, duration, 1)
        self._in_hand = {claim.token: claim for claim in claims}
        return claims

    async def postpone(self, claim: Claim, *rest: Any, **more: Any) -> bool:
        self._in_hand.pop(claim.token, None)
        return await self._inner.postpone(claim, *rest, **more)

    async def finish(self, claim: Claim, *rest: Any) -> bool:
        self._crash.at(claim.action, "outcome:before")
        finished = await self._inner.finish(claim, *rest)
        self._in_hand.pop(claim.token, None)
        self._crash.at(claim.action, "outcome:after")
        return finished


class CrashingExecutor:
    """An executor that crashes before, in and after what it does."""

    def __init__(self, inner: Executor, crash: Crash, calls: Calls) -> None:
        self.guarantee = inner.guarantee
        self._inner = inner
        self._crash = crash
        self._calls = calls

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        self._crash.at(action, "call:before")
        with self._calls.of(action):
            outcome = await self._inner.perform(action, uncertain=uncertain)
        self._crash.at(action, "call:after")
        return outcome


def seams(crash: Crash) -> Seams:
    """The daemon's seams with the crash in them."""
    calls = Calls(crash)
    listen(calls)

    def outside(inner: Outside) -> Outside:
        executors = {kind: CrashingExecutor(one, crash, calls) for kind, one in inner.executors.items()}
        return msgspec.structs.replace(inner, executors=executors)

    is_serial = crash.folder is not None
    return Seams(store=lambda store: CrashingStore(store, crash, is_serial=is_serial), outside=outside)


def lives(config: Path, points: Sequence[str], folder: Path) -> int:
    """One process after the other until one ends by itself: its exit code. SIGTERM goes to the one that runs."""
    while True:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            run(config, seams(Crash(points, folder)))
            return 0
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))  # noqa: B023  (set anew for each)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            return code


def main() -> None:
    """Run the daemon of `--config FILE` until the crash, or through all of them."""
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    points = [point for point in os.environ.get("REMEDIATOR_CRASH_AT", "").split(",") if point]
    folder = os.environ.get("REMEDIATOR_CRASH_DIR", "")
    if folder:
        sys.exit(lives(config, points, Path(folder)))
    run(config, seams(Crash(points)))


if __name__ == "__main__":
    main()
