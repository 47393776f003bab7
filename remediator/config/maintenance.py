"""[[maintenance]]: when nothing may be changed, and where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.config.allow import check_fitting
from remediator.model.policy import Maintenance
from remediator.model.time import Instant, parse_instant
from remediator.rules.toml import Table, show

MAX_WINDOWS = 1_000
MAX_GLOBS = 1_000
_YEARS = range(1970, 3000)
_INSTANT = "an instant with an offset, such as 2026-11-01T22:00:00+01:00"


def read_maintenance(root: Table, deployments: Sequence[str]) -> tuple[Maintenance, ...]:
    """Every [[maintenance]]. deployments: those that are configured; a glob that fits none of them is a fault."""
    tables = root.tables("maintenance")
    if len(tables) > MAX_WINDOWS:
        root.fault("maintenance", f"{len(tables):,} tables", f"at most {MAX_WINDOWS:,}")
    return tuple(_read_window(table, deployments) for table in tables[:MAX_WINDOWS])


def _read_window(table: Table, known: Sequence[str]) -> Maintenance:
    table.require("deployments", "begin", "end")
    window = Maintenance(
        deployments=table.texts("deployments", max_items=MAX_GLOBS),
        begin=_instant(table, "begin"),
        end=_instant(table, "end"),
        reason=table.text("reason", max_length=500),
    )
    table.close()
    if table.data.get("deployments") == []:
        table.fault("deployments", "an empty list", "globs over the names of deployments")
    check_fitting(table, "deployments", window.deployments, known, "deployment")
    if window.begin and window.end and window.end <= window.begin:
        table.fault("end", f"{show(table.data['end'])}, which is not after begin", "an instant after begin")
    return window


def _instant(table: Table, key: str) -> Instant:
    """TOML's own instant or a text in ISO 8601, with an offset; 0 if it is absent or faulty."""
    value = table.raw(key)
    if value is None:
        return 0
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(at, datetime) and at.tzinfo is not None and at.year in _YEARS:
            return parse_instant(at.isoformat())
    except ValueError:
        pass
    table.fault(key, show(value), _INSTANT)
    return 0
