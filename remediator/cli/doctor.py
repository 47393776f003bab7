"""`remediator doctor`: what must fit for the daemon to work, checked, and what to do if it does not.

Changes nothing: migrates no store, joins no group, and asks the schedulers only what changes nothing there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer

from remediator.cli.daemon import JsonOption, address_of, answer_of, error_text, needs_tls
from remediator.cli.doctor_check import FAIL, Check, fail, ok, warn
from remediator.cli.output import FINDINGS, columns, safe, say, say_json
from remediator.cli.status import loss_text
from remediator.config.load import load_config
from remediator.config.settings import Config
from remediator.model.shares import Loss
from remediator.rules.faults import Faults
from remediator.store.inspect import Schema, schema_of
from remediator.store.port import Store, StoreError

DAEMON_TIMEOUT_S = 5.0
LOSS_LEAST = 5
"""Unannounced failures of an hour that say something: killed tasks announce nothing, whatever the feed does."""


def doctor(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("remediator.toml"),
    notify: Annotated[
        list[str] | None, typer.Option("--notify", metavar="ROUTE", help="Send a test there, too (repeatable).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check configuration, rules, store, feeds, deployments and the daemon. Exit code 1: something fails."""
    with _quiet("aiokafka"):  # it logs every try; what is wrong is a check's text
        checks = asyncio.run(all_checks(config, tuple(notify or ())))
    has_failed = any(check.status == FAIL for check in checks)
    if as_json:
        say_json({"ok": not has_failed, "checks": msgspec.to_builtins(checks)})
    else:
        for line in check_lines(checks):
            say(line)
    if has_failed:
        raise typer.Exit(FINDINGS)


@contextmanager
def _quiet(library: str) -> Iterator[None]:
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def check_lines(checks: list[Check]) -> Iterator[str]:
    """The table; below it what is to be done."""
    yield from columns([(check.status.upper(), safe(check.name), safe(check.text)) for check in checks])
    todo = dict.fromkeys(f"  {safe(check.name)}: {safe(check.todo)}" for check in checks if check.todo)
    if todo:
        yield ""
        yield "to do"
        yield from todo


async def all_checks(path: Path, notify: tuple[str, ...] = ()) -> list[Check]:
    """Every check, in the order in which one would look."""
    try:
        config = load_config(path)
    except Faults as faults:
        return [fail("configuration", str(fault), "mend the file") for fault in faults.faults]
    checks = [ok("configuration", f"{path}: fine"), _rules(config)]
    schema_check, store = await _store(config)
    checks.append(schema_check)
    try:
        checks += await _outside_checks(config, store)
    finally:
        if store is not None:
            await store.close()
    for route in notify:
        checks += await _notify(config, route)
    return checks


def _rules(config: Config) -> Check:
    from remediator.runtime.rulebook import compile_rules  # only here: the other commands start without them

    try:
        rules = compile_rules(config)
    except Faults as faults:
        return fail(
            "rules", "; ".join(str(fault) for fault in faults.faults), "mend the files; `remediator rules lint`"
        )
    if not rules.rules:
        return warn("rules", "there are none", "every final failure is told as unclassified; write rules")
    return ok("rules", f"{len(rules.rules)} rules, set {rules.hash}")


# -- store --------------------------------------------------------------------------------------------------------


async def _store(config: Config) -> tuple[Check, Store | None]:
    """The store, open, if it has this program's schema: opening an older one would migrate it."""
    from remediator.runtime.wiring import make_store, store_name

    name = store_name(config)
    try:
        schema = await schema_of(config.store.full_url().reveal())
        if schema.found != schema.newest:
            return schema_check(name, schema), None
        store = make_store(config)
        await store.open()
        return schema_check(name, schema), store
    except StoreError as error:
        return fail("store", str(error), "check [store], and that the database is there"), None


