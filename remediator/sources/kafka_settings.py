"""What a Kafka source is told, and how the client library wants to hear it.

Owns the settings, their check and their defaults. Must not connect to anything.
"""

from __future__ import annotations

import re
import ssl
from typing import Any, Literal

import msgspec

from remediator.model.secret import Secret
from remediator.sources.opening import Start

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Either `topics` or `pattern` (a regular expression for whole topic names).

    start: where a feed begins that was never read before. max_records: most records of one poll.
    Buffered at most: max_partition_fetch_bytes for each assigned partition, plus one answer of fetch_max_bytes.
    recreated_after_ms: Apache Kafka refuses an offset behind the end of a partition; of a broker that does not, and
    shows an end below what was read for so long, the topic counts as recreated.
    member: a static member's name, unique in the group, '' for none: the broker gives the partitions of one that died
    to its successor of the same name at once, and to others after the session timeout only.
    Raises ValueError that lists every fault.
    """

    bootstrap: tuple[str, ...]
    group: str
    topics: tuple[str, ...] = ()
    pattern: str = ""
    start: Start = "latest"
    client_id: str = "remediator"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "PLAIN"
    username: str = ""
    password: Secret = msgspec.field(default_factory=Secret)
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""
    max_records: int = 500
    max_partition_fetch_bytes: int = 1_048_576
    fetch_max_bytes: int = 16_777_216
    fetch_max_wait_ms: int = 500
    member: str = ""
    session_timeout_ms: int = 10_000
    request_timeout_ms: int = 10_000
    metadata_max_age_ms: int = 5_000
    recreated_after_ms: int = 30_000

    def __post_init__(self) -> None:
        if faults := self._faults():
            raise ValueError("; ".join(faults))

    def _faults(self) -> list[str]:
        positive = (
            "max_records", "max_partition_fetch_bytes", "fetch_max_bytes", "fetch_max_wait_ms",
            "session_timeout_ms", "request_timeout_ms", "metadata_max_age_ms", "recreated_after_ms",
        )  # fmt: skip
        checks = (
            (not self.bootstrap, "bootstrap is empty: name at least one broker as 'host:port'"),
            (not self.group, "group is empty: name a consumer group"),
            (bool(self.topics) == bool(self.pattern), "give either topics or pattern, not both and not neither"),
            (not _compiles(self.pattern), f"pattern {self.pattern!r} is not a regular expression"),
            (self.start not in ("earliest", "latest"), f"start {self.start!r}: allowed are 'earliest', 'latest'"),
            (
                self.security_protocol.startswith("SASL") and not (self.username and self.password),
                f"security_protocol {self.security_protocol} needs username and password",
            ),
            (bool(self.keyfile) and not self.certfile, "keyfile without certfile"),
        )
        found = [text for is_fault, text in checks if is_fault]
        return found + [f"{name} must be at least 1" for name in positive if getattr(self, name) < 1]

    def consumer_options(self) -> dict[str, Any]:
        """Keyword arguments for AIOKafkaConsumer. Raises OSError, ssl.SSLError for unusable certificate files."""
        return {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": self.client_id,
            "group_id": self.group,
            "group_instance_id": self.member or None,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "retry_backoff_ms": 250,
            "max_partition_fetch_bytes": self.max_partition_fetch_bytes,
            "fetch_max_bytes": self.fetch_max_bytes,
            "fetch_max_wait_ms": self.fetch_max_wait_ms,
            "session_timeout_ms": self.session_timeout_ms,
            "heartbeat_interval_ms": max(self.session_timeout_ms // 4, 1),
            "request_timeout_ms": self.request_timeout_ms,
            "metadata_max_age_ms": self.metadata_max_age_ms,
            **self._security_options(),
        }

    def _security_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"security_protocol": self.security_protocol}
        if self.security_protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.cafile or None)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile or None)
            options["ssl_context"] = context
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password.reveal()
        return options


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
