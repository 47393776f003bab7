"""Results of rule tests as JUnit XML, as CI systems read it: a suite per file. Writes nothing to disk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from remediator.testing.ruletest import TestResult

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, escaped or not."""
MAX_MESSAGE = 500


def junit(results: Sequence[TestResult]) -> bytes:
    """The document, UTF-8 with its declaration."""
    root = Xml.Element("testsuites", _counts(results), name="remediator rules test")
    for file in dict.fromkeys(result.test.file for result in results):
        own = [result for result in results if result.test.file == file]
        suite = Xml.SubElement(root, "testsuite", _counts(own), name=_clean(file))
        for result in own:
            _case(suite, result)
    Xml.indent(root)
    body: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return body + b"\n"


def _case(suite: Xml.Element, result: TestResult) -> None:
    test = result.test
    case = Xml.SubElement(
        suite,
        "testcase",
        name=_clean(test.name),
        classname=_clean(f"{test.file}.{result.kind}"),
        file=_clean(test.file),
        line=str(test.line),
        time=f"{result.seconds:.6f}",
    )
    if not result.passed:
        failure = Xml.SubElement(case, "failure", type="difference", message=_clean(_message(result)))
        failure.text = _clean(result.difference)


def _message(result: TestResult) -> str:
    first = result.differences[0]
    text = first if isinstance(first, str) else "; ".join(" ".join(line.split()) for line in first.lines)
    return text[:MAX_MESSAGE]


def _counts(results: Sequence[TestResult]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    seconds = sum(result.seconds for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0", "time": f"{seconds:.6f}"}


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
