"""`remediator rules check` and `remediator rules test`: rules before they are live."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.config import print_faults
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, say, say_json
from remediator.config.load import load_config
from remediator.model.policy import Policy, Route
from remediator.rules.faults import Fault, Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import load_rules, rule_files
from remediator.rules.testfile import Result, read_cases, run_cases
from remediator.rules.toml import decode_document

TEST_SUFFIX = ".test.toml"
Paths = Annotated[list[Path], typer.Argument(help="Rule files and folders.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Check against this configuration's routes; no secret is read.")
]


def rules_app() -> typer.Typer:
    """The commands about rules."""
    app = typer.Typer(help="Rules: check and test them.", no_args_is_help=True)
    app.command()(check)
    app.command("test")(run_tests)
    return app


def check(paths: Paths, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check rules. Exit code 0: fine. 1: they have faults, all of which are printed. 2: nothing to check."""
    rule_set = _load(paths, config, as_json=as_json)
    if as_json:
        say_json({"ok": True, "rules": len(rule_set.rules), "hash": rule_set.hash, "faults": []})
        return
    routes = "" if config else "; routes were not checked, for that give --config"
    say(f"{len(rule_set.rules)} rules, fine (set {rule_set.hash}){routes}")


def run_tests(paths: Paths, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the *.test.toml beside rules. Exit code 0: all pass. 1: faults or failed cases. 2: nothing to test."""
    rule_set = _load(paths, config, as_json=as_json)
    try:
        results = list(_results(paths, rule_set))
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None
    if not results:
        fail("no [[case]] in any *.test.toml there")
    failed = [result for result in results if not result.passed]
    _print_results(results, failed, as_json=as_json)
    if failed:
        raise typer.Exit(FINDINGS)


def _print_results(results: Sequence[Result], failed: Sequence[Result], *, as_json: bool) -> None:
    if as_json:
        say_json({"ok": not failed, "cases": len(results), "failed": [str(result) for result in failed]})
        return
    for result in failed:
        say(str(result))
    say(f"{len(results)} cases, {len(failed)} failed")


def _results(paths: Sequence[Path], rule_set: RuleSet) -> Iterator[Result]:
    for file in test_files(paths):
        cases = read_cases(decode_document(file.read_bytes(), str(file)), rule_set.rules)
        yield from run_cases(rule_set, cases)


def test_files(paths: Sequence[Path]) -> list[Path]:
    """Every *.test.toml in the folders, and beside the files, in a stable order."""
    found: set[Path] = set()
    for path in paths:
        found |= set(path.rglob(f"*{TEST_SUFFIX}")) if path.is_dir() else _beside(path)
    return sorted(found)


def _beside(path: Path) -> set[Path]:
    test_file = path if path.name.endswith(TEST_SUFFIX) else path.with_suffix(TEST_SUFFIX)
    return {test_file} if test_file.is_file() else set()


def _load(paths: Sequence[Path], config: Path | None, *, as_json: bool) -> RuleSet:
    rule_paths = [path for path in paths if not path.name.endswith(TEST_SUFFIX)]
    try:
        missing = [Fault(str(path), 0, "", "nothing there", "a file or folder") for path in paths if not path.exists()]
        if missing:
            raise Faults(missing)
        if not rule_files(rule_paths):
            fail("no rule file there: rules are *.toml that do not end in .test.toml")
        policy = load_config(config, resolve_secrets=False).policy() if config else _open_policy(rule_paths)
        return RuleSet(load_rules(rule_paths, policy))
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None


def _open_policy(paths: Sequence[Path]) -> Policy:
    """A policy that has every route which the rules name, since nothing here says which there are."""
    names = {"default"} | {name for file in rule_files(paths) for name in _routes_named(file)}
    return Policy(routes={name: Route(name) for name in names})


def _routes_named(file: Path) -> Iterator[str]:
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except (ValueError, OSError, RecursionError):
        return  # load_rules says so, with the place
    rules = data.get("rule")
    for rule in rules if isinstance(rules, list) else []:
        steps = [*_list(rule, "do"), *_list(rule, "otherwise")]
        yield from (step["to"] for step in steps if isinstance(step, dict) and isinstance(step.get("to"), str))


def _list(rule: Any, key: str) -> list[Any]:
    value = rule.get(key) if isinstance(rule, dict) else None
    return value if isinstance(value, list) else []
