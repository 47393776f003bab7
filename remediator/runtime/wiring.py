"""Wiring: from settings to adapters. The one place that knows which class stands behind which name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import msgspec

from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.executors import executors as airflow_executors
from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.survey import SurveyExecutor
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.actions.http.executor import RequestExecutor
from remediator.actions.http.settings import EndpointAccount
from remediator.actions.kubernetes.client import ClusterClient
from remediator.actions.kubernetes.executor import ScaleExecutor
from remediator.actions.kubernetes.settings import ClusterAccount
from remediator.actions.log import LogExecutor
from remediator.actions.pagerduty.executor import PagerDutyAccount, PagerDutyExecutor
from remediator.actions.port import Executor, Questioner
from remediator.actions.preview import PreviewQuestioner
from remediator.actions.slack.client import SlackAccount
from remediator.actions.slack.executor import SlackExecutor
from remediator.codecs.dead_letters import dead_letter
from remediator.codecs.deployments import DeploymentMap
from remediator.codecs.mapping import MappingCodec, MappingSpec
from remediator.codecs.masking import mask
from remediator.codecs.port import Codec, Undecodable
from remediator.codecs.registry import CODECS
from remediator.config.settings import (
    Cluster,
    Config,
    Deployment,
    Endpoint,
    Feed,
    PagerDutyReceiver,
    SlackReceiver,
)
from remediator.model.event import Event
from remediator.model.record import Record
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, SECOND, Instant
from remediator.runtime.intake import Intake
from remediator.sources.kafka import KafkaSource
from remediator.sources.kafka_settings import KafkaSettings
from remediator.sources.port import PositionReader
from remediator.store.factory import open_store
from remediator.store.port import Store
from remediator.store.urls import mask_url

CONNECT_TIMEOUT_S = 5.0
Clock = Callable[[], Instant]


class WatchedSource(Protocol):
    """A source that can say what is wrong with it."""

    @property
    def problem(self) -> str:
        """One line, '' if nothing is."""


class Outside(msgspec.Struct, frozen=True):
    """Everything that acts or answers, by kind, and how to let go of it."""

    executors: Mapping[str, Executor]
    questioners: Mapping[str, Questioner]
    closers: tuple[Callable[[], Awaitable[None]], ...]

    async def close(self) -> None:
        """Close every connection."""
        for close in self.closers:
            await close()


def make_store(config: Config) -> Store:
    """The store, still to be opened. Raises StoreError."""
    settings = config.store
    return open_store(
        settings.full_url().reveal(), durability=settings.synchronous, max_page_count=settings.max_page_count
    )


def make_outside(config: Config, write: Callable[..., object]) -> Outside:
    """Executors for every receiver and deployment. `write` takes log lines."""
    clients = {one.name: AirflowClient(_airflow(one)) for one in config.deployments if one.api is not None}
    slack = SlackExecutor(
        {one.name: SlackAccount(one.token, one.api_url, one.timeout)
         for one in config.receivers if isinstance(one, SlackReceiver)}
    )  # fmt: skip
    pagerduty = PagerDutyExecutor(
        {one.name: PagerDutyAccount(one.routing_key, one.api_url, one.timeout)
         for one in config.receivers if isinstance(one, PagerDutyReceiver)},
        client=config.daemon.name,
    )  # fmt: skip
    requests = RequestExecutor({one.name: _endpoint(one) for one in config.endpoints}, mask)
    clusters = {one.name: ClusterClient(_cluster(one)) for one in config.clusters}
    changes = airflow_executors(clients)
    return Outside(
        executors={
            **changes,
            "http.request": requests,
            "kubernetes.scale": ScaleExecutor(_by_deployment(config, clusters)),
            "slack.message": slack,
            "pagerduty.page": pagerduty,
            "log": LogExecutor(write),
        },
        questioners={
            "airflow.look": LookExecutor(clients),
            "airflow.sweep": SweepExecutor(clients),
            "airflow.survey": SurveyExecutor(clients, mask),
            "airflow.log": LogTailExecutor(clients, mask),
            "preview": PreviewQuestioner(changes),
        },
        closers=(
            *(client.close for client in clients.values()),
            *(cluster.close for cluster in clusters.values()),
            requests.close,
            slack.close,
            pagerduty.close,
        ),
    )


def make_client(deployment: Deployment) -> AirflowClient:
    """The API of a deployment that has one."""
    return AirflowClient(_airflow(deployment))


def _airflow(deployment: Deployment) -> AirflowSettings:
    api = deployment.api
    assert api is not None  # noqa: S101  (asked for by the caller)
    return AirflowSettings(
        deployment=deployment.name,
        base_url=api.url,
        api_version=api.api_version,
        username=api.username,
        password=api.password or Secret(),
        token=api.token or Secret(),
        ca_file=api.ca_file,
        concurrency=api.max_concurrency,
        requests_per_second=api.requests_per_second,
        connect_timeout_s=min(CONNECT_TIMEOUT_S, api.timeout / SECOND),
        read_timeout_s=api.timeout / SECOND,
        read_budget_s=api.timeout / SECOND,
        queued_too_long=api.queued_too_long,
        must_run=api.must_run,
    )


def _endpoint(endpoint: Endpoint) -> EndpointAccount:
    return EndpointAccount(
        url=endpoint.url,
        method=endpoint.method,
        token=endpoint.token or Secret(),
        headers=endpoint.headers,
        idempotency_header=endpoint.idempotency_header,
        timeout=endpoint.timeout,
    )


def _cluster(cluster: Cluster) -> ClusterAccount:
    return ClusterAccount(url=cluster.url, token=cluster.token, ca_file=cluster.ca_file, timeout=cluster.timeout)


def _by_deployment(config: Config, clusters: Mapping[str, ClusterClient]) -> dict[str, ClusterClient]:
    """Deployment -> the cluster that serves it."""
    serving = {one.name: config.cluster_of(one.name) for one in config.deployments}
    return {name: clusters[cluster.name] for name, cluster in serving.items() if cluster is not None}


def make_source(feed: Feed, positions: PositionReader, clock: Clock) -> KafkaSource:
    """The feed's source, still to be started."""
    return KafkaSource(kafka_settings(feed), positions, clock)


