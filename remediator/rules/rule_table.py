"""One rule: a table of a file -> Rule, every fault kept.

Owns the keys of `[[rule]]` and what goes with what. Steps, detection and selection have files of their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from remediator.model.globs import any_covers
from remediator.model.policy import BUDGET_TARGETS, Budget, Mode
from remediator.rules.detection import (
    check_kinds,
    read_compound,
    read_conditions,
    read_length,
    read_periods,
    read_sequence,
    read_window,
)
from remediator.rules.selection import Defines, names_of_groups, read_fields, read_on, read_selector
from remediator.rules.spec import Rule
from remediator.rules.steps import FINAL, StepReader
from remediator.rules.texts import MAX_TEXT, read_template
from remediator.rules.toml import Table, kind_of, listing, show

SEVERITIES = ("info", "warning", "critical")
MAX_PRIORITY = 100
MAX_SUMMARY = 500
MAX_DOCUMENTATION = 10_000
MAX_OWNER = 200
MAX_LABELS = 20
MAX_LABEL = 100
RESERVED = "unclassified"
"""What rule tests and reports call failures that no rule answers."""
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
IDENTITY = ("deployment", "dag_id")
"""What the group of a rule that answers for failures must have."""
KEYS = (*(field for field in Rule.__struct_fields__ if field not in ("file", "line")), "parameters")
"""The keys of [[rule]]; those of [defaults] are these without `id` and `parameters`."""

_ID = re.compile(ID_PATTERN)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


class Known(NamedTuple):
    """Names of the configuration that rules may use; None if they are not known."""

    routes: Collection[str] | None
    endpoints: Collection[str] | None


def read_rule(table: Table, names: Known, defines: Defines, label: str, row: int = 0) -> Rule:
    """One rule, its defaults and parameters filled in.

    label: what `Rule.file` says; row: of parameters, from 1.
    """
    defines.begin_rule()
    rule_id = _rule_id(table, f" (row {row})" if row else "")
    _require(table)
    on = read_on(table)
    steps = StepReader(table, names.routes, names.endpoints, defines, on)
    check_kinds(table)
    rule = Rule(
        id=rule_id,
        on=on,
        summary=table.text("summary", max_length=MAX_SUMMARY),
        title=read_template(table, "title", MAX_TEXT),
        documentation=table.text("documentation", max_length=MAX_DOCUMENTATION),
        owner=table.text("owner", max_length=MAX_OWNER),
        severity=table.choice("severity", "warning", SEVERITIES),
        labels=_labels(table.table("labels")),
        mode=table.enum("mode", Mode.OBSERVE),
        priority=table.integer("priority", 50, 0, MAX_PRIORITY),
        where=defines.where(table.table("where")),
        per=read_fields(table, "per"),
        group=read_fields(table, "group"),
        window=read_window(table, defines),
        sequence=read_sequence(table, defines),
        compound=read_compound(table),
        hold_for=read_length(table, "hold_for"),
        cool_down=read_length(table, "cool_down"),
        once_within=read_length(table, "once_within"),
        ended_by=read_selector(table.table("ended_by"), defines) if table.raw("ended_by") is not None else None,
        active=read_periods(table, "active"),
        quiet=read_periods(table, "quiet"),
        during=read_conditions(table, "during"),
        not_during=read_conditions(table, "not_during"),
        budget=_budgets(table),
        do=steps.read("do"),
        otherwise=steps.read("otherwise"),
        on_resolve=steps.read("on_resolve"),
        runbook=_runbook(table),
        file=label,
        line=table.line,
    )
    table.raw("parameters")
    table.close()
    _check_group(table, rule)
    _check_named(table, rule)
    return rule


def _rule_id(table: Table, suffix: str) -> str:
    rule_id = table.text("id")
    table.name += suffix
    if rule_id and _ID.fullmatch(rule_id):
        table.name = f'rule "{rule_id}"{suffix}'
        if rule_id == RESERVED:
            table.fault("id", show(rule_id), "another id: tests and reports call failures so that no rule answers")
    elif isinstance(table.data.get("id"), str):
        table.fault("id", show(rule_id), "1 to 100 letters, digits, '.', '_' and '-', such as 'lost-connection'")
    return rule_id


def _require(table: Table) -> None:
    table.require("id")
    if "sequence" not in table and "compound" not in table:
        table.require("on")
    table.require("do")


def _labels(table: Table) -> dict[str, str]:
    if len(table.data) > MAX_LABELS:
        table.fault("", f"{len(table.data)} labels", f"at most {MAX_LABELS}")
    for name, value in table.data.items():
        if not _LABEL.fullmatch(name):
            table.fault(name, "a bad name", "letters, digits, '_', '.' and '-', at most 100, such as 'team'")
        if not isinstance(value, str):
            table.fault(name, kind_of(value), "a string")
        elif len(value) > MAX_LABEL:
            table.fault(name, f"{len(value):,} characters", f"at most {MAX_LABEL}")
    return {name: value for name, value in table.data.items() if isinstance(value, str)}


def _check_group(table: Table, rule: Rule) -> None:
    if table.data.get("group") == []:
        table.fault("group", "an empty list", "one to five fields, or no group for the usual identity")
    missing = [field for field in IDENTITY if field not in rule.group]
    if rule.group and missing and not rule.is_detector and _is_on_failures(rule.on):
        allowed = f"{listing(IDENTITY)} among them: the rule answers for failures of one DAG"
        table.fault("group", f"a group without {listing(missing)}", allowed)


def _check_named(table: Table, rule: Rule) -> None:
    steps = rule.sequence.steps if rule.sequence else ()
    named = [name for where in (rule.where, *(step.where for step in steps)) for name in names_of_groups(where)]
    for name in {name for name in named if named.count(name) > 1}:
        table.fault("", f"two patterns that name (?P<{name}>...)", "each name once in a rule")


def _is_on_failures(on: tuple[str, ...]) -> bool:
    return any_covers(on, FINAL)


def _budgets(rule: Table) -> tuple[Budget, ...]:
    tables = rule.table_or_tables("budget", len(BUDGET_TARGETS))
    budgets = tuple(_budget(table) for table in tables)
    targets = [budget.target for budget in budgets]
    for index, target in enumerate(targets):
        if target in targets[:index]:
            tables[index].fault("target" if "target" in tables[index] else "", f"{target} twice", "each target once")
    return budgets


def _budget(table: Table) -> Budget:
    budget = Budget(
        per_hour=table.optional_integer("per_hour", 1),
        per_day=table.optional_integer("per_day", 1),
        target=table.choice("target", "task", BUDGET_TARGETS),
    )
    table.close()
    if not table.data.keys() - {"target"}:
        table.fault("", "neither per_hour nor per_day", "one of them or both")
    return budget


def _runbook(table: Table) -> str:
    runbook = table.text("runbook")
    if runbook and not runbook.startswith(("https://", "http://")):
        table.fault("runbook", show(runbook), "an address that begins with https:// or http://")
    return runbook
