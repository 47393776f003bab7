"""Reads the configuration file: everything, or every fault."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from remediator.config.allow import read_allows
from remediator.config.deployments import check_claims, read_deployments, read_infrastructure
from remediator.config.feeds import read_feeds
from remediator.config.maintenance import read_maintenance
from remediator.config.names import Names
from remediator.config.people import read_receivers, read_routes
from remediator.config.policy import complete_policy, read_policy
from remediator.config.report import read_report
from remediator.config.secrets import SecretReader
from remediator.config.sections import read_daemon, read_dispatcher, read_http, read_log, read_rules, read_store
from remediator.config.settings import Cluster, Config, Deployment, Endpoint, HttpSettings, Receiver
from remediator.config.targets import read_clusters, read_endpoints
from remediator.model.time import Duration
from remediator.rules.faults import Fault, Faults
from remediator.rules.toml import Document, Table, decode_document


def load_config(path: Path | str, environ: Mapping[str, str] | None = None, *, resolve_secrets: bool = True) -> Config:
    """The configuration in one file. Raises Faults with everything that is wrong, secrets that are missing too.

    environ: where `{ env = … }` looks; the process's environment unless given.
    resolve_secrets: False reads every secret as an empty one, for checks on a machine that must not have them.
    """
    path = Path(path)
    document = _open(path)
    secrets = SecretReader(_environ(environ) if resolve_secrets else None, path.parent)
    config = _read(document.root(), secrets, path.parent)
    document.check()
    return config


def load_http(path: Path | str) -> HttpSettings:
    """[http] alone: enough for a command that talks to the daemon. Raises Faults of that section."""
    path = Path(path)
    document = _open(path)
    settings = read_http(document.root(), SecretReader(os.environ, path.parent))
    document.check()
    return settings


def _environ(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if environ is None else environ


def _open(path: Path) -> Document:
    try:
        body = path.read_bytes()
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise Faults([Fault(str(path), 0, "", found.lower(), "a readable configuration file")]) from None
    return decode_document(body, str(path))


def _timeouts(deployments: Sequence[Deployment], *others: Sequence[Receiver | Endpoint | Cluster]) -> list[Duration]:
    apis = [deployment.api.timeout for deployment in deployments if deployment.api is not None]
    return [*apis, *(one.timeout for some in others for one in some)]


def _read(root: Table, secrets: SecretReader, base: Path) -> Config:
    policy_table = root.table("policy")
    policy = read_policy(policy_table)
    feeds = read_feeds(root, secrets, policy.lateness, base)
    names = Names()
    deployments = read_deployments(root, names, secrets, feeds, base)
    infrastructure = read_infrastructure(root, names, feeds, deployments)
    check_claims(root, deployments)
    known = [deployment.name for deployment in deployments]
    allows, maintenance = read_allows(root, known), read_maintenance(root, known)
    endpoints, clusters = read_endpoints(root, secrets), read_clusters(root, secrets, known, base)
    receivers = read_receivers(root, secrets)
    routes = read_routes(root, receivers)
    report = read_report(root, routes)
    config = Config(
        base=base,
        daemon=read_daemon(root),
        store=read_store(root, secrets),
        feeds=feeds,
        deployments=deployments,
        infrastructure=infrastructure,
        receivers=receivers,
        endpoints=endpoints,
        clusters=clusters,
        decisions=replace(
            complete_policy(policy_table, policy, feeds, deployments, infrastructure, routes, allows, maintenance),
            endpoints=tuple(one.name for one in endpoints),
            report=report,
        ),
        rules=read_rules(root, base),
        http=read_http(root, secrets),
        log=read_log(root),
        dispatcher=read_dispatcher(root, _timeouts(deployments, receivers, endpoints, clusters)),
    )
    root.close()
    return config
