"""Cases of one document, read and run as the command does with those of files."""

from __future__ import annotations

from collections.abc import Iterable

from remediator.rules.index import RuleSet
from remediator.rules.testfile import Case, Result, cases_of, run_case
from remediator.rules.toml import Document


def read_cases(document: Document, rule_ids: Iterable[str]) -> list[Case]:
    """The cases of one file. Raises Faults, also for an `expect` that names no rule."""
    root = document.root()
    root.raw("timeline")
    cases = cases_of(root, rule_ids)
    root.close()
    document.check()
    return cases


def run_cases(rule_set: RuleSet, cases: Iterable[Case]) -> list[Result]:
    """Every case tried on the rules."""
    return [run_case(rule_set, case) for case in cases]
