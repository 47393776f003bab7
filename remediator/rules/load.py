"""Rule files -> RuleSetSpec, or every fault of every file at once.

Owns the grammar of `[[rule]]` but not that of `where`. Reads files, and only the ones it is told to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from remediator.model.policy import Budget, Mode, Policy
from remediator.model.time import DAY, SECOND, format_duration
from remediator.rules.clauses import compile_where
from remediator.rules.faults import Fault, Faults
from remediator.rules.globs import compile_pattern, glob_pattern, is_glob
from remediator.rules.spec import Backoff, Rule, RuleSetSpec, Step
from remediator.rules.toml import MAX_BYTES, Document, Table, decode_document, listing, near, quote_key, show

SUFFIX = ".toml"
TEST_SUFFIX = ".test.toml"
SEVERITIES = ("info", "warning", "critical")
FINAL = "task.failed_finally"
MAX_RULES = 10_000
MAX_ATTEMPTS = 20
MAX_STEPS = 10
MAX_PRIORITY = 100
MAX_TYPE = 200

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TYPE = re.compile(r"[A-Za-z0-9_.*?\[\]!:/-]+")


def load_rules(paths: Sequence[Path], policy: Policy) -> RuleSetSpec:
    """The rules of files and folders (all of their *.toml but *.test.toml), in a stable order. Raises Faults."""
    faults: list[Fault] = []
    rules: list[tuple[Rule, str]] = []
    for file, label in _files(paths, faults):
        try:
            document = decode_document(_read(file), str(file))
        except Faults as bad:
            faults += bad.faults
            continue
        rules += [(rule, str(file)) for rule in read_rules(document, policy, label)]
        faults += document.faults
    faults += _faults_together(rules)
    if faults:
        raise Faults(faults)
    return RuleSetSpec(tuple(rule for rule, _ in rules), policy)


def rule_files(paths: Iterable[Path], suffix: str = SUFFIX) -> list[Path]:
    """Files with the suffix in the folders, and the given files themselves. Hidden ones and rule tests are left out."""
    return [file for file, _ in _files(paths, [], suffix)]


def read_rules(document: Document, policy: Policy, label: str) -> list[Rule]:
    """The rules of one file; faults are kept in the document. label: what `Rule.file` says."""
    root = document.root()
    rules = [_rule(table, policy, label) for table in root.tables("rule")]
    root.close()
    return rules


def _files(paths: Iterable[Path], faults: list[Fault], suffix: str = SUFFIX) -> Iterator[tuple[Path, str]]:
    """Each file once, with a label that is the same wherever the folder lies: it is part of the rule set's hash."""
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            faults.append(Fault(str(path), 0, "", "no such file or folder", "a folder or a .toml file"))
        for file in _walk(path, suffix):
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, "/".join((path.resolve().name, *file.relative_to(path).parts))


def _walk(path: Path, suffix: str) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob(f"*{suffix}")
        if file.is_file()
        and (suffix == TEST_SUFFIX or not file.name.endswith(TEST_SUFFIX))
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            body = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise Faults([Fault(str(file), 0, "", str(error.strerror), "a file that can be read")]) from None
    if len(body) > MAX_BYTES:
        raise Faults([Fault(str(file), 0, "", "a larger file", f"at most {MAX_BYTES:,} bytes")])
    return body


