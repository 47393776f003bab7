"""docs/rules.md and the code say the same: examples load lint-clean; keys, operators, names, limits, reasons, findings
and stories that it names are those that there are.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rule_cases import read_cases

from remediator.engine.detector import MAX_KEPT
from remediator.model.event import Event
from remediator.model.policy import BUDGET_TARGETS, DeploymentPolicy, Destination, Mode, Policy, Route
from remediator.model.reasons import Reason
from remediator.model.time import DAY, SECOND, Duration, format_duration
from remediator.rules import (
    change_keys,
    changes,
    clauses,
    detection,
    expand,
    load,
    operators,
    rule_table,
    selection,
    steps,
    template,
)
from remediator.rules.fields import FIELDS, MAX_DEPTH
from remediator.rules.index import MAX_NAMED
from remediator.rules.lint import _FAULTS, lint
from remediator.rules.load import read_rules
from remediator.rules.scene import _STEP, TEXT_NAMES
from remediator.rules.schema import rule_file_schema
from remediator.rules.shape import STATEFUL
from remediator.rules.spec import Rule, RuleSetSpec, Selector, Step, Window
from remediator.rules.testfile import MAX_CASES
from remediator.rules.texts import MAX_TEXT
from remediator.rules.toml import MAX_BYTES, parse_document
from remediator.testing.timeline import START, Timeline

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
POLICY = Policy(routes={name: Route(name) for name in ("default", "data-oncall", "finance", "sales-oncall")})
SCHEMA = rule_file_schema()


def section(heading: str) -> str:
    """The text under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL),
                      re.DOTALL | re.MULTILINE)  # fmt: skip
    assert found, f"no heading {heading!r}"
    return found[1]


def tables(heading: str) -> Iterator[list[list[str]]]:
    """The tables of a section: their rows without the two at the head, cell by cell."""
    for table in re.findall(r"(?:^\|.*\n)+", section(heading), re.MULTILINE):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in table.splitlines()]
        yield rows[2:]


