"""`remediator backup` and `remediator restore`: a copy of the store, and going on with one older than the world.

Neither needs a daemon; restore needs that none runs.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from remediator.cli.daemon import JsonOption
from remediator.cli.output import fail, safe, say, say_json
from remediator.cli.people import AsOption, actor
from remediator.cli.stored import stored
from remediator.model.inputs import Pressed
from remediator.model.time import SECOND
from remediator.rules.faults import Faults
from remediator.store import backup as copies
from remediator.store.factory import sqlite_path
from remediator.store.port import Counts, Store, StoreError

LEASE = 60 * SECOND
OwnConfig = Annotated[Path, typer.Option("--config", "-c", help="The configuration whose store is meant.")]
View = dict[str, Any]


def backup(
    to: Annotated[Path, typer.Argument(help="The file to be made.")],
    config: OwnConfig,
    as_json: JsonOption = False,
) -> None:
    """Copy the SQLite store, also while the daemon runs. PostgreSQL has its own tools for that."""
    try:
        size = copies.save(_file_of(config, "PostgreSQL: take a backup with pg_dump, or as your server does it"), to)
    except StoreError as error:
        fail(f"store: {error}")
    if as_json:
        say_json({"file": str(to), "bytes": size})
    else:
        say(f"{safe(to)}: {size:,} bytes; it holds texts of errors and names of people: keep it as safe as the store")


def restore(
    config: OwnConfig,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Put this backup of a SQLite store back first; without, you have done so."),
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Do it; without, only what would be done is told.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is journalled.")] = "",
    name: AsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say that the store came back from a backup: the daemon starts frozen, looks first, and says what it found."""
    try:
        if source is not None:
            path = _file_of(config, "--from is for SQLite: put a PostgreSQL store back with its tools")
            if confirm:
                copies.put_back(source, path)
            else:
                copies.check(source)
                if not path.exists():
                    _say_it_is_missing(source, path, as_json=as_json)
                    fail("nothing was changed: give --confirm")
        view = asyncio.run(_marked(config, Pressed(actor(name), "restored", reason), confirm=confirm))
    except Faults as faults:
        fail(str(faults))
    except StoreError as error:
        fail(f"store: {error}")
    if as_json:
        say_json(view)
    else:
        say(_told(view, source))
    if not confirm:
        fail("nothing was changed: give --confirm")


def _say_it_is_missing(source: Path, path: Path, *, as_json: bool) -> None:
    if as_json:
        say_json({"restored": False, "actions": 0, "head": 0, "decided": 0})
    else:
        say(f"{safe(source)} would become the store {safe(path)}, where there is none, and be marked as restored")


def _told(view: View, source: Path | None) -> str:
    held = f"{view['actions']} unfinished actions in its outbox, decided up to {view['decided']} of {view['head']}"
    if not view["restored"]:
        put = f"{safe(source)} would replace the store, and be marked" if source else "the store would be marked"
        now = "the store that is there now has" if source else "it has"
        return f"{put} as restored from a backup; {now} {held}"
    return (
        f"marked as restored: {held}\n"
        "Start the daemon. It is frozen, looks at everything that was open, and tells self_route and "
        "'remediator status' what it found; then 'remediator freeze off' lets it go on."
    )


async def _marked(config: Path, pressed: Pressed, *, confirm: bool) -> View:
    store = stored(config)
    await store.open()
    try:
        counts = await store.counts()
        if not counts.journal_head:
            fail("store: there is nothing in it")
        held = await _mark(store, pressed) if confirm else unfinished(counts)
    finally:
        await store.close()
    return {"restored": confirm, "actions": held, "head": counts.journal_head, "decided": counts.controller_position}


async def _mark(store: Store, pressed: Pressed) -> int:
    from remediator.runtime import audit

    lease = await store.acquire_lease("remediator restore", LEASE)
    if lease is None:
        raise StoreError("a daemon runs on it; stop every daemon first")
    try:
        return await store.restored(pressed, time.time_ns() // 1_000, audit.command(pressed))
    finally:
        await store.release_lease(lease)


def unfinished(counts: Counts) -> int:
    """Actions of the outbox that are not ended, questions left out."""
    from remediator.model.action import QUESTIONS

    return sum(
        states.get(state, 0)
        for kind, states in counts.outbox.items()
        if kind not in QUESTIONS
        for state in ("pending", "claimed")
    )


def _file_of(config: Path, otherwise: str) -> Path:
    from remediator.config.load import load_config

    try:
        url = load_config(config).store.full_url().reveal()
    except Faults as faults:
        fail(str(faults))
    if not url.startswith("sqlite:"):
        fail(otherwise)
    return Path(sqlite_path(url))
