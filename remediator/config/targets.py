"""[[endpoint]] and [[cluster]]: what changes beyond Airflow are made to, and with which credentials."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from remediator.config.allow import check_fitting
from remediator.config.deployments import check_url
from remediator.config.names import Names, read_file_name
from remediator.config.secrets import SecretReader
from remediator.config.settings import Cluster, Endpoint
from remediator.model.globs import any_covers
from remediator.model.secret import Secret
from remediator.model.time import SECOND
from remediator.rules.toml import Table, quote_key, show

METHODS = ("POST", "PUT")
MAX_HEADERS = 20
OWN_HEADERS = ("content-type", "content-length", "host", "transfer-encoding", "connection")
"""Headers that the request itself decides."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_A_HEADER = "the name of a header, such as 'X-Api-Key'"


def read_endpoints(root: Table, secrets: SecretReader) -> tuple[Endpoint, ...]:
    """Every [[endpoint]]."""
    names = Names()
    return tuple(_read_endpoint(table, names, secrets) for table in root.tables("endpoint"))


def _read_endpoint(table: Table, names: Names, secrets: SecretReader) -> Endpoint:
    name = names.read(table, "endpoint")
    table.require("url")
    default = Endpoint(name="", url=Secret(""))
    endpoint = Endpoint(
        name=name,
        url=_read_url(table, secrets),
        method=table.choice("method", default.method, METHODS),
        token=secrets.read(table, "token"),
        headers=_read_headers(table.table("headers"), secrets),
        idempotency_header=table.text("idempotency_header"),
        timeout=table.duration("timeout", default.timeout, 1 * SECOND, 30 * SECOND),
    )
    table.close()
    _check_headers(table, endpoint)
    return endpoint


def _read_url(table: Table, secrets: SecretReader) -> Secret:
    """An address in the file, or one that is a secret: then no fault shows it."""
    if not isinstance(table.raw("url"), dict):
        return Secret(check_url(table, "url", table.text("url", secret=True)))
    url = secrets.read(table, "url") or Secret("")
    if url and not url.reveal().startswith(("https://", "http://")):
        table.fault("url", "a secret that is no such address", "http://host:port or https://host")
    return url


def _read_headers(table: Table, secrets: SecretReader) -> dict[str, Secret]:
    if len(table.data) > MAX_HEADERS:
        table.fault("", f"{len(table.data)} headers", f"at most {MAX_HEADERS}")
    read = {name: secrets.read(table, name) for name in list(table.data)[:MAX_HEADERS]}
    return {name: value for name, value in read.items() if value is not None}


def _check_headers(table: Table, endpoint: Endpoint) -> None:
    headers = table.table("headers")
    names = [name.lower() for name in headers.data]
    for name in headers.data:
        _check_header(headers, name, name)
        if names.count(name.lower()) > 1:
            headers.fault(name, f"{quote_key(name)} more than once", "each header once, in capitals or not")
    if "token" in table and "authorization" in names:
        table.fault("token", "a token as well as a header Authorization", "one of them")
    if endpoint.idempotency_header:
        _check_header(table, "idempotency_header", endpoint.idempotency_header)
    if endpoint.idempotency_header.lower() in (*names, "authorization"):
        table.fault("idempotency_header", show(endpoint.idempotency_header), "a header that is not sent already")


def _check_header(table: Table, key: str, name: str) -> None:
    if not _HEADER.fullmatch(name):
        table.fault(key, show(name), _A_HEADER)
    elif name.lower() in OWN_HEADERS:
        table.fault(key, f"{name}, which every request has already", _A_HEADER)


def read_clusters(root: Table, secrets: SecretReader, deployments: Sequence[str], base: Path) -> tuple[Cluster, ...]:
    """Every [[cluster]]. deployments: those that are configured; each is served by one cluster at most."""
    names = Names()
    tables = root.tables("cluster")
    clusters = tuple(_read_cluster(table, names, secrets, deployments, base) for table in tables)
    first: dict[str, str] = {}
    for table, cluster in zip(tables, clusters, strict=True):
        for name in [name for name in deployments if any_covers(cluster.serves, name)]:
            if name in first:
                found = f"{show(name)}, which cluster {show(first[name])} serves"
                table.fault("serves", found, "each deployment in one cluster at most")
            first.setdefault(name, cluster.name)
    return clusters


def _read_cluster(table: Table, names: Names, secrets: SecretReader, known: Sequence[str], base: Path) -> Cluster:
    name = names.read(table, "cluster")
    table.require("serves", "url", "token")
    default = Cluster(name="", serves=(), url="", token=Secret(""))
    cluster = Cluster(
        name=name,
        serves=table.texts("serves"),
        url=check_url(table, "url", table.text("url", secret=True)),
        token=secrets.read(table, "token") or default.token,
        ca_file=read_file_name(table, "ca_file", base),
        timeout=table.duration("timeout", default.timeout, 1 * SECOND, 30 * SECOND),
    )
    table.close()
    if table.data.get("serves") == []:
        table.fault("serves", "an empty list", "globs over the names of deployments")
    check_fitting(table, "serves", cluster.serves, known, "deployment")
    return cluster
