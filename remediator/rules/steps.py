"""Steps of a rule: `do`, `otherwise` and `on_resolve`.

Owns what each list may do and which rules may change something. The keys of changes are in changes.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from remediator.model.time import SECOND
from remediator.rules.change_keys import read_change
from remediator.rules.changes import CHANGES, LONGEST_WAIT, RETRY
from remediator.rules.detection import STATEFUL
from remediator.rules.scene import STEP_FIELDS, step_field
from remediator.rules.selection import Defines
from remediator.rules.spec import Step
from remediator.rules.texts import read_template
from remediator.rules.toml import Table, listing, near, show

FINAL = "task.failed_finally"
MAX_STEPS = 10
TELLING = ("page", "notify", "log")
ACTIONS: dict[str, tuple[str, ...]] = {
    "do": (*CHANGES, *TELLING),
    "otherwise": TELLING,
    "on_resolve": ("notify", "log"),
}
"""What each list of steps may do."""


class StepReader:
    """Reads the steps of one rule."""

    def __init__(
        self,
        rule: Table,
        routes: Collection[str] | None,
        endpoints: Collection[str] | None,
        defines: Defines,
        on: tuple[str, ...],
    ) -> None:
        self._rule = rule
        self._endpoints = endpoints
        self._routes = routes
        self._defines = defines
        self._on = on

    def read(self, key: str) -> tuple[Step, ...]:
        """The steps of `do`, `otherwise` or `on_resolve`."""
        rule = self._rule
        tables = rule.tables(key)
        if rule.data.get(key) == []:
            rule.fault(key, "an empty list", f"one or more [[rule.{key}]]")
        if len(tables) > MAX_STEPS:
            rule.fault(key, f"{len(tables)} steps", f"at most {MAX_STEPS}")
        return tuple(self._step(table, key) for table in tables[:MAX_STEPS])

    def _step(self, table: Table, key: str) -> Step:
        table.require("action")
        action = table.choice("action", "", ACTIONS[key])
        wait = table.duration("wait", 0, SECOND, LONGEST_WAIT) if key != "on_resolve" else 0
        condition = self._defines.where(table.table("if"), step_field, STEP_FIELDS)
        if "if" in table and not condition:
            table.fault("if", "an empty table", "conditions, as in where")
        if action in CHANGES:
            self._check_answers(table, action)
            step = read_change(table, action)
            self._check_endpoint(table, step)
        elif action:
            to = self._route(table, action) if action != "log" else ""
            step = Step(action=action, to=to, text=read_template(table, "text"))
        else:
            return Step(action="")
        table.close()
        return replace(step, wait=wait, condition=condition)

    def _check_endpoint(self, table: Table, step: Step) -> None:
        name, known = step.params.get("endpoint"), self._endpoints
        if name is not None and known is not None and name not in known:
            table.fault("endpoint", f"unknown endpoint {show(name)}", listing(known) or "none", near(name, known))

    def _check_answers(self, table: Table, action: str) -> None:
        """Fault for a change of the failed dagrun in a rule that does not answer for a failure."""
        stateful = [key for key in STATEFUL if key in self._rule]
        others = [one for one in self._on if one != FINAL]
        if not CHANGES[action].answers:
            return
        if stateful:
            allowed = "page, notify, log or a change such as airflow.pause: what keeps state answers for no failure"
            more = ". A retry has wait, budgets, max_attempts" if action == RETRY else ""
            table.fault("action", f"{action} with {listing(stateful)}", allowed + more)
        elif others:
            why = f'on = "{FINAL}" alone: before that Airflow may still retry by itself'
            table.fault("action", f"{action} on {listing(others)}", why)

    def _route(self, table: Table, action: str) -> str:
        route, routes = table.text("to"), self._routes
        if not route:
            allowed = "to = a route" if routes is None else f"to = a route: {listing(routes)}"
            table.fault("to" if "to" in table else "", f"{action} without to", allowed)
        elif routes is not None and route not in routes:
            table.fault("to", f"unknown route {show(route)}", listing(routes), near(route, routes))
        return route
