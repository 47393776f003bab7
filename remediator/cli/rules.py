"""`remediator rules`: rules before they are live. Puts the commands together and runs rule tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from remediator.cli.config import print_faults
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, say, say_json
from remediator.cli.rules_files import ConfigOption, Paths, load_or_exit
from remediator.cli.rules_graph import graph
from remediator.cli.rules_lint import lint
from remediator.cli.rules_schema import schema
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.load import TEST_SUFFIX
from remediator.rules.testfile import Result, read_cases, run_cases
from remediator.rules.toml import decode_document


def rules_app() -> typer.Typer:
    """The commands about rules."""
    app = typer.Typer(help="Rules: check, test and draw them.", no_args_is_help=True)
    app.command()(lint)
    app.command("test")(run_tests)
    app.command()(schema)
    app.command()(graph)
    return app


def run_tests(paths: Paths, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Run the *.test.toml beside rules. Exit code 0: all pass. 1: faults or failed cases. 2: nothing to test."""
    rule_set, _ = load_or_exit(paths, config, as_json=as_json)
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
