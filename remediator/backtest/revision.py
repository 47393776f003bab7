"""Rules as they were: a file or folder out of a git revision, laid into a temporary folder.

Owns the calls of git. Reads the repository only.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

TIMEOUT_S = 60.0
ERROR_CHARS = 300


class NoRevision(Exception):  # noqa: N818  (what was asked for is not there)
    """The rules of that revision cannot be had; the text says why."""


def rules_of_revision(rules: Path, revision: str, into: Path) -> Path:
    """What the path held in that revision of the repository in which it lies, below `into`. Raises NoRevision."""
    if revision.startswith("-"):
        raise NoRevision(f"{revision!r} is no revision")
    here = rules.resolve()
    folder = here if here.is_dir() else here.parent
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip()).resolve()
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", what=(
        f"{revision!r} is neither a path nor a revision of the repository at {top}"
    )).decode().strip()  # fmt: skip
    place = here.relative_to(top)
    packed = _git(top, "archive", "--format=tar", commit, "--", str(place), what=f"{place} is not in {revision!r}")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(into, filter="data")
    return into / place


def _git(folder: Path, *arguments: str, what: str = "") -> bytes:
    try:
        done = subprocess.run(  # noqa: S603  (a fixed program, no shell)
            ["git", "-C", str(folder), *arguments], capture_output=True, timeout=TIMEOUT_S, check=False  # noqa: S607
        )  # fmt: skip
    except FileNotFoundError:
        raise NoRevision("a revision needs git, and there is none on this machine: give a path") from None
    except subprocess.TimeoutExpired:
        raise NoRevision(f"git did not answer within {TIMEOUT_S:.0f} s") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[:ERROR_CHARS]
        raise NoRevision(what or f"no git repository there: {said}")
    return done.stdout
