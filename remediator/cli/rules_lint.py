"""`remediator rules lint`: all that is wrong with rules, and what is surely not meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, say, say_json
from remediator.cli.rules_files import ConfigOption, Paths, load_or_exit
from remediator.rules.index import RuleSet
from remediator.rules.lint import FAULT, Finding
from remediator.rules.lint import lint as lint_rules
from remediator.rules.lint_lines import located
from remediator.rules.load import rule_paths

StrictOption = Annotated[bool, typer.Option("--strict", help="Exit code 1 for warnings too.")]


def lint(paths: Paths, config: ConfigOption = None, strict: StrictOption = False, as_json: JsonOption = False) -> None:
    """Check rules. Exit code 0: fine. 1: they have faults, all of which are printed. 2: nothing to check."""
    rule_set, policy = load_or_exit(paths, config, as_json=as_json)
    files = rule_paths(paths)
    findings = [_placed(finding, files) for finding in located(lint_rules(rule_set.spec, policy), files)]
    has_failed = any(strict or finding.severity == FAULT for finding in findings)
    if as_json:
        say_json(_as_json(rule_set, findings, ok=not has_failed))
    else:
        for finding in findings:
            say(str(finding))
        say(_summary(rule_set, findings, knows_routes=config is not None))
    if has_failed:
        raise typer.Exit(FINDINGS)


def _placed(finding: Finding, files: dict[str, Path]) -> Finding:
    """The finding at the path that the command was given."""
    fault = finding.fault
    return msgspec.structs.replace(
        finding, fault=msgspec.structs.replace(fault, file=str(files.get(fault.file, fault.file)))
    )


def _as_json(rule_set: RuleSet, findings: Sequence[Finding], *, ok: bool) -> dict[str, Any]:
    by_severity: dict[str, list[dict[str, Any]]] = {"fault": [], "warning": []}
    for finding in findings:
        by_severity[finding.severity].append({**msgspec.structs.asdict(finding.fault), "code": finding.code})
    return {
        "ok": ok,
        "rules": len(rule_set.rules),
        "hash": rule_set.hash,
        "faults": by_severity["fault"],
        "warnings": by_severity["warning"],
    }


def _summary(rule_set: RuleSet, findings: Sequence[Finding], *, knows_routes: bool) -> str:
    routes = "" if knows_routes else "; routes were not checked, for that give --config"
    faults = sum(finding.severity == FAULT for finding in findings)
    verdict = f"{faults} faults, {len(findings) - faults} warnings" if findings else "fine"
    return f"{len(rule_set.rules)} rules, {verdict} (set {rule_set.hash}){routes}"
