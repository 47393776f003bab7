"""A small storm: what fails for one fault of the platform heals, and people hear of one question and of the bugs."""

from __future__ import annotations

import pytest

from benchmarks.storm import CONTENDERS, run
from benchmarks.storm_airflow import Size


@pytest.mark.slow
def test_a_small_storm_heals_and_pages_for_what_is_left() -> None:
    (shipped,) = (one for one in CONTENDERS if one.name == "remediator as shipped")
    result = run(shipped, Size(dags=8, tasks=10, bugs=2))
    assert result.recovered == 80
    assert result.bug_clears == 0
    assert result.pages == 3  # one for each bug, one for the breaker
    assert not result.faults
