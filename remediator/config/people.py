"""[[receiver]] and [routes.*]: whose credentials reach people, and which names rules use for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.config.deployments import check_url
from remediator.config.names import Names, check_known, check_name
from remediator.config.secrets import SecretReader
from remediator.config.settings import PagerDutyReceiver, Receiver, SlackReceiver
from remediator.model.policy import Destination, Route
from remediator.model.secret import Secret
from remediator.model.time import SECOND
from remediator.rules.toml import Table, show

DEFAULT_ROUTE = Route(name="default", destinations=(Destination(kind="log"),))
EXECUTORS = {"slack": "slack.message", "pagerduty": "pagerduty.page", "log": "log"}
"""What a destination is called in the file -> the kind of action that goes there."""
RECEIVER_KINDS = ("slack", "pagerduty")


def read_receivers(root: Table, secrets: SecretReader) -> tuple[Receiver, ...]:
    """Every [[receiver]]."""
    names = Names()
    return tuple(_read_receiver(table, names, secrets) for table in root.tables("receiver"))


def _read_receiver(table: Table, names: Names, secrets: SecretReader) -> Receiver:
    name = names.read(table, "receiver")
    table.require("kind")
    kind = table.choice("kind", "", RECEIVER_KINDS)
    receiver = _pagerduty(table, name, secrets) if kind == "pagerduty" else _slack(table, name, secrets, kind)
    if kind:
        table.close()
    return receiver


def _slack(table: Table, name: str, secrets: SecretReader, kind: str) -> SlackReceiver:
    if kind:
        table.require("token")
    default = SlackReceiver(name="", token=Secret(""))
    return SlackReceiver(
        name=name,
        token=secrets.read(table, "token") or default.token,
        api_url=check_url(table, "api_url", table.text("api_url", default.api_url, secret=True)),
        timeout=table.duration("timeout", default.timeout, 1 * SECOND, 30 * SECOND),
    )


def _pagerduty(table: Table, name: str, secrets: SecretReader) -> PagerDutyReceiver:
    table.require("routing_key")
    default = PagerDutyReceiver(name="", routing_key=Secret(""))
    return PagerDutyReceiver(
        name=name,
        routing_key=secrets.read(table, "routing_key") or default.routing_key,
        api_url=check_url(table, "api_url", table.text("api_url", default.api_url, secret=True)),
        timeout=table.duration("timeout", default.timeout, 1 * SECOND, 30 * SECOND),
    )


def read_routes(root: Table, receivers: Sequence[Receiver]) -> dict[str, Route]:
    """Every [routes.<name>]; `default` writes to the log unless the file says otherwise."""
    table = root.table("routes")
    kinds = {receiver.name: str(receiver.__struct_config__.tag) for receiver in receivers}
    routes = {name: _read_route(table.table(name), name, kinds) for name in table.data}
    for name in routes:
        check_name(table, name, name)
    routes.setdefault(DEFAULT_ROUTE.name, DEFAULT_ROUTE)
    _check_fallbacks(table, routes)
    return routes


def _read_route(table: Table, name: str, kinds: Mapping[str, str]) -> Route:
    table.require("destinations")
    route = Route(
        name=name,
        destinations=tuple(_read_destination(one, kinds) for one in table.tables("destinations")),
        fallback=table.text("fallback"),
        pages_per_hour=table.integer("pages_per_hour", Route("").pages_per_hour, 1, 10_000),
    )
    if table.data.get("destinations") == []:
        table.fault("destinations", "an empty list", "at least one destination")
    table.close()
    return route


def _read_destination(table: Table, kinds: Mapping[str, str]) -> Destination:
    table.require("kind")
    kind = table.choice("kind", "", EXECUTORS)
    if kind in RECEIVER_KINDS:
        table.require("receiver")
    if kind == "slack":
        table.require("channel")
    receiver = table.text("receiver") if kind != "log" else ""
    channel = table.text("channel", max_length=100) if kind in ("slack", "") else ""
    if kind:
        table.close()
    if kind in RECEIVER_KINDS and "receiver" in table and check_known(table, "receiver", receiver, kinds, "receiver"):
        _check_kind(table, kind, receiver, kinds)
    return Destination(kind=EXECUTORS.get(kind, kind), receiver=receiver, channel=channel)


def _check_kind(table: Table, kind: str, receiver: str, kinds: Mapping[str, str]) -> None:
    if kinds[receiver] not in (kind, ""):
        found = f"{show(receiver)}, which is a receiver of kind {kinds[receiver]}"
        table.fault("receiver", found, f"a receiver of kind {kind}")


def _check_fallbacks(table: Table, routes: Mapping[str, Route]) -> None:
    for name, route in routes.items():
        if not route.fallback:
            continue
        where = table.table(name)
        if check_known(where, "fallback", route.fallback, routes, "route"):
            path = _fallback_path(name, routes)
            if path[-1] == name and name == min(path):
                where.fault("fallback", "a circle: " + " -> ".join(path), "fallbacks that end")


def _fallback_path(name: str, routes: Mapping[str, Route]) -> list[str]:
    """The routes that follow each other, up to the last or the first repeated one."""
    path = [name]
    while (following := routes[path[-1]].fallback) and following in routes:
        path.append(following)
        if following in path[:-1]:
            break
    return path
