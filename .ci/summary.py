"""Adds up the JUnit files of a run: `summary.py FOLDER COMPONENTS SUITE…`. Needs the standard library only.

Exit code 1 if a test failed, a suite left no file, or a component has no test that passed.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def components(case: ElementTree.Element) -> list[str]:
    found = case.iterfind("./properties/property[@name='component']")
    return [entry.get("value", "") for entry in found]


def main() -> int:
    """Print counts by component, what is wrong, and last the line of totals, which is also left in summary.txt."""
    folder, required, suites = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
    total: Counter[str] = Counter()
    by_component: dict[str, Counter[str]] = {name: Counter() for name in required}
    wrong = []
    for suite in suites:
        file = folder / f"{suite}.xml"
        if not file.exists():
            wrong.append(f"suite {suite} left no result")
            continue
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314  (pytest wrote it a moment ago)
            total[outcome(case)] += 1
            for name in components(case):
                by_component.setdefault(name, Counter())[outcome(case)] += 1
    for name, counts in by_component.items():
        print(f"{name}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    wrong += [f"component {name}: no test of it passed" for name in required if not by_component[name]["passed"]]
    for text in wrong:
        print(f"FAILED: {text}")
    line = f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.txt").write_text(line + "\n")
    return 1 if wrong or total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
