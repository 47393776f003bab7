"""Rule tests: *.test.toml files read, and every case and timeline in them run on one compiled rule set.

Reads what it is told to and prints nothing. Differences are values; only faults of the files are exceptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter

import msgspec

from remediator.rules.faults import Fault, Faults
from remediator.rules.index import RuleSet
from remediator.rules.testfile import Case, cases_of, run_case
from remediator.rules.testfile_timeline import TimelineTest, timelines_of
from remediator.rules.testfile_wanted import Names
from remediator.rules.toml import Document, decode_document, show
from remediator.rules.types import is_misspelt, near_type
from remediator.testing.ruletest_compare import Difference, compare, story_lines
from remediator.testing.ruletest_story import Story, Told
from remediator.testing.timeline import TimelineError

Test = Case | TimelineTest


class TestResult(msgspec.Struct, frozen=True):
    """What came of a case or a timeline. differences: none if it passed; told: the whole story of a timeline."""

    __test__ = False

    test: Test
    differences: tuple[Difference | str, ...]
    seconds: float
    events: int = 1
    told: tuple[Told, ...] = ()

    @property
    def story(self) -> tuple[str, ...]:
        """The story in lines; none of a case."""
        return story_lines(self.told)

    @property
    def passed(self) -> bool:
        """Did what was wanted happen, and nothing else?"""
        return not self.differences

    @property
    def kind(self) -> str:
        """'case' or 'timeline'."""
        return "case" if isinstance(self.test, Case) else "timeline"

    @property
    def place(self) -> str:
        """'file:line: name'."""
        return f"{self.test.file}:{self.test.line}: {self.test.name}"

    @property
    def difference(self) -> str:
        """All of it, on as many lines as it needs; '' if there is none."""
        texts = [str(one) for one in self.differences]
        return "\n".join(["not as expected", *texts] if self.kind == "timeline" and texts else texts)

    def __str__(self) -> str:
        return f"{self.place}: {self.difference or 'ok'}"


def load_tests(files: Iterable[Path], rule_set: RuleSet) -> list[Test]:
    """The tests of all files, in their order. Raises Faults, those of all files at once."""
    tests: list[Test] = []
    faults: list[Fault] = []
    for file in files:
        try:
            tests += read_tests(decode_document(file.read_bytes(), str(file)), rule_set)
        except Faults as bad:
            faults += bad.faults
        except OSError as error:
            faults.append(Fault(str(file), 0, "", str(error.strerror), "a file that can be read"))
    if faults:
        raise Faults(faults)
    return tests


def read_tests(document: Document, rule_set: RuleSet) -> list[Test]:
    """The tests of one file: its cases, then its timelines. Raises Faults."""
    root = document.root()
    tests: list[Test] = [*cases_of(root, rule_set.rules)]
    tests += timelines_of(root, Names(rule_set.rules, tuple(rule_set.policy.routes)))
    root.close()
    document.faults += [fault for test in tests for fault in _misspelt(test, rule_set)]
    document.check()
    return tests


def _misspelt(test: Test, rule_set: RuleSet) -> Iterator[Fault]:
    """Types that nobody sends and no rule names: a test of one would pass whatever the rules are."""
    events = [test.event] if isinstance(test, Case) else [said.event for step in test.steps for said in step.said]
    for name in dict.fromkeys(event.type for event in events):
        if is_misspelt(name) and not rule_set.wants(name):
            place = f'{"case" if isinstance(test, Case) else "timeline"} "{test.name}" event type'
            allowed = "a type that is known, or that a rule names"
            yield Fault(test.file, test.line, place, show(name), allowed, near_type(name))


def run_tests(rule_set: RuleSet, tests: Iterable[Test]) -> Iterator[TestResult]:
    """Each test run by itself, in order."""
    for test in tests:
        began = perf_counter()
        result = _run_case(rule_set, test) if isinstance(test, Case) else run_timeline(rule_set, test)
        yield msgspec.structs.replace(result, seconds=perf_counter() - began)


def _run_case(rule_set: RuleSet, case: Case) -> TestResult:
    difference = run_case(rule_set, case).difference
    return TestResult(case, (difference,) if difference else (), 0.0)


def run_timeline(rule_set: RuleSet, test: TimelineTest) -> TestResult:
    """Play the timeline; each expectation is compared with what happened since the one before it."""
    story = Story(rule_set, test)
    differences: list[Difference | str] = []
    heard = 0
    for moment in test.steps:
        try:
            story.play(moment)
        except TimelineError as error:
            line = str(error).partition("\n")[0]
            differences.append(Difference(moment.at, moment.line, (line,), story_lines(story.told[heard:])))
            break
        if moment.wanted is None:
            continue
        told, heard = story.told[heard:], len(story.told)
        decisions = [one.decision for one in told if one.decision is not None]
        lines = compare(moment.wanted, story.happened, decisions, story.open_incidents)
        if lines:
            differences.append(Difference(story.clock, moment.line, tuple(lines), story_lines(told)))
        story.happened = []
    events = sum(len(moment.said) for moment in test.steps)
    return TestResult(test, tuple(differences), 0.0, events, tuple(story.told))
