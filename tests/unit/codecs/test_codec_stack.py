"""The exception's class: named where the last line of the trace is the exception's own, else not at all."""

from __future__ import annotations

import pytest

from remediator.codecs.stack import error_type

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    raise E\n'


@pytest.mark.parametrize(
    ("message", "last", "expected"),
    [
        ("boom", "ValueError: boom", "ValueError"),
        ("'customer_id'", "KeyError: 'customer_id'", "KeyError"),
        ("", "MemoryError", "MemoryError"),
        ("3", "SystemExit: 3", "SystemExit"),
        ("Timeout, PID: 1", "airflow.sdk.AirflowTaskTimeout: Timeout, PID: 1", "airflow.sdk.AirflowTaskTimeout"),
        ("bad (x.py, line 3)", "SyntaxError: bad", "SyntaxError"),
        (None, "ConnectionError: reset", "ConnectionError"),
        (None, "hint: try again", None),
        ("boom", "hint: try again", None),
        ("first\nValueError: second", "ValueError: second", None),
        ("unhandled errors (1 sub-exception)", "    +------------------------------------", None),
        ("a\n\tCheck Values: {}", "\tCheck Values: {}", None),
    ],
)
def test_error_type(message: str | None, last: str, expected: str | None) -> None:
    assert error_type(message, TRACE + last + "\n") == expected


@pytest.mark.parametrize("trace", [None, "", "\n\n", " " * 100_000, "a." * 50_000, "x: " * 50_000])
def test_no_trace_no_type(trace: str | None) -> None:
    assert error_type("boom", trace) is None
