"""Brokers of the session, and a feed's settings for each."""

from __future__ import annotations

import pytest

from remediator.demo.broker import EmbeddedBroker
from tests.contract.sources.source_backends import KafkaBackend
from tests.support.broker_fixtures import apache_kafka
from tests.support.kafka import ApacheKafka

__all__ = ["apache_kafka"]


@pytest.fixture
async def on_apache(apache_kafka: ApacheKafka) -> KafkaBackend:
    """A topic with two partitions on Apache Kafka."""
    backend = KafkaBackend(apache_kafka.bootstrap)
    await backend.create()
    return backend


@pytest.fixture
async def on_embedded(embedded_broker: EmbeddedBroker) -> KafkaBackend:
    """A topic with two partitions on the embedded broker."""
    backend = KafkaBackend(embedded_broker.bootstrap, session_timeout_ms=2_000)
    await backend.create()
    return backend
