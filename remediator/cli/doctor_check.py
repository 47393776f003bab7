"""What a check of `remediator doctor` gives: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

import msgspec

OK, WARN, FAIL = "ok", "warn", "fail"


class Check(msgspec.Struct, frozen=True):
    """status: ok, warn (it works, but) or fail (it does not). todo: '' where nothing is to be done."""

    name: str
    status: str
    text: str
    todo: str = ""


def ok(name: str, text: str) -> Check:
    """As it should be."""
    return Check(name, OK, text)


def warn(name: str, text: str, todo: str) -> Check:
    """It works, but somebody should know."""
    return Check(name, WARN, text, todo)


def fail(name: str, text: str, todo: str) -> Check:
    """It does not work."""
    return Check(name, FAIL, text, todo)
