"""`remediator audit export|verify`: who or what did what, why, with which result; and whether anybody changed that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from remediator.cli.daemon import ConfigOption, Daemon, JsonOption, UrlOption, find_daemon
from remediator.cli.output import FINDINGS, columns, fail, safe, say, say_json
from remediator.cli.stored import stored
from remediator.model.text import cut
from remediator.model.time import format_instant, parse_duration, parse_instant
from remediator.rules.faults import Faults
from remediator.store.audit import AuditHead, AuditRow, Verifier, canonical
from remediator.store.port import StoreError

PAGE = 1_000
MAX_LINE = 1_048_576
HEAD = ("SEQ", "AT", "WHO", "EVENT", "WHAT", "TARGET", "RESULT", "WHY")
WHY_LIMIT = 160
View = dict[str, Any]
ReadPage = Callable[[int], View]
"""Number -> the page of links after it, as the API gives it."""

FileOption = Annotated[Path | None, typer.Option("--file", help="Verify an export (--json) instead.")]
LinesOption = Annotated[bool, typer.Option("--json", help="One JSON object a line: what `verify --file` reads.")]
DirectOption = Annotated[
    Path | None, typer.Option("--store-of", help="Read the store of this configuration itself; needs no daemon.")
]
ExpectOption = Annotated[
    str, typer.Option("--expect", metavar="SEQ:HASH", help="A head that was noted elsewhere must still be there.")
]


def audit_app() -> typer.Typer:
    """The commands about the audit."""
    app = typer.Typer(help="Who or what did what to which target, why, with which result.", no_args_is_help=True)
    app.command()(export)
    app.command()(verify)
    return app


def export(
    since: Annotated[str, typer.Option("--since", help="12h, 7d, or a time such as 2026-11-22T06:00:00Z.")] = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: LinesOption = False,
) -> None:
    """Print the audit, oldest first."""
    daemon = find_daemon(config, url)
    more = {"since": moment_of(since, daemon.get)} if since else {}
    pages = _pages(lambda after: _page(daemon, after, **more))
    if as_json:
        for page in pages:
            for entry in page["entries"]:
                typer.echo(msgspec.json.encode(entry).decode())
        return
    rows = [_row(entry) for page in pages for entry in page["entries"]]
    for line in columns([HEAD, *rows]) if rows else ["nothing was audited"]:
        say(line)


def _page(daemon: Daemon, after: int, **more: str) -> Any:
    return daemon.get("/api/v1/audit", "entries", after=after, limit=PAGE, **more)


def moment_of(since: str, get: Callable[[str, str], Any]) -> str:
    """A time as text: what was given, or that long before the daemon's now."""
    try:
        return format_instant(parse_instant(since))
    except (ValueError, OverflowError):
        pass
    try:
        length = parse_duration(since)
        return format_instant(max(0, parse_instant(get("/api/v1/status", "time")["time"]) - length))
    except (ValueError, OverflowError):
        fail(f"{safe(since)!r}: --since takes a duration such as '12h', or a time such as 2026-11-22T06:00:00Z")


