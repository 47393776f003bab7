"""`remediator replay`: does the journal, decided on once more, give what the store holds?"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from remediator.cli.daemon import JsonOption
from remediator.cli.output import FINDINGS, fail, safe, say, say_json
from remediator.cli.stored import stored
from remediator.rules.faults import Faults
from remediator.runtime.replay import Verdict
from remediator.store.port import StoreError


def replay(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("remediator.toml"),
    as_json: JsonOption = False,
) -> None:
    """Decide the journal once more and compare: decisions, actions and states. The daemon must not run meanwhile."""
    verdict = _verdict(config)
    if as_json:
        say_json({name: getattr(verdict, name) for name in verdict.__struct_fields__})
    else:
        say(f"journal positions {verdict.start + 1} to {verdict.end}: {verdict.decisions} decisions, "
            f"{verdict.actions} actions, {verdict.states} states")  # fmt: skip
        say(safe(verdict.difference) or "byte-identical")
    if verdict.difference:
        raise typer.Exit(FINDINGS)


def _verdict(config: Path) -> Verdict:
    try:
        return asyncio.run(_verify(config))
    except Faults as faults:
        fail(str(faults))
    except StoreError as error:
        fail(f"store: {error}")


async def _verify(config: Path) -> Verdict:
    from remediator.runtime.replay import verify  # only here: the other commands start without it

    store = stored(config)
    await store.open()
    try:
        return await verify(store)
    finally:
        await store.close()
