"""[[deployment]] and [[infrastructure]]: which Airflows there are, where they run, and how far each may be touched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from remediator.config.allow import check_fitting
from remediator.config.names import Names, check_known, read_file_name
from remediator.config.secrets import SecretReader
from remediator.config.settings import AirflowApi, Deployment, Feed, Infrastructure
from remediator.model.globs import covers
from remediator.model.policy import DeploymentPolicy, Mode
from remediator.model.time import DAY, MINUTE, SECOND
from remediator.rules.toml import Table, show

ANY = ("*",)
API_VERSIONS = ("v2", "v1", "auto")


def read_deployments(
    root: Table, names: Names, secrets: SecretReader, feeds: Sequence[Feed], base: Path
) -> tuple[Deployment, ...]:
    """Every [[deployment]], each with a feed that is defined. names: shared with infrastructure."""
    known = [feed.name for feed in feeds]
    return tuple(_read_deployment(table, names, secrets, known, base) for table in root.tables("deployment"))


def _read_deployment(table: Table, names: Names, secrets: SecretReader, feeds: list[str], base: Path) -> Deployment:
    name = names.read(table, "deployment")
    table.require("feed")
    feed = table.text("feed")
    api = _read_api(table.table("api"), secrets, base) if "api" in table else None
    hosts = (urlsplit(api.url).hostname or "",) if api is not None and api.url else ()
    deployment = Deployment(
        name=name,
        feed=feed,
        namespaces=table.texts("namespaces"),
        topics=table.texts("topics"),
        ceiling=table.enum("ceiling", Mode.OBSERVE),
        api=api,
        log_hosts=table.texts("log_hosts", hosts),
    )
    if api is None:
        table.raw("api")
    table.close()
    _check_share(table, feed, feeds)
    if deployment.ceiling is not Mode.OBSERVE and "api" not in table:
        found = f'"{deployment.ceiling.value}" without [deployment.api]'
        table.fault("ceiling", found, '"observe", or an api: what cannot be asked must not be changed')
    return deployment


def read_infrastructure(
    root: Table, names: Names, feeds: Sequence[Feed], deployments: Sequence[Deployment]
) -> tuple[Infrastructure, ...]:
    """Every [[infrastructure]], each with a feed that is defined and deployments that it serves."""
    known = [feed.name for feed in feeds]
    served = [deployment.name for deployment in deployments]
    return tuple(_read_infrastructure(table, names, known, served) for table in root.tables("infrastructure"))


def _read_infrastructure(table: Table, names: Names, feeds: list[str], deployments: list[str]) -> Infrastructure:
    name = names.read(table, "infrastructure")
    table.require("feed", "serves")
    infrastructure = Infrastructure(
        name=name,
        feed=table.text("feed"),
        serves=table.texts("serves"),
        namespaces=table.texts("namespaces"),
        topics=table.texts("topics"),
    )
    table.close()
    _check_share(table, infrastructure.feed, feeds)
    if table.data.get("serves") == []:
        table.fault("serves", "an empty list", "globs over the names of deployments")
    check_fitting(table, "serves", infrastructure.serves, deployments, "deployment")
    return infrastructure


def check_claims(root: Table, deployments: Sequence[Deployment]) -> None:
    """What two of them claim belongs to nobody: its events would be observed only."""
    for number, (table, one) in enumerate(zip(root.tables("deployment"), deployments, strict=True)):
        table.name = f"deployment {show(one.name)}"
        for other in (other for other in deployments[:number] if other.name != one.name):
            if not _shared(one.topics or ANY, other.topics or ANY) or bool(one.namespaces) != bool(other.namespaces):
                continue  # claims by namespace and claims by topic alone mean different producers
            axis = "namespaces" if one.namespaces else "topics"
            shared = _shared(getattr(one, axis), getattr(other, axis))
            if shared:
                allowed = "what one of them alone claims, by namespaces or topics: what both claim is only observed"
                table.fault(axis, f"{show(shared)}, which {show(other.name)} claims too", allowed)


def _shared(some: Sequence[str], others: Sequence[str]) -> str:
    """One that is in both lists, or covered by a glob of the other; '' for none."""
    pairs = ((one, other) for one in some for other in others)
    return next((one if covers(other, one) else other for one, other in pairs
                 if one == other or covers(other, one) or covers(one, other)), "")  # fmt: skip


def _check_share(table: Table, feed: str, feeds: list[str]) -> None:
    if feed:
        check_known(table, "feed", feed, feeds, "feed")
    if not any(table.data.get(key) for key in ("namespaces", "topics")):
        table.fault("", "neither namespaces nor topics", 'what is its own; namespaces = ["*"] takes everything')


def _read_api(table: Table, secrets: SecretReader, base: Path) -> AirflowApi:
    table.require("url")
    api = AirflowApi(
        url=check_url(table, "url", table.text("url", secret=True)),
        username=table.text("username"),
        password=secrets.read(table, "password"),
        token=secrets.read(table, "token"),
        ca_file=read_file_name(table, "ca_file", base),
        api_version=table.choice("api_version", "v2", API_VERSIONS),
        max_concurrency=table.integer("max_concurrency", 8, 1, 64),
        requests_per_second=table.number("requests_per_second", 0.0, 0.0, 1_000.0),
        timeout=table.duration("timeout", 20 * SECOND, 1 * SECOND, 30 * SECOND),
        queued_too_long=table.duration("queued_too_long", 10 * MINUTE, 1 * MINUTE, 7 * DAY),
        must_run=table.texts("must_run"),
    )
    table.close()
    with_password = "username" in table or "password" in table
    if with_password == ("token" in table):
        found = "a token as well as username and password" if with_password else "no credentials"
        table.fault("", found, "either token, or username and password")
    elif with_password:
        table.require("username", "password")
    return api


def check_url(table: Table, key: str, url: str) -> str:
    """Fault unless `url` is an http(s) address without credentials in it."""
    if key not in table:
        return url
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        table.fault(key, "an address that is not valid", "http://host:port or https://host")
        return ""
    if parts.username is not None or parts.password is not None:
        table.fault(key, "credentials written into the address", "an address without them")
        return ""
    if not usable:
        table.fault(key, show(url), "http://host:port or https://host")
    return url if usable else ""


def deployment_policy(deployment: Deployment) -> DeploymentPolicy:
    """The part of a deployment that decisions read."""
    return DeploymentPolicy(
        name=deployment.name,
        feed=deployment.feed,
        ceiling=deployment.ceiling,
        has_api=deployment.api is not None,
        log_hosts=deployment.log_hosts,
    )


def infrastructure_policy(infrastructure: Infrastructure) -> DeploymentPolicy:
    """The part of an infrastructure that decisions read: nothing can be asked of it, nothing changed in it."""
    return DeploymentPolicy(
        name=infrastructure.name,
        feed=infrastructure.feed,
        has_api=False,
        serves=infrastructure.serves,
    )
