"""Events and failures out of files, for the commands that explain them: any of the forms that recordings have."""

from __future__ import annotations

import contextlib
import gzip
import io
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from remediator.backtest.files import GZIP_MAGIC, read_lines
from remediator.backtest.history import History
from remediator.backtest.reading import Decode, LineReader, Read, decoding
from remediator.cli.output import fail, safe
from remediator.codecs.deployments import DeploymentMap
from remediator.codecs.registry import CODECS
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.model.event import ErrorInfo, Event
from remediator.model.policy import Mode
from remediator.model.time import Instant, parse_instant
from remediator.rules.faults import Faults
from remediator.rules.index import RuleSet
from remediator.rules.testfile_event import INSTANTS
from remediator.rules.unmatched import Failure, Groups

STDIN = "-"
MAX_BYTES = 16 * 1024 * 1024
MAX_FAILURES = 1_000_000
"""Final failures told apart from their repeats; what comes after them is counted as it comes."""
FINAL = "task.failed_finally"

Assign = Callable[[Event, str], str]
"""(event, topic) -> its deployment, '' if it is nobody's."""


class Found(msgspec.Struct, frozen=True):
    """An event and the topic that it was read from, '' if that is not known."""

    event: Event
    topic: str


def settings_of(config: Path | None) -> Config | None:
    """The configuration, its secrets unread. Ends the command if it has faults."""
    try:
        return None if config is None else load_config(config, resolve_secrets=False)
    except Faults as faults:
        fail(str(faults))


def decode_by(settings: Config | None) -> Decode:
    """A record by the codec of the feed that reads its topic, else by whatever fits."""
    auto = decoding(CODECS["auto"]())
    by_topic = dict[str, Decode]()
    if settings is not None:
        from remediator.runtime.wiring import make_intake  # only here: the other commands start without it

        for feed in settings.feeds:
            by_topic.update(dict.fromkeys(feed.topics, make_intake(settings, feed).decode))
    return lambda record: by_topic.get(record.topic, auto)(record)


def assign_by(settings: Config | None) -> Assign:
    """The deployment that an event names itself, else the configuration's, or without one its namespace."""
    if settings is None:
        return lambda event, topic: event.deployment or event.namespace or "unnamed"
    deployments = DeploymentMap(settings.bindings())
    return lambda event, topic: event.deployment or deployments.assign(event, topic)[0]


# -- a few events -------------------------------------------------------------------------------------------------


def read_events(name: str, decode: Decode) -> list[Found]:
    """The events of a small file or of standard input. Ends the command if there is none."""
    reader = LineReader(decode)
    found: list[Found] = []
    reasons: list[str] = []
    for number, text in enumerate(_documents(_read(name)), 1):
        read = reader.line(text)
        own = _as_in_tests(text) if read.reason else None
        if own is not None:
            read = reader.line(own)
        if read.reason:
            reasons.append(f"{safe(name)}: event {number}: {safe(read.reason)}")
        found += [Found(event, read.topic) for event in read.events]
    if not found:
        fail("\n".join(reasons[:20]) or f"{safe(name)}: no event there")
    return found


def _read(name: str) -> bytes:
    try:
        with contextlib.nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as stream:
            body = stream.read(MAX_BYTES + 1)
        if body.startswith(GZIP_MAGIC):
            body = gzip.GzipFile(fileobj=io.BytesIO(body)).read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        fail(f"{safe(name)}: {safe(getattr(error, 'strerror', None) or error)}")
    if len(body) > MAX_BYTES:
        fail(f"{safe(name)}: at most {MAX_BYTES:,} bytes are read for events to explain")
    return body


def _documents(body: bytes) -> list[bytes]:
    """Lines, or all of it where it is one JSON value over several lines."""
    lines = [line for line in body.splitlines() if line.strip()]
    return lines if len(lines) < 2 or _is_json(lines[0]) else [body]


def _as_in_tests(text: bytes) -> bytes | None:
    """An event by the names that rules use, as rule tests have it: its time may be left out, moments may be text."""
    try:
        event: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        if "type" not in event or "specversion" in event:
            return None
        moments = {name: event[name] for name in INSTANTS if isinstance(event.get(name), str)}
        parsed = {name: parse_instant(moment) for name, moment in moments.items()}
    except (ValueError, RecursionError):
        return None
    return msgspec.json.encode({"time": time.time_ns() // 1_000, **event, **parsed})


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


# -- failures of a recording --------------------------------------------------------------------------------------


def unmatched_in(path: Path, rules: RuleSet, decode: Decode, assign: Assign) -> Groups:
    """Final failures of a recording that no acting rule answers. The file is read twice: first for how things ended."""
    history = History()
    try:
        for event, deployment, at in _events(path, decode, assign):
            history.add(deployment, event, at)
            history.last = max(history.last, at)
        return _groups(_final_failures(history, _events(path, decode, assign)), rules)
    except (OSError, EOFError, zlib.error) as error:
        fail(f"{safe(path)}: {safe(getattr(error, 'strerror', None) or error)}")


def _events(path: Path, decode: Decode, assign: Assign) -> Iterator[tuple[Event, str, Instant]]:
    """(event, deployment, when it was received, which never goes back)."""
    reader, now = LineReader(decode), 0
    for _, line in read_lines(path):
        read: Read = reader.line(line)
        now = max(now, read.at)
        for event in read.events:
            deployment = assign(event, read.topic)
            if deployment:
                yield event, deployment, now


def _final_failures(history: History, events: Iterator[tuple[Event, str, Instant]]) -> Iterator[tuple[Event, str]]:
    """Each once. A failure is final if the recording goes on as after one."""
    seen: set[tuple[object, ...]] = set()
    for event, deployment, at in events:
        if event.type != "task.failed" or event.dag_id is None or event.run_id is None or event.task_id is None:
            continue
        tried = event.try_number or 1
        truth = history.truth(deployment, event.dag_id, event.run_id, min(event.time, at))
        name = (deployment, event.dag_id, event.run_id, event.task_id, event.map_index, tried)
        is_final = any(
            (task.task_id, task.map_index, task.try_number, task.state) == (*name[3:], "failed") for task in truth.tasks
        )
        if is_final and name not in seen:
            if len(seen) < MAX_FAILURES:
                seen.add(name)
            yield event, deployment


def _groups(failures: Iterator[tuple[Event, str]], rules: RuleSet) -> Groups:
    groups = Groups()
    for event, deployment in failures:
        matched = rules.match(msgspec.structs.replace(event, type=FINAL, deployment=deployment))
        if all(rule.mode is Mode.OBSERVE for rule in matched.rules):
            observers = tuple(rule.id for rule in matched.rules)
            groups.add(Failure(deployment, event.dag_id or "", event.task_id or "", event.run_id or "",
                               event.error or ErrorInfo(), event.time, event.time,
                               observed_by=observers))  # fmt: skip
    return groups
