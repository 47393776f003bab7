"""One broker and one real Airflow for the whole suite, and a way to ask it; for a test a daemon and its people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remediator.demo.broker import EmbeddedBroker, free_port
from remediator.demo.receiver.app import Receiver
from remediator.web.server import serving
from tests.airflow.airflow_api import AirflowApi
from tests.airflow.daemon import Daemon
from tests.airflow.patient import admitted
from tests.airflow.real_airflow import PARTITIONS, PASSWORD, TOPIC, USERNAME, RealAirflow, is_installed, venv
from tests.support.broker_fixtures import background
from tests.support.postgres import postgres


@pytest.fixture(scope="session")
def suite_broker() -> Iterator[EmbeddedBroker]:
    """A broker with the topic that Airflow writes to."""
    if not is_installed():
        pytest.skip(f"airflow not installed: make airflow-venv (looked in {venv()})")
    with background() as runner:
        broker = EmbeddedBroker()
        runner.run(broker.start())
        try:
            runner.run(broker.create_topics({TOPIC: PARTITIONS}))
            yield broker
        finally:
            runner.run(broker.stop())


@pytest.fixture(scope="session")
def suite_database(suite_broker: EmbeddedBroker) -> Iterator[str]:
    """The URL of an empty PostgreSQL: it locks rows, where SQLite locks all and answers 500.

    (`suite_broker`, which skips where there is no Airflow to use it.)
    """
    with postgres() as url:
        yield url


@pytest.fixture(scope="session")
def real_airflow(
    suite_broker: EmbeddedBroker, suite_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealAirflow]:
    """A healthy Airflow that knows every DAG of dags/."""
    ports = (free_port(), free_port())
    airflow = RealAirflow(tmp_path_factory.mktemp("airflow"), suite_database, suite_broker.bootstrap, ports)
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture
async def api(real_airflow: RealAirflow) -> AsyncIterator[AirflowApi]:
    """Airflow's API; after the test every dagrun is deleted."""
    real_airflow.revive()
    async with await admitted(real_airflow.url, USERNAME, PASSWORD) as http:
        made = AirflowApi(http)
        yield made
        await made.forget()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def receiver_url(receiver: Receiver) -> AsyncIterator[str]:
    async with serving(receiver.app()) as running:
        yield running.url
        receiver.release()


@pytest.fixture
async def daemon(
    tmp_path: Path, api: AirflowApi, real_airflow: RealAirflow, suite_broker: EmbeddedBroker, receiver_url: str
) -> AsyncIterator[Daemon]:
    """A daemon that has read its feed up to now. (`api`, so that it is stopped before the dagruns are deleted.)"""
    made = Daemon(tmp_path / "remediator", suite_broker.bootstrap, real_airflow.url, receiver_url, first_wait="8s")
    try:
        await made.start()
        yield made
    finally:
        await made.stop()
