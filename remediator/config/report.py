"""[report]: when what happened is told, and whom."""

from __future__ import annotations

from collections.abc import Mapping

from remediator.config.names import check_known
from remediator.config.people import EXECUTORS
from remediator.model.policy import ReportTimes, Route
from remediator.rules.periods import near_zone, parse_minutes, zone_of
from remediator.rules.toml import Table, show

MAX_TIMES = 24


def read_report(root: Table, routes: Mapping[str, Route]) -> ReportTimes | None:
    """[report]; None without one."""
    if "report" not in root.data:
        return None
    table = root.table("report")
    table.require("at")
    times = ReportTimes(table.texts("at", max_items=MAX_TIMES), table.text("zone", "UTC"), table.text("to", "default"))
    table.close()
    _check_times(table, times)
    if check_known(table, "to", times.to, routes, "route") and all(
        one.kind == EXECUTORS["pagerduty"] for one in routes[times.to].destinations
    ):
        table.fault("to", f"{show(times.to)}, which only wakes people", "a route with a place where it can be read")
    return times


def _check_times(table: Table, times: ReportTimes) -> None:
    if table.data.get("at") == []:
        table.fault("at", "an empty list", "times of the day, such as '08:00'")
    for text in times.at:
        try:
            parse_minutes(text)
        except ValueError as error:
            table.fault("at", show(text), str(error))
    try:
        zone_of(times.zone)
    except ValueError as error:
        table.fault("zone", show(times.zone), str(error), near_zone(times.zone))
