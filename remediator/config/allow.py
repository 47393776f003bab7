"""[[allow]]: which rules may change something at all, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remediator.model.globs import covers
from remediator.model.policy import Allow
from remediator.rules.changes import CHANGES
from remediator.rules.toml import Table, listing, near, show

MAX_ALLOWS = 1_000
MAX_GLOBS = 1_000


def read_allows(root: Table, deployments: Sequence[str]) -> tuple[Allow, ...]:
    """Every [[allow]]. deployments: those that are configured; a glob that fits none of them is a fault."""
    tables = root.tables("allow")
    if len(tables) > MAX_ALLOWS:
        root.fault("allow", f"{len(tables):,} tables", f"at most {MAX_ALLOWS:,}")
    return tuple(_read_allow(table, deployments) for table in tables[:MAX_ALLOWS])


def _read_allow(table: Table, deployments: Sequence[str]) -> Allow:
    allow = Allow(
        files=_globs(table, "files"),
        owners=_globs(table, "owners"),
        deployments=_globs(table, "deployments"),
        actions=_globs(table, "actions"),
    )
    table.close()
    if not table.data:
        table.fault("", "no key", "files, owners, deployments, actions: what may act; without [[allow]] all may")
    check_fitting(table, "deployments", allow.deployments, deployments, "deployment")
    check_fitting(table, "actions", allow.actions, tuple(CHANGES), "changing action")
    return allow


def _globs(table: Table, key: str) -> tuple[str, ...]:
    globs = table.texts(key, ("*",), max_items=MAX_GLOBS)
    if table.data.get(key) == []:
        table.fault(key, "an empty list", "globs, or no such key for all")
    return globs


def check_fitting(table: Table, key: str, globs: Iterable[str], known: Sequence[str], kind: str) -> None:
    """Fault for each glob that fits none of the names; `*` fits even if there is none."""
    for glob in globs:
        if glob == "*" or any(covers(glob, name) for name in known):
            continue
        allowed = listing(known) if known else f"the name of a {kind}, and none is defined"
        table.fault(key, f"{show(glob)}, which fits no {kind}", allowed, near(glob, known))
