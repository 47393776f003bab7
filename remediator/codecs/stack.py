"""The class of an exception out of its printed trace. Says nothing where the trace leaves a doubt."""

from __future__ import annotations

import re

TYPE_CHARS = 256
_LINE_CHARS = 65_536
_EXCEPTION_LINE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_<]\w*>?)*)(?:: (.*))?")


def error_type(message: str | None, trace: str | None) -> str | None:
    """The class named by the last line of `trace`, such as 'airflow.sdk.exceptions.AirflowTaskTimeout', or None.

    The line must be the exception's own: the rest of a message of several lines, a note that was added, or the
    frame of an exception group may look like one, so it has to agree with the message.
    """
    if not trace or (message and "\n" in message.strip("\n")):
        return None
    line = trace[-_LINE_CHARS:].rstrip().rpartition("\n")[2]
    found = _EXCEPTION_LINE.fullmatch(line.rstrip("\r"))
    if found is None or len(found[1]) > TYPE_CHARS:
        return None
    return str(found[1]) if _agrees(found[1], found[2] or "", message) else None


def _agrees(name: str, text: str, message: str | None) -> bool:
    """A SyntaxError's message goes on where its line ends; without a message the name must look like a class."""
    if message is None:
        return name.rpartition(".")[2][:1].isupper()
    said = message.strip()
    return said == text.strip() or bool(text and said.startswith(text)) or said == f"{name}: {text}"
