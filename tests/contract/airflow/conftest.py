"""The backends of the Airflow contract. The real one needs AIRFLOW_URL, and DAGs as `airflow_cases` describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
from airflow_cases import BACKENDS, DAILY_BACKENDS, REAL, REAL_API, Airflow, real, stand_in

MARKS = {
    "stand-in": (),
    "stand-in v1": (),
    "real": (pytest.mark.airflow if REAL_API == "v2" else pytest.mark.airflow2,),
}
EITHER = ("stand-in", "stand-in v1", *REAL)


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in BACKENDS])
async def airflow(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow 3 that answers."""
    async with stand_in() if request.param == "stand-in" else real() as made:
        yield made


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in EITHER])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that answers, of either API version."""
    backends = {"stand-in": stand_in, "stand-in v1": partial(stand_in, "v1"), "real": real}
    async with backends[request.param]() as made:
        yield made


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in DAILY_BACKENDS])
async def daily_airflow(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that has a DAG with a schedule."""
    async with stand_in() if request.param == "stand-in" else real() as made:
        yield made