def _faults_together(rules: list[tuple[Rule, str]]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for rule, file in rules:
        if rule.id in first:
            place = f'rule "{rule.id}"'
            yield Fault(
                file, rule.line, place, "an id used before", f"one rule per id; it is taken at {first[rule.id]}"
            )
        elif rule.id:
            first[rule.id] = f"{file}:{rule.line}"
    if len(rules) > MAX_RULES:
        yield Fault(rules[-1][1], 0, "", f"{len(rules):,} rules in all files", f"at most {MAX_RULES:,}")


# One rule -----------------------------------------------------------------------------------------------------------


def _rule(table: Table, policy: Policy, label: str) -> Rule:
    rule_id = _rule_id(table)
    table.require("id", "on", "do")
    on = _on(table)
    rule = Rule(
        id=rule_id,
        on=on,
        summary=table.text("summary", max_length=500),
        owner=table.text("owner", max_length=200),
        severity=table.choice("severity", "warning", SEVERITIES),
        mode=table.enum("mode", Mode.OBSERVE),
        priority=table.integer("priority", 50, 0, MAX_PRIORITY),
        where=_where(table.table("where")),
        budget=_budget(table.table("budget")),
        do=_steps(table, "do", policy, on),
        otherwise=_steps(table, "otherwise", policy, on),
        runbook=_runbook(table),
        file=label,
        line=table.line,
    )
    table.close()
    return rule


def _rule_id(table: Table) -> str:
    rule_id = table.text("id")
    if rule_id and _ID.fullmatch(rule_id):
        table.name = f'rule "{rule_id}"'
    elif "id" in table and isinstance(table.data["id"], str):
        table.fault("id", show(rule_id), "1 to 100 letters, digits, '.', '_' and '-', such as 'lost-connection'")
    return rule_id


def _on(table: Table) -> tuple[str, ...]:
    types = table.texts("on", max_items=100)
    if "on" in table and table.data["on"] == []:
        table.fault("on", "an empty list", "event types such as 'task.failed_finally'")
    for one in types:
        if len(one) > MAX_TYPE or not _TYPE.fullmatch(one) or not _is_sound_glob(one):
            table.fault("on", show(one), "event types such as 'task.failed_finally' or 'check.*'")
    return types


def _is_sound_glob(text: str) -> bool:
    try:
        return not is_glob(text) or bool(compile_pattern(glob_pattern(text)))
    except ValueError:
        return False


def _where(table: Table) -> dict[str, object]:
    def report(path: tuple[str | int, ...], found: str, allowed: str, hint: str) -> None:
        place = " ".join((table.name, *(quote_key(part) if isinstance(part, str) else str(part + 1) for part in path)))
        table.document.fault((*table.path, *path), place, found, allowed, hint)

    compile_where(table.data, report)
    return table.data


def _budget(table: Table) -> Budget:
    budget = Budget(per_hour=table.optional_integer("per_hour", 1), per_day=table.optional_integer("per_day", 1))
    table.close()
    return budget


def _runbook(table: Table) -> str:
    runbook = table.text("runbook")
    if runbook and not runbook.startswith(("https://", "http://")):
        table.fault("runbook", show(runbook), "an address that begins with https:// or http://")
    return runbook


# Steps --------------------------------------------------------------------------------------------------------------


def _steps(rule: Table, key: str, policy: Policy, on: tuple[str, ...]) -> tuple[Step, ...]:
    tables = rule.tables(key)
    if key in rule and rule.data[key] == []:
        rule.fault(key, "an empty list", f"one or more [[rule.{key}]]")
    if len(tables) > MAX_STEPS:
        rule.fault(key, f"{len(tables)} steps", f"at most {MAX_STEPS}")
    steps = tuple(_step(table, key, policy, on) for table in tables[:MAX_STEPS])
    if sum(step.action == "airflow.retry" for step in steps) > 1:
        rule.fault(key, "airflow.retry more than once", "one; max_attempts says how often")
    return steps


def _step(table: Table, key: str, policy: Policy, on: tuple[str, ...]) -> Step:
    table.require("action")
    actions = _DO if key == "do" else _OTHERWISE
    action = table.choice("action", "", actions)
    if action == "airflow.retry":
        step = _retry(table, on)
    elif action in ("page", "notify"):
        step = Step(action=action, to=_route(table, action, policy))
    else:
        step = Step(action=action)
    if action:
        table.close()
    return step


_OTHERWISE = ("page", "notify", "log")
_DO = ("airflow.retry", *_OTHERWISE)


def _retry(table: Table, on: tuple[str, ...]) -> Step:
    if on and any(one != FINAL for one in on):
        others = listing(one for one in on if one != FINAL)
        why = f'on = "{FINAL}" alone: before that Airflow may still retry by itself'
        table.fault("action", f"airflow.retry on {others}", why)
    return Step(
        action="airflow.retry",
        max_attempts=table.integer("max_attempts", 1, 1, MAX_ATTEMPTS),
        backoff=_backoff(table.table("backoff")),
        verify=table.duration("verify", Step("").verify, SECOND, 7 * DAY),
    )


def _backoff(table: Table) -> Backoff:
    usual = Backoff()
    backoff = Backoff(
        initial=table.duration("initial", usual.initial, SECOND, DAY),
        factor=table.number("factor", usual.factor, 1, 10),
        max=table.duration("max", usual.max, SECOND, DAY),
        jitter=table.number("jitter", usual.jitter, 0, 1),
    )
    if backoff.max < backoff.initial:
        found = f"{format_duration(backoff.initial)} as initial, {format_duration(backoff.max)} as max"
        table.fault("max" if "max" in table else "initial", found, "max no shorter than initial")
    table.close()
    return backoff


def _route(table: Table, action: str, policy: Policy) -> str:
    route = table.text("to")
    if not route:
        table.fault("to" if "to" in table else "", f"{action} without to", f"to = a route: {listing(policy.routes)}")
    elif route not in policy.routes:
        table.fault("to", f"unknown route {show(route)}", listing(policy.routes), near(route, policy.routes))
    return route