def kafka_settings(feed: Feed) -> KafkaSettings:
    """How the feed's brokers are reached. Raises ValueError that lists every fault."""
    security, fetch = feed.security, feed.fetch
    return KafkaSettings(
        bootstrap=feed.bootstrap_servers,
        group=feed.group,
        member=feed.member,
        session_timeout_ms=feed.session // MILLISECOND,
        topics=feed.topics,
        pattern=feed.topic_pattern,
        start=cast(Any, feed.start),  # the configuration allows their values only
        security_protocol=cast(Any, security.protocol),
        sasl_mechanism=cast(Any, security.mechanism),
        username=security.username,
        password=security.password or Secret(),
        cafile=security.ca_file,
        certfile=security.cert_file,
        keyfile=security.key_file,
        max_records=fetch.max_records,
        max_partition_fetch_bytes=fetch.max_partition_bytes,
        fetch_max_bytes=fetch.max_bytes,
        fetch_max_wait_ms=fetch.max_wait // MILLISECOND,
    )


def make_positions(store: Store, feed: str) -> PositionReader:
    """The store's progress, bound to the feed."""

    async def positions(topic: str) -> dict[int, int]:
        return await store.progress(feed, topic)

    return positions


def make_intake(config: Config, feed: Feed) -> Intake:
    """How the feed's records are read."""
    return Intake(
        feed=feed.name,
        decode=_decoding(_codec(feed)),
        assign=DeploymentMap(config.bindings()).assign,
        dead_letter=dead_letter,
    )


def _codec(feed: Feed) -> Codec:
    if feed.mapping is not None:
        return MappingCodec(MappingSpec(**msgspec.structs.asdict(feed.mapping)))
    return CODECS[feed.codec]()


def _decoding(codec: Codec) -> Callable[[Record], list[Event] | str]:
    def decode(record: Record) -> list[Event] | str:
        try:
            return codec.decode(record)
        except Undecodable as error:
            return error.reason

    return decode


def store_name(config: Config) -> str:
    """The store's URL without what must not be seen."""
    return mask_url(config.store.url)
