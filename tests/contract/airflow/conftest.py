"""The backends of the Airflow contract. The real one needs AIRFLOW_URL, and DAGs as `airflow_cases` describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from airflow_cases import BACKENDS, DAILY_BACKENDS, Airflow, real, stand_in

MARKS = {"stand-in": (), "real": (pytest.mark.airflow,)}


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in BACKENDS])
async def airflow(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that answers."""
    async with stand_in() if request.param == "stand-in" else real() as made:
        yield made


@pytest.fixture(params=[*(pytest.param(name, marks=MARKS[name]) for name in BACKENDS), "stand-in v1"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that answers, of either API version; v1 as documented, no real Airflow 2 was asked."""
    backends = {"stand-in": stand_in, "stand-in v1": partial(stand_in, "v1"), "real": real}
    async with backends[request.param]() as made:
        yield made


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in DAILY_BACKENDS])
async def daily_airflow(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that has a DAG with a schedule."""
    async with stand_in() if request.param == "stand-in" else real() as made:
        yield made
