"""What the configuration file says, as frozen values; field names are the file's own keys.

Owns the defaults. Holds no reading, no checks; secrets stay wrapped in `Secret`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

from remediator.codecs.deployments import DeploymentBinding
from remediator.model.globs import any_covers
from remediator.model.policy import Mode, Policy
from remediator.model.secret import Secret
from remediator.model.time import DAY, MILLISECOND, MINUTE, SECOND, Duration

MIB = 1024 * 1024


class Daemon(msgspec.Struct, frozen=True):
    """name: what messages and pages call this remediator.

    lease: PostgreSQL only: how long after its death a decider's place is taken by another process. On SQLite the
    operating system gives it free at once.
    """

    name: str = "remediator"
    lease: Duration = 15 * SECOND


class StoreSettings(msgspec.Struct, frozen=True):
    """url: 'sqlite:///path' (relative to the working directory), 'sqlite:////path' or 'postgresql://…'.

    password: of the PostgreSQL user, which never stands in the url. synchronous, max_page_count: SQLite only.
    audit_retention: None keeps the audit for ever.
    """

    url: str = "sqlite:///var/remediator.db"
    password: Secret | None = None
    synchronous: str = "FULL"
    max_page_count: int | None = None
    retention: Duration = 14 * DAY
    outbox_retention: Duration = 30 * DAY
    audit_retention: Duration | None = None
    snapshot_every: int = 10_000

    def full_url(self) -> Secret:
        """The url with the password in it, for the one who connects."""
        if not self.password:
            return Secret(self.url)
        parts = urlsplit(self.url)
        user, _, host = parts.netloc.rpartition("@")
        netloc = f"{user}:{quote(self.password.reveal(), safe='')}@{host}"
        return Secret(urlunsplit(parts._replace(netloc=netloc)))


class KafkaSecurity(msgspec.Struct, frozen=True):
    """How to reach the brokers. mechanism, username and password belong to the SASL protocols."""

    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str = ""
    password: Secret | None = None
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class FetchLimits(msgspec.Struct, frozen=True):
    """How much one poll may hold in memory, and how long the broker may wait to fill it."""

    max_records: int = 500
    max_bytes: int = 16 * MIB
    max_partition_bytes: int = 1 * MIB
    max_wait: Duration = 500 * MILLISECOND


JsonPath = tuple[str | int, ...]
"""Keys and indices, from a record's top."""
Scalar = str | int | float | bool


class EventMapping(msgspec.Struct, frozen=True):
    """How records of any JSON become events: see the mapping codec, whose own settings have the same members.

    type: '' if type_path is set. time: () for the record's own. when: path -> one of these values.
    """

    type: str = ""
    type_path: JsonPath = ()
    types: dict[str, str] = {}
    time: JsonPath = ()
    time_format: str = "iso"
    fields: dict[str, JsonPath] = {}
    when: tuple[tuple[JsonPath, tuple[Scalar, ...]], ...] = ()


class Feed(msgspec.Struct, frozen=True):
    """One set of topics whose completeness is judged together. Exactly one of topics and topic_pattern is set.

    mapping: set if and only if codec is 'mapping'.

    member: a name that this process alone has in the group, '' for none: restarted under it, it goes on with its
    partitions at once instead of after the session's end.
    session: how long the group waits for a member that is silent before others get its partitions.
    """

    name: str
    bootstrap_servers: tuple[str, ...]
    kind: str = "kafka"
    topics: tuple[str, ...] = ()
    topic_pattern: str = ""
    group: str = "remediator"
    member: str = ""
    session: Duration = 10 * SECOND
    codec: str = "auto"
    mapping: EventMapping | None = None
    start: str = "latest"
    lateness: Duration = 10 * SECOND
    security: KafkaSecurity = KafkaSecurity()
    fetch: FetchLimits = FetchLimits()


class AirflowApi(msgspec.Struct, frozen=True):
    """Where the scheduler answers, as whom: username and password, or a token (hosted Airflow, such as Astro).

    api_version: 'v2' (Airflow 3), 'v1' (Airflow 2), or 'auto': whichever answers.
    ca_file: a PEM bundle to verify the server with instead of the system's.
    max_concurrency: calls under way at once. requests_per_second: 0 for any number.
    queued_too_long: what waits in a queue for longer is a finding. must_run: globs over DAGs: one paused is.
    """

    url: str
    username: str = ""
    password: Secret | None = None
    token: Secret | None = None
    ca_file: str = ""
    api_version: str = "v2"
    max_concurrency: int = 8
    requests_per_second: float = 0.0
    timeout: Duration = 20 * SECOND
    queued_too_long: Duration = 10 * MINUTE
    must_run: tuple[str, ...] = ()


