"""The backends of the Airflow contract. The real one needs AIRFLOW_URL, and DAGs as `airflow_cases` describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from airflow_cases import BACKENDS, Airflow, real, stand_in

MARKS = {"stand-in": (), "real": (pytest.mark.airflow,)}


@pytest.fixture(params=[pytest.param(name, marks=MARKS[name]) for name in BACKENDS])
async def airflow(request: pytest.FixtureRequest) -> AsyncIterator[Airflow]:
    """One Airflow that answers."""
    async with stand_in() if request.param == "stand-in" else real() as made:
        yield made