def verify(
    file: FileOption = None,
    store_of: DirectOption = None,
    expect: ExpectOption = "",
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow the hash chain. Exit code 0: whole. 1: changed, cut or missing links, all of which are named."""
    if file is not None:
        verifier, faults = _verify_file(file, expect)
    elif store_of is not None:
        verifier, faults = _verify_store(store_of, expect)
    else:
        daemon = find_daemon(config, url)
        verifier, faults = _verify(lambda after: _page(daemon, after), expect)
    if as_json:
        say_json({"ok": not faults, "checked": verifier.checked, "seq": verifier.seq, "hash": verifier.hash,
                  "faults": faults})  # fmt: skip
    else:
        for line in verdict_lines(verifier, faults):
            say(line)
    if faults:
        raise typer.Exit(FINDINGS)


def verdict_lines(verifier: Verifier, faults: list[str]) -> Iterator[str]:
    """The verdict as a person reads it."""
    yield from (f"BROKEN: {safe(fault)}" for fault in faults)
    begins = f", from entry {verifier.start + 1}" if verifier.start else ""
    yield f"{verifier.checked:,} entries checked{begins}: {'the chain is broken' if faults else 'the chain is whole'}"
    if not faults:
        yield f"head {verifier.seq}:{verifier.hash}"


# -- reading ------------------------------------------------------------------------------------------------------


def _pages(read: ReadPage) -> Iterator[View]:
    after = 0
    while True:
        page = read(after)
        try:
            yield page
            if not page["entries"]:
                return
            after = page["entries"][-1]["seq"]
        except (KeyError, TypeError, IndexError):
            fail("what answers there is not this version of remediator")


def _verify(read: ReadPage, expect: str) -> tuple[Verifier, list[str]]:
    verifier: Verifier | None = None
    watched = _Expected(expect)
    for page in _pages(read):
        verifier = verifier or Verifier(msgspec.convert(page["head"], AuditHead))
        rows = [row_of(entry) for entry in page["entries"]]
        watched.take(rows)
        verifier.take(rows)
    assert verifier is not None  # noqa: S101  (there is always a first page)
    return verifier, [*verifier.end(), *watched.faults()]


def _verify_file(path: Path, expect: str) -> tuple[Verifier, list[str]]:
    """An export has no head of its own: it begins where its first link says, and ends where it ends."""
    watched = _Expected(expect)
    verifier: Verifier | None = None
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), b""), 1):
                row = _row_in(path, number, line)
                verifier = verifier or Verifier(AuditHead(row.seq - 1, row.prev_hash, row.seq - 1, row.prev_hash))
                watched.take([row])
                verifier.take([row])
    except OSError as error:
        fail(f"{safe(path)}: {error.strerror}")
    if verifier is None:
        fail(f"{safe(path)}: no entry there")
    return verifier, [*verifier.end(), *watched.faults()]


def _row_in(path: Path, number: int, line: bytes) -> AuditRow:
    try:
        return row_of(msgspec.json.decode(line))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        fail(f"{safe(path)}:{number}: not a line of `audit export --json`: {safe(error)}")


def _verify_store(config: Path, expect: str) -> tuple[Verifier, list[str]]:
    try:
        return asyncio.run(_verify_directly(config, expect))
    except Faults as faults:
        fail(str(faults))
    except StoreError as error:
        fail(f"store: {error}")


async def _verify_directly(config: Path, expect: str) -> tuple[Verifier, list[str]]:
    store = stored(config)
    await store.open()
    try:
        page = await store.audit(0, PAGE)
        verifier, watched = Verifier(page.head), _Expected(expect)
        while page.rows:
            watched.take(page.rows)
            verifier.take(page.rows)
            page = await store.audit(page.rows[-1].seq, PAGE)
        return verifier, [*verifier.end(), *watched.faults()]
    finally:
        await store.close()


class _Expected:
    """A head that was noted elsewhere: it finds a chain that was written anew from some point on."""

    def __init__(self, text: str) -> None:
        seq, _, self._hash = text.partition(":")
        if text and not (seq.isascii() and seq.isdigit() and len(self._hash) == 64):
            fail(f"{safe(text)!r}: --expect takes SEQ:HASH as `audit verify` prints it")
        self._seq = int(seq) if text else 0
        self._found = ""

    def take(self, rows: list[AuditRow]) -> None:
        self._found = next((row.hash for row in rows if row.seq == self._seq), self._found)

    def faults(self) -> list[str]:
        if not self._seq or self._found == self._hash:
            return []
        return [f"entry {self._seq} {'has another hash than expected' if self._found else 'is not there'}"]


def row_of(view: View) -> AuditRow:
    """A link as the API and an export give it. Raises KeyError, TypeError, ValueError."""
    return AuditRow(int(view["seq"]), parse_instant(view["at"]), canonical(view["entry"]), str(view["prev_hash"]),
                    str(view["hash"]))  # fmt: skip


def _row(view: View) -> tuple[str, ...]:
    entry: View = view["entry"]
    target = " ".join(str(entry[name]) for name in ("target", "subject") if entry.get(name))
    by = f" (approved by {entry['approved_by']})" if entry.get("approved_by") else ""
    result = " ".join(str(entry[name]) for name in ("result", "detail") if entry.get(name))
    why = safe(entry.get("why", ""))
    return (
        str(view["seq"]),
        safe(view["at"])[:19].replace("T", " "),
        safe(entry.get("actor", "")) + safe(by),
        safe(entry.get("event", "")),
        safe(entry.get("what", "")),
        safe(target)[:WHY_LIMIT],
        safe(result)[:WHY_LIMIT],
        cut(why, WHY_LIMIT),
    )
