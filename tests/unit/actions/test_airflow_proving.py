"""At which try task instances were done, as looks read it, against the stand-in over real HTTP."""

from __future__ import annotations

from remediator.actions.airflow.look import LookExecutor
from remediator.demo.fleet.plan import DagSpec, TaskSpec
from remediator.model.action import Action, Look
from remediator.model.inputs import Looked
from tests.unit.actions.test_airflow_executors import NOW, RUN, StandIn, failed_mapped, failed_run
from tests.unit.actions.test_airflow_executors import airflow as airflow


def look(dag_id: str, run_id: str, *proving: str) -> Action:
    return Action(f"look-{dag_id}-{run_id}", "lane", f"key-{dag_id}", "prod", Look(dag_id, run_id, proving), 0, 0)


async def prove(airflow: StandIn, *actions: Action) -> list[Looked]:
    answers = await LookExecutor({"prod": airflow.client}).ask(actions, NOW)
    return [answer for answer in answers if isinstance(answer, Looked)]


async def test_the_tries_of_what_is_done_are_read_in_one_call_for_all(airflow: StandIn) -> None:
    for name in ("one", "two"):
        run = failed_run(airflow.state, name)
        run.tasks["pull", -1].state, run.tasks["pull", -1].try_number = "success", 3
    failed_mapped(airflow.state).tasks["load", 1].state = "skipped"
    answers = await prove(
    airflow,
        look("crm_sync", "one", "pull"), look("crm_sync", "two", "pull", "merge"),
        look("partition_load", RUN, "load[1]", "load[2]", "load[7]"), look("crm_sync", "none", "pull"),
    )  # fmt: skip
    proved = [[(one.task_id, one.map_index, one.state, one.try_number) for one in truth.proved]
              for answer in answers if (truth := answer.truth)]  # fmt: skip
    pull = ("pull", -1, "success", 3)
    assert proved == [[pull], [pull], [("load", 1, "skipped", 1)], []]
    assert airflow.state.calls["list_batch"] == 2


async def test_what_is_on_its_way_costs_no_second_call(airflow: StandIn) -> None:
    failed_run(airflow.state)
    (answer,) = await prove(airflow, look("crm_sync", RUN, "pull", "merge"))
    assert answer.truth is not None
    assert answer.truth.proved == ()
    assert airflow.state.calls["list_batch"] == 1


async def test_tries_that_fit_no_page_are_read_one_by_one(airflow: StandIn) -> None:
    airflow.state.add_dag(DagSpec("wide", (TaskSpec("load", indexes=30),)))
    run = airflow.state.add_run("wide", RUN, NOW)
    for task in run.tasks.values():
        task.state, task.try_number = "success", 1
    run.tasks["load", 4].try_number = 2
    client = airflow.another(page_size=4, max_pages=2)
    (answer,) = await LookExecutor({"prod": client}).ask([look("wide", RUN, "load[4]")], NOW)
    assert isinstance(answer, Looked)
    assert answer.truth is not None
    assert [(one.map_index, one.try_number) for one in answer.truth.proved] == [(4, 2)]
