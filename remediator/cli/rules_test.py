"""`remediator rules test`: the cases and timelines beside rules, run on these rules, and what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.config import print_faults
from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, safe, say, say_json
from remediator.cli.rules_files import ConfigOption, Paths, load_or_exit
from remediator.rules.faults import Faults
from remediator.rules.load import TEST_SUFFIX
from remediator.testing.ruletest import TestResult, load_tests, run_tests
from remediator.testing.ruletest_junit import junit

JunitOption = Annotated[Path | None, typer.Option("--junit", help="Write the results to this file as JUnit XML.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Name every test, and tell its story.")]


def run_rule_tests(
    paths: Paths,
    config: ConfigOption = None,
    junit_file: JunitOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the *.test.toml beside rules. Exit code 0: all pass. 1: faults or failed tests. 2: nothing to test."""
    rule_set, _ = load_or_exit(paths, config, as_json=as_json)
    try:
        tests = load_tests(test_files(paths), rule_set)
    except Faults as faults:
        print_faults(faults, as_json=as_json)
        raise typer.Exit(FINDINGS) from None
    if not tests:
        fail("no [[case]] and no [[timeline]] in any *.test.toml there")
    results = list(run_tests(rule_set, tests))
    if junit_file is not None:
        _write(junit_file, junit(results))
    if as_json:
        say_json(_as_json(results))
    else:
        _say(results, verbose=verbose)
    if not all(result.passed for result in results):
        raise typer.Exit(FINDINGS)


def test_files(paths: Sequence[Path]) -> list[Path]:
    """Every *.test.toml in the folders, and beside the files, in a stable order."""
    found: set[Path] = set()
    for path in paths:
        found |= set(path.rglob(f"*{TEST_SUFFIX}")) if path.is_dir() else _beside(path)
    return sorted(found)


def _beside(path: Path) -> set[Path]:
    test_file = path if path.name.endswith(TEST_SUFFIX) else path.with_suffix(TEST_SUFFIX)
    return {test_file} if test_file.is_file() else set()


def _write(file: Path, body: bytes) -> None:
    try:
        file.write_bytes(body)
    except OSError as error:
        fail(f"{file}: {error.strerror}")


def _say(results: Sequence[TestResult], *, verbose: bool) -> None:
    for result in results:
        if verbose or not result.passed:
            _say_lines(str(result))
        if verbose and result.passed:
            _say_lines("\n".join(f"      {line}" for line in result.story))
    timelines = sum(result.kind == "timeline" for result in results)
    failed = sum(not result.passed for result in results)
    counts = [f"{len(results) - timelines} cases"] if len(results) > timelines else []
    counts += [f"{timelines} timelines"] if timelines else []
    say(", ".join([*counts, f"{failed} failed"]))


def _say_lines(text: str) -> None:
    for line in text.split("\n") if text else ():
        say(safe(line))


def _as_json(results: Sequence[TestResult]) -> dict[str, Any]:
    failed = [result for result in results if not result.passed]
    return {
        "ok": not failed,
        "cases": sum(result.kind == "case" for result in results),
        "timelines": sum(result.kind == "timeline" for result in results),
        "events": sum(result.events for result in results),
        "seconds": round(sum(result.seconds for result in results), 6),
        "failed": [
            {
                "file": result.test.file,
                "line": result.test.line,
                "name": result.test.name,
                "kind": result.kind,
                "difference": result.difference,
            }
            for result in failed
        ],
    }