class Deployment(msgspec.Struct, frozen=True):
    """One Airflow. An event is its own if namespace and topic match their globs (an empty list matches all)."""

    name: str
    feed: str
    namespaces: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    ceiling: Mode = Mode.OBSERVE
    api: AirflowApi | None = None
    log_hosts: tuple[str, ...] = ()


class Infrastructure(msgspec.Struct, frozen=True):
    """Where Airflows run, such as a cluster: no Airflow itself, but what happens there concerns those it serves.

    namespaces, topics: as of a deployment. serves: globs over the names of deployments.
    """

    name: str
    feed: str
    serves: tuple[str, ...]
    namespaces: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()


class SlackReceiver(msgspec.Struct, frozen=True, tag="slack", tag_field="kind"):
    """A workspace, by the bot token that posts into it."""

    name: str
    token: Secret
    api_url: str = "https://slack.com/api/"
    timeout: Duration = 10 * SECOND


class PagerDutyReceiver(msgspec.Struct, frozen=True, tag="pagerduty", tag_field="kind"):
    """A service, by the routing key of its Events API v2 integration."""

    name: str
    routing_key: Secret
    api_url: str = "https://events.pagerduty.com"
    timeout: Duration = 10 * SECOND


Receiver = SlackReceiver | PagerDutyReceiver


class Endpoint(msgspec.Struct, frozen=True):
    """Where http.request sends JSON. url: a secret, for the address of a web hook often is one; method: POST or PUT.

    token: sent as 'Authorization: Bearer'. headers: name -> value, of secrets too; Authorization only without a token.
    idempotency_header: the header that carries the action's id, by which the target knows a repeat; '' for none.
    """

    name: str
    url: Secret
    method: str = "POST"
    token: Secret | None = None
    headers: dict[str, Secret] = {}
    idempotency_header: str = ""
    timeout: Duration = 10 * SECOND


class Cluster(msgspec.Struct, frozen=True):
    """A Kubernetes API server that kubernetes.scale talks to.

    serves: globs over the names of the deployments whose rules may scale there; a deployment has one cluster at most.
    ca_file: a PEM bundle to verify the server with instead of the system's.
    """

    name: str
    serves: tuple[str, ...]
    url: str
    token: Secret
    ca_file: str = ""
    timeout: Duration = 10 * SECOND


class RulesSettings(msgspec.Struct, frozen=True):
    """paths: files and folders of rules, relative to the configuration file. reload: follow their changes."""

    paths: tuple[Path, ...] = (Path("rules"),)
    reload: bool = True


class HttpSettings(msgspec.Struct, frozen=True):
    """Where the daemon's own API listens. A token is compulsory on any address but loopback."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8321
    token: Secret | None = None


class LogSettings(msgspec.Struct, frozen=True):
    """What is written to standard error, and how."""

    level: str = "info"
    format: str = "json"


class DispatcherSettings(msgspec.Struct, frozen=True):
    """changes_per_minute: of each deployment, kept in the store. poll: how often it asks when nothing woke it.

    claim: how long an action belongs to the process that took it: what a killed process had in hand is looked at again
    after this. Longer than any call may take, or a living process would lose what it is doing.
    """

    changes_per_minute: int = 60
    concurrency: int = 16
    poll: Duration = 250 * MILLISECOND
    claim: Duration = 90 * SECOND


class Config(msgspec.Struct, frozen=True):
    """The whole file. `base` is the folder it stands in: paths of rules are relative to it."""

    base: Path
    feeds: tuple[Feed, ...]
    decisions: Policy
    daemon: Daemon = Daemon()
    store: StoreSettings = StoreSettings()
    deployments: tuple[Deployment, ...] = ()
    infrastructure: tuple[Infrastructure, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    rules: RulesSettings = RulesSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    dispatcher: DispatcherSettings = DispatcherSettings()

    def policy(self) -> Policy:
        """What decisions depend on: travels inside the rule set and is hashed with it."""
        return self.decisions

    def bindings(self) -> tuple[DeploymentBinding, ...]:
        """Which namespaces and topics belong to which deployment or infrastructure."""
        owners: tuple[Deployment | Infrastructure, ...] = (*self.deployments, *self.infrastructure)
        return tuple(DeploymentBinding(one.name, one.namespaces, one.topics) for one in owners)

    def cluster_of(self, deployment: str) -> Cluster | None:
        """The cluster in which rules scale for this deployment."""
        fitting = (one for one in self.clusters if any_covers(one.serves, deployment))
        return next(fitting, None)

    def rule_paths(self) -> tuple[Path, ...]:
        """The rule files and folders, resolved against the configuration file's folder."""
        return tuple(self.base / path for path in self.rules.paths)