def named(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def first_column(heading: str, number: int = 0) -> list[str]:
    """What the first column of one table of a section names."""
    return [name for row in list(tables(heading))[number] for name in named(row[0])]


# Examples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS)
def test_every_toml_block_loads_and_lint_finds_nothing(block: str) -> None:
    document = parse_document(block, "docs/rules.md")
    if "case" in document.data:
        assert read_cases(document, ["task-lost-connection"])
        return
    rules = read_rules(document, POLICY, "docs/rules.md")
    document.check()
    assert lint(RuleSetSpec(tuple(rules), POLICY)) == []


def test_every_key_is_shown_by_an_example() -> None:
    written = re.sub(r"#.*", "", "\n".join(BLOCKS))
    shown = set(re.findall(r"([a-z_]+)\s*=", written)) | set(re.findall(r"^\[+(?:rule\.)?([a-z_]+)", written, re.M))
    assert (set(rule_table.KEYS) | steps_keys() | {"defaults", "define", "use"}) - shown == set()
    assert {"airflow.retry", "airflow.pool", "airflow.trigger"} <= set(
        re.findall(r'action\s*= "(airflow\.\w+)"', written)
    )


# Keys ---------------------------------------------------------------------------------------------------------------


def properties(*path: str) -> set[str]:
    """The keys of a table of the schema, which tests/unit/rules/test_schema.py holds against the loader."""
    schema: Any = SCHEMA
    for part in path:
        schema = schema[part]
    return set(schema["properties"])


def change_keys_of(action: str) -> set[str]:
    return {*changes.CHANGES[action].keys, *changes.CHANGES[action].shared}


def keys_of_changes() -> set[str]:
    return set().union(*map(change_keys_of, changes.CHANGES))


def steps_keys() -> set[str]:
    return set().union(*(properties("$defs", name) for name in ("tell", "log", "notify_resolved")))


RULE = ("$defs", "rule", "properties")
KEYS_BY_HEADING: dict[str, tuple[int, set[str]]] = {
    "Keys of a rule": (0, set(rule_table.KEYS)),
    "window": (0, properties(*RULE, "window")),
    "sequence": (0, properties(*RULE, "sequence")),
    "compound": (0, properties(*RULE, "compound")),
    "hold_for and ended_by": (0, properties("$defs", "selector")),
    "active and quiet": (0, properties("$defs", "period")),
    "during and not_during": (0, properties("$defs", "condition_of_infrastructure")),
    "Steps": (1, steps_keys()),
    "Changes": (1, keys_of_changes()),
    "backoff": (0, properties("$defs", "backoff")),
    "budget": (0, properties("$defs", "budget")),
    "Parameters, defaults, sets": (0, properties()),
}


@pytest.mark.parametrize("heading", KEYS_BY_HEADING)
def test_tables_of_keys_hold_all_keys_and_no_other(heading: str) -> None:
    number, known = KEYS_BY_HEADING[heading]
    found = first_column(heading, number)
    assert sorted(found) == sorted(known)


def test_each_list_of_steps_has_the_actions_that_are_said() -> None:
    said = {name: set(named(row[1])) for row in next(tables("Steps")) for name in named(row[0])}
    known = {action: {key for key, some in steps.ACTIONS.items() if action in some} for action in steps.TELLING}
    assert said == known
    assert all([key for key, some in steps.ACTIONS.items() if change in some] == ["do"] for change in changes.CHANGES)


def test_each_change_has_the_keys_that_are_said() -> None:
    said = {name: named(row[1]) for row in next(tables("Changes")) for name in named(row[0])}
    assert {action: set(keys) for action, keys in said.items()} == {one: change_keys_of(one) for one in changes.CHANGES}
    for action, keys in said.items():
        required = {name for name, key in changes.CHANGES[action].keys.items() if key.required}
        assert set(keys[: len(required)]) == required


def test_the_words_of_changes_are_said() -> None:
    said = set(named(section("Changes")))
    words = {word for change in changes.CHANGES.values() for key in change.keys.values() for word in key.words}
    assert words <= said
    answering = next(part for part in section("Changes").split("\n\n") if "change the dagrun that failed" in part)
    assert set(named(answering)) == {one for one, change in changes.CHANGES.items() if change.answers} | {steps.FINAL}


def test_budget_targets_and_words_are_those_there_are() -> None:
    assert set(BUDGET_TARGETS) <= set(named(section("budget")))
    words = named(section("Keys of a rule"))
    assert {*rule_table.SEVERITIES, *Mode} <= set(words)


# Names --------------------------------------------------------------------------------------------------------------


def test_operators() -> None:
    assert sorted(first_column("Conditions")) == sorted(operators.OPERATORS)


def test_fields() -> None:
    said = {name for name in named(section("Fields")) if re.fullmatch(r"[a-z_.]+", name)} - {"codecs.md"}
    assert said == set(FIELDS)


def test_fields_of_steps() -> None:
    assert sorted(first_column("Steps", 2)) == sorted(_STEP)


def test_names_in_texts() -> None:
    said = {name.strip("{}") for name in first_column("Texts")}
    fixed = {name for name in TEXT_NAMES if not name.startswith("event.")}
    assert fixed <= said
    free = ("event.", "match.", "firing.per.", "rule.labels.")
    assert all(name in fixed or name.startswith(free) for name in said)


def test_filters() -> None:
    assert sorted(name.partition("(")[0] for name in first_column("Texts", 1)) == sorted(template.FILTERS)


def test_reasons() -> None:
    assert sorted(first_column("Reasons")) == sorted(Reason)


def test_what_state_depends_on() -> None:
    said = next(part for part in section("Edges").split("\n\n") if part.startswith("**State across"))
    assert set(named(said.partition(" are the same")[0])) == set(STATEFUL)


def test_findings() -> None:
    said = {name: row[2] for row in next(tables("What lint finds")) for name in named(row[0])}
    assert set(said) == set(_codes())
    assert {name for name, severity in said.items() if severity == "fault"} == _FAULTS


def _codes() -> Iterator[str]:
    """The first arguments of all Notes, and the codes that are chosen first."""
    yield from _FAULTS
    for file in (ROOT / "remediator" / "rules").glob("lint_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Note":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield str(code.value)


# Limits -------------------------------------------------------------------------------------------------------------


def lengths(low: Duration, high: Duration) -> str:
    return f"{format_duration(low)} to {format_duration(high)}"


LIMITS = {
    "rules in a set": f"{load.MAX_RULES:,}",
    "clauses of a rule or set, its sets filled in": (
        f"{selection.MAX_CLAUSES:,}; {selection.MAX_CLAUSES_OF_FILE:,} in a file"
    ),
    "sets in `use`": f"{selection.MAX_SETS}",
    "a text with parameters": (
        f"{expand.MAX_FILLED:,} characters; {expand.MAX_FILLED_OF_RULE:,} in a rule; "
        f"{expand.MAX_FILLED_OF_FILE:,} in a file"
    ),
    "a file": f"{MAX_BYTES:,} bytes",
    "`id`": f"{int(rule_table.ID_PATTERN.rpartition(',')[2].rstrip('}')) + 1} characters",
    "`on`": f"{selection.MAX_ON} types of {selection.MAX_TYPE} characters",
    "`per`, `group`": f"{selection.MAX_FIELDS} fields",
    "`priority`": f"0 to {rule_table.MAX_PRIORITY}",
    "`window.length`, `within`, `hold_for`, `cool_down`, `once_within`": lengths(detection.SHORTEST, detection.LONGEST),
    "`at_least`, `min_sample`": f"1 to {detection.MAX_COUNT:,}",
    "`per_minute`": f"at most {detection.MAX_PER_MINUTE:,}, and 1 to {detection.MAX_COUNT:,} in the length",
    "`ratio`": "more than 0, at most 1",
    "`sequence.steps`": f"{detection.FEWEST_STEPS} to {detection.MOST_STEPS}",
    "`compound.rules`": f"{detection.MAX_MEMBERS}",
    "`active`, `quiet`": f"{detection.MAX_PERIODS} periods",
    "`during`, `not_during`": f"{detection.MAX_CONDITIONS} conditions, "
    f"grace at most {format_duration(detection.LONGEST)}",
    "`do`, `otherwise`, `on_resolve`": f"{steps.MAX_STEPS} steps",
    "`wait`, `verify`, `undo_after`": lengths(SECOND, changes.LONGEST_WAIT),
    "`max_attempts`": f"1 to {changes.MAX_ATTEMPTS}",
    "`backoff`": f"{lengths(SECOND, DAY)}, factor 1 to 10",
    "`slots`, `replicas`, `max_active`": f"0 to {changes.MAX_SLOTS:,}; 0 to {changes.MAX_REPLICAS:,}; "
    f"1 to {changes.MAX_ACTIVE}",
    "`conf`, `body`": f"{change_keys.MAX_VALUES} values in {change_keys.MAX_LEVELS} levels, "
    f"names of {change_keys.MAX_NAME} characters",
    "`any`, `all`, `not`": f"{clauses.MAX_LEVELS} levels of {clauses.MAX_BRANCHES} tables",
    "a list in a condition": f"{operators.MAX_LIST:,} values",
    "a glob or pattern": f"{operators.MAX_PATTERN:,} characters, {operators.MAX_GROUPS} named groups",
    "`not` inside `not`": f"{operators.MAX_NOT} levels",
    "a path of attributes": f"{MAX_DEPTH} names",
    "`title`, `text`": f"{MAX_TEXT:,} characters as written, {template.MAX_RENDERED:,} as shown",
    "filters of one name": f"{template.MAX_FILTERS}",
    "what a named group finds": f"{MAX_NAMED} characters",
    "`summary`": f"{rule_table.MAX_SUMMARY} characters",
    "`owner`": f"{rule_table.MAX_OWNER} characters",
    "`documentation`": f"{rule_table.MAX_DOCUMENTATION:,} characters",
    "`labels`": f"{rule_table.MAX_LABELS} of {rule_table.MAX_LABEL} characters",
    "`parameters`": f"{expand.MAX_ROWS:,} rows of {expand.MAX_NAMES} names",
    "`[define.<name>]`": f"{selection.MAX_SETS} sets",
    "keys of state of a rule": f"{Policy().max_keys:,}",
    "events kept for a key": f"{MAX_KEPT:,}",
    "`[[case]]` in a file": f"{MAX_CASES:,}",
}


def test_limits_are_those_of_the_code() -> None:
    assert {row[0]: row[1] for row in next(tables("Limits"))} == LIMITS


def defaults_said(heading: str) -> dict[str, str]:
    return {name: row[2] for row in next(tables(heading)) for name in named(row[0])}


def test_defaults_are_those_of_the_code() -> None:
    backoff, step, rule = Step("").backoff, Step(""), Rule("r")
    assert defaults_said("backoff") == {
        "initial": f'`"{format_duration(backoff.initial)}"`',
        "factor": f"{backoff.factor:g}",
        "max": f'`"{format_duration(backoff.max)}"`',
        "jitter": f"{backoff.jitter}",
    }
    said = {name: row[2] for row in list(tables("Changes"))[1] for name in named(row[0])}
    assert (said["verify"], said["max_attempts"]) == (f'`"{format_duration(step.verify)}"`', f"{step.max_attempts}")
    of_rule = defaults_said("Keys of a rule")
    wanted = {"mode": f"`{rule.mode}`", "priority": f"{rule.priority}", "severity": f"`{rule.severity}`"}
    assert wanted.items() <= of_rule.items()


# Edges --------------------------------------------------------------------------------------------------------------


def _tests() -> Iterable[str]:
    files = [*(ROOT / "tests" / "unit" / "engine").glob("*.py"), *(ROOT / "tests" / "scenario").glob("*.py")]
    return re.findall(r"^def (test_\w+)", "\n".join(f.read_text("utf-8") for f in [*files, Path(__file__)]), re.M)


def test_the_stories_of_the_edges_exist() -> None:
    named_tests = re.findall(r"\*(test_\w+)\*", section("Edges"))
    assert len(named_tests) > 20
    assert set(named_tests) - set(_tests()) == set()


EDGES = Policy(
    deployments={"prod": DeploymentPolicy("prod", "feed", Mode.ACT, has_api=False)},
    routes={"default": Route("default", (Destination("slack.message", "slack", "#data"),))},
    lateness=10 * SECOND,
)


def story(**fields: object) -> Timeline:
    """A story under one rule on events of type 'a' for each subject."""
    given: dict[str, Any] = {"on": ("a",), "per": ("subject",), "mode": Mode.ACT, **fields}
    return Timeline(RuleSetSpec((Rule("r", do=(Step("notify", to="default"),), **given),), EDGES))


def say(line: Timeline, kind: str, second: int, subject: str = "x") -> Timeline:
    return line.event(Event(kind, START + second * SECOND, deployment="prod", subject=subject))


def fired(line: Timeline) -> int:
    return sum(one.reason is Reason.FIRED for one in line.decisions)


def test_an_event_that_is_end_and_beginning_ends_first() -> None:
    line = story(hold_for=10 * SECOND, ended_by=Selector(("a",)))
    for second in (1, 6, 15):
        say(line.at(f"{second}s"), "a", second)
    assert fired(line.at("24s")) == 0
    assert fired(line.at("1m")) == 1  # ten seconds after the last one


def test_each_key_holds_by_itself_since_its_first_match() -> None:
    line = story(hold_for=10 * SECOND)
    for second, subject in ((1, "x"), (8, "y"), (9, "x")):
        say(line.at(f"{second}s"), "a", second, subject)
    assert [fired(line.at(at)) for at in ("24s", "26s", "29s", "31s")] == [0, 1, 1, 2]


def test_an_event_that_comes_twice_counts_once() -> None:
    line = story(window=Window(60 * SECOND, at_least=2)).at("5s")
    assert fired(say(say(line, "a", 1), "a", 1).at("30s")) == 0
    assert fired(say(line, "a", 29).at("1m")) == 1
