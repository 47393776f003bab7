"""A look at a failure tells its DAG's tags, which forbid retries also where no event told them."""

from __future__ import annotations

import dataclasses

import pytest

from remediator.actions.airflow.look import LookExecutor
from remediator.model.action import Action, Look
from remediator.model.inputs import Looked
from tests.unit.actions.airflow_changes import ME, NOW, failed_job, standing


@pytest.mark.parametrize("version", ["v2", "v1"])
@pytest.mark.parametrize("tags", [(), ("crm", "remediator:never")])
async def test_the_tags_of_a_dag_with_failures_are_told(version: str, tags: tuple[str, ...]) -> None:
    async with standing(version) as place:
        place.state.dags["job"] = dataclasses.replace(place.state.dags["job"], tags=tags)
        run = failed_job(place.state)
        wanted = Action(ME, "lane", "key", "prod", Look("job", run.run_id), NOW, NOW)
        (answer,) = await LookExecutor({"prod": place.client(api_version=version)}).ask([wanted], NOW)
        assert isinstance(answer, Looked)
        assert answer.truth is not None
        assert answer.truth.tags == tags