def schema_check(name: str, schema: Schema) -> Check:
    """What the schema's version says."""
    if schema.found is None or schema.found == 0:
        return warn("store", f"{name}: empty", "the daemon makes its tables when it starts")
    if schema.found > schema.newest:
        text = f"{name}: schema {schema.found} is newer than this program's {schema.newest}"
        return fail("store", text, "use the remediator that wrote it, or a newer one")
    if schema.found < schema.newest:
        text = f"{name}: schema {schema.found}, this program's is {schema.newest}"
        return warn("store", text, "the daemon migrates it when it starts; make a backup before")
    return ok("store", f"{name}: reachable, schema {schema.found}")


# -- outside ------------------------------------------------------------------------------------------------------


async def _outside_checks(config: Config, store: Store | None) -> list[Check]:
    from remediator.cli.doctor_airflow import check_deployment  # only here: they need the clients
    from remediator.cli.doctor_feeds import check_feed

    feeds = [check_feed(config, feed, store) for feed in config.feeds]
    deployments = [check_deployment(one) for one in config.deployments]
    found = await asyncio.gather(*feeds, *deployments, _daemon(config))
    return [check for checks in found for check in checks]


async def _daemon(config: Config) -> list[Check]:
    if not config.http.enabled:
        return [warn("daemon", "its API is switched off", "set [http] enabled = true to see what it says")]
    url, token = address_of(config.http), config.http.token
    headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
    try:
        async with httpx.AsyncClient(
            timeout=DAEMON_TIMEOUT_S, trust_env=False, verify=needs_tls(httpx.URL(url))
        ) as client:
            response = await client.get(f"{url}/api/v1/status", headers=headers)
    except httpx.HTTPError as error:
        text = f"does not answer at {url}: {type(error).__name__}"
        return [warn("daemon", text, "start it with `remediator run`")]
    if response.status_code != 200:
        return [fail("daemon", f"says: {error_text(response)}", "check [http] token, and the daemon's log")]
    status = answer_of(response, "journal")
    if status is None:
        return [fail("daemon", f"what answers at {url} is not remediator", "check [http] port, and what listens there")]
    return list(status_checks(status))


def status_checks(status: dict[str, Any]) -> Iterator[Check]:
    """What the running daemon says of itself."""
    frozen = status.get("frozen")
    text = f"runs, version {status.get('version')}, {status.get('incidents_open')} incidents open"
    yield (
        warn("daemon", f"{text}; FROZEN", "`remediator freeze off` when it may act again")
        if frozen
        else ok("daemon", text)
    )
    for problem in status.get("store_failing", ()):
        yield fail(
            "daemon: store", problem, "make room, or see what holds the store; nothing is decided or read until then"
        )
    for name, feed in status.get("feeds", {}).items():
        if feed.get("problem") or feed.get("blind"):
            yield fail(f"daemon: feed {name}", feed.get("problem") or "blind", "see the check of the feed")
    for name, deployment in status.get("deployments", {}).items():
        yield from _loss(name, deployment)


def _loss(name: str, deployment: dict[str, Any]) -> Iterator[Check]:
    loss = Loss(deployment.get("failures_last_hour", 0), deployment.get("unannounced_last_hour", 0))
    if loss.share is None:
        return
    text = loss_text(loss)
    if loss.is_much(LOSS_LEAST):
        todo = "killed tasks announce nothing; if these were not killed, the feed loses events: check the producer"
        yield warn(f"daemon: events of {name}", text, todo)
    else:
        yield ok(f"daemon: events of {name}", text)


async def _notify(config: Config, route: str) -> list[Check]:
    from remediator.cli.notify import try_route

    name = f"notify {route}"
    if route not in config.policy().routes:
        return [fail(name, "no such route", "name one of [routes]")]
    return [
        ok(name, f"{told.kind} {told.place}: delivered")
        if told.arrived
        else fail(
            name,
            f"{told.kind} {told.place}: {told.state}: {told.detail}",
            "check the receiver: its credentials, api_url and the way there",
        )
        for told in await try_route(config, route)
    ]
