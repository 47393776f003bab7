"""What a survey finds, in either API version, and what it does when a part of it has no answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from airflow_stand_in import NOW, RUN, StandIn, stand_in

from remediator.actions.airflow import findings
from remediator.actions.airflow.findings import bounded
from remediator.actions.airflow.survey import PARTS, SurveyExecutor
from remediator.codecs.masking import mask
from remediator.demo.fleet.ills import HeartbeatLoss, ImportFault, PoolUse
from remediator.demo.fleet.state import PoolSize
from remediator.engine.surveys import FINDING_TYPES
from remediator.model.action import Action, Survey
from remediator.model.time import MINUTE, SECOND, format_instant
from remediator.model.truth import Finding

TRACE = 'Traceback (most recent call last):\n  File "a.py", line 2\nModuleNotFoundError: No module named "common"\n'


@pytest.fixture(params=["v2", "v1"])
async def airflow(request: pytest.FixtureRequest) -> AsyncIterator[StandIn]:
    async with stand_in(request.param) as made:
        yield made


@pytest.fixture
async def airflow3() -> AsyncIterator[StandIn]:
    async with stand_in("v2") as made:
        yield made


def types(found: list[Finding]) -> list[str]:
    return [one.type for one in found]


async def test_nothing_is_wrong(airflow: StandIn) -> None:
    assert await airflow.found() == []
    more = {"v2": 0, "v1": 1}[airflow.api.api]
    assert airflow.state.calls.total() - airflow.state.calls["token"] == 6 + more


class TestHealth:
    async def test_a_component_that_is_silent(self, airflow: StandIn) -> None:
        airflow.state.ills.silent["scheduler"] = NOW - 5 * MINUTE
        (found,) = await airflow.found()
        heard = format_instant(NOW - 5 * MINUTE)
        assert found == Finding(
            "scheduler.unhealthy", "scheduler", "scheduler.healthy", attributes={"last_heartbeat": heard}
        )

    async def test_all_of_them(self, airflow: StandIn) -> None:
        airflow.state.ills.silent |= dict.fromkeys(("scheduler", "triggerer", "dag_processor"), NOW - MINUTE)
        assert types(await airflow.found()) == list(PARTS["health"])

    async def test_one_that_never_ran_is_not_deployed(self, airflow: StandIn) -> None:
        airflow.state.ills.absent |= {"triggerer", "dag_processor"}
        assert await airflow.found() == []


class TestPools:
    async def test_a_full_one_that_is_waited_for(self, airflow: StandIn) -> None:
        airflow.state.pools["db"] = PoolSize("db", 4)
        airflow.state.ills.pools["db"] = PoolUse(running=3, queued=1, scheduled=30)
        (found,) = await airflow.found()
        assert found == Finding(
            "pool.full",
            "pool/db",
            "pool.free",
            attributes={"slots": 4, "occupied": 4, "queued": 31, "starting": 1},
        )

    @pytest.mark.parametrize(
        ("slots", "use", "full"),
        [
            (4, PoolUse(running=4), False),
            (4, PoolUse(running=3, scheduled=1), False),
            (4, PoolUse(running=4, scheduled=1), True),
            (-1, PoolUse(running=400, queued=5), False),
            (0, PoolUse(scheduled=1), True),
            (2, PoolUse(running=4, scheduled=1), True),
        ],
    )
    async def test_full_and_wanted(self, airflow: StandIn, slots: int, use: PoolUse, full: bool) -> None:
        airflow.state.pools["p"] = PoolSize("p", slots)
        airflow.state.ills.pools["p"] = use
        unsayable = (airflow.api.api, slots) == ("v1", -1)
        assert types(await airflow.found()) == ["pool.full"] * full + ["survey.incomplete"] * unsayable

    async def test_many_pools_are_read_page_by_page(self, airflow: StandIn) -> None:
        airflow.state.pools |= {f"p{number}": PoolSize(f"p{number}", 1) for number in range(150)}
        airflow.state.ills.pools["p149"] = PoolUse(running=1, scheduled=1)
        assert [one.subject for one in await airflow.found()] == ["pool/p149"]


class TestImportErrors:
    async def test_the_exception_without_its_secrets(self, airflow: StandIn) -> None:
        trace = TRACE + "RuntimeError: no login with password=hunter2 at \x1b[31mhost\x1b[0m\n\n"
        airflow.state.ills.import_faults = [ImportFault("dags/sales.py", trace)]
        (found,) = await airflow.found()
        assert (found.type, found.ended) == ("import_error.found", "import_error.gone")
        assert found.subject.endswith("dags/sales.py")  # API v1 gives the whole path
        assert found.attributes == {"message": "RuntimeError: no login with password=*** at host"}

    async def test_another_bundles_file_is_another(self, airflow3: StandIn) -> None:
        airflow3.state.ills.import_faults = [ImportFault("a.py", TRACE), ImportFault("a.py", TRACE, "team-b")]
        assert [one.subject for one in await airflow3.found()] == ["a.py", "team-b/a.py"]


class TestQueues:
    async def test_a_dagrun_with_how_long(self, airflow3: StandIn) -> None:
        airflow3.state.runs["crm_sync", RUN].queued_at = NOW - 15 * MINUTE
        (found,) = await airflow3.found()
        assert found == Finding(
            "dagrun.queued_too_long",
            f"dagrun/crm_sync/{RUN}",
            dag_id="crm_sync",
            run_id=RUN,
            attributes={"queued_for": 900, "run_type": "scheduled"},
        )

    @pytest.mark.parametrize(("minutes", "told"), [(9, []), (15, [600]), (31, [1800]), (500, [1800])])
    async def test_v1_does_not_tell_since_when_so_it_is_asked_for_what_has_not_changed(
        self, minutes: int, told: list[int]
    ) -> None:
        async with stand_in("v1") as airflow:
            airflow.state.runs["crm_sync", RUN].updated_at = NOW - minutes * MINUTE
            assert [one.attributes["queued_for"] for one in await airflow.found()] == told

    async def test_a_dagrun_of_a_paused_dag_waits_because_somebody_wants_it(self, airflow: StandIn) -> None:
        run = airflow.state.runs["crm_sync", RUN]
        run.queued_at = run.updated_at = NOW - 15 * MINUTE
        assert types(await airflow.found()) == ["dagrun.queued_too_long"]
        airflow.state.paused.add("crm_sync")
        assert await airflow.found() == []

    async def test_a_task_that_no_worker_takes(self, airflow: StandIn) -> None:
        run = airflow.state.runs["partition_load", RUN]
        for index, minutes in enumerate((5, 20, 40)):
            task = run.tasks["load", index]
            task.state, task.queued_at, task.try_number = "queued", NOW - minutes * MINUTE, 1
        late, later = await airflow.found()
        assert (late.subject, later.subject) == (
            f"task/partition_load/{RUN}/load/2",
            f"task/partition_load/{RUN}/load/1",
        )
        assert (late.type, late.task_id, late.ended) == ("task.queued_too_long", "load", "")
        assert late.attributes == {"queued_for": 2400, "pool": "default_pool", "try_number": 1, "queue": "default"}

    async def test_the_limit_is_the_deployments(self, airflow: StandIn) -> None:
        task = airflow.state.runs["crm_sync", RUN].tasks["pull", -1]
        task.state, task.queued_at = "queued", NOW - 5 * MINUTE
        assert await airflow.found() == []
        assert types(await airflow.found(queued_too_long=5 * MINUTE)) == ["task.queued_too_long"]


class TestHeartbeats:
    async def test_what_the_scheduler_gave_up_on(self, airflow: StandIn) -> None:
        airflow.state.ills.losses += [
            HeartbeatLoss(NOW - 11 * MINUTE, "crm_sync", RUN, "merge"),
            HeartbeatLoss(NOW - 2 * MINUTE, "partition_load", RUN, "load", 1, 3),
            HeartbeatLoss(NOW - MINUTE, "crm_sync", RUN, "pull"),
            HeartbeatLoss(NOW - SECOND, "crm_sync", RUN, "pull"),
        ]
        pull, load = await airflow.found()
        assert (pull.type, pull.subject) == ("task.no_heartbeat", f"task/crm_sync/{RUN}/pull")
        assert (load.subject, load.attributes["try_number"]) == (f"task/partition_load/{RUN}/load/1", 3)


class TestPaused:
    async def test_only_those_that_must_run(self, airflow: StandIn) -> None:
        airflow.state.paused |= {"crm_sync", "partition_load"}
        assert await airflow.found() == []
        (found,) = await airflow.found(must_run=("crm_*",))
        assert found == Finding("dag.paused_unexpectedly", "dag/crm_sync", dag_id="crm_sync")


class TestFaults:
    @pytest.mark.parametrize(
        ("route", "part"),
        [
            ("list_pools", "pools"),
            ("import_errors", "import_errors"),
            ("list_runs", "dagruns"),
            ("list_tasks", "tasks"),
            ("event_log", "heartbeats"),
        ],
    )
    async def test_a_part_without_an_answer_hides_no_other(self, airflow: StandIn, route: str, part: str) -> None:
        airflow.state.ills.silent["scheduler"] = NOW - 5 * MINUTE
        airflow.fails(route, 403)
        untold, scheduler = await airflow.found()
        assert (untold.type, untold.ended, untold.subject) == ("survey.incomplete", "survey.complete", f"survey/{part}")
        assert untold.attributes == {"types": list(PARTS[part]), "error": "HTTP 403: fault injected"}
        assert scheduler.type == "scheduler.unhealthy"

    async def test_a_health_that_nobody_may_see(self, airflow: StandIn) -> None:
        airflow.fails("health", 403)
        assert [one.subject for one in await airflow.found()] == ["survey/health"]

    async def test_a_deployment_that_is_away_is_asked_once(self, airflow: StandIn) -> None:
        airflow.fails("*", 502)
        answer = await airflow.survey()
        assert answer.findings == ()
        assert answer.error.endswith("HTTP 502: fault injected")
        assert airflow.state.calls.total() == 1

    async def test_nothing_but_refusals_is_no_answer(self, airflow: StandIn) -> None:
        airflow.fails("*", 403)
        answer = await airflow.survey()
        assert (answer.findings, answer.error) == ((), "HTTP 403: fault injected")

    async def test_an_unknown_deployment(self) -> None:
        action = Action("s1", "l", "world", "prod", Survey(), 0, 0)
        (answer,) = await SurveyExecutor({}, mask).ask([action], NOW)
        assert answer.error == "no API is configured for deployment 'prod'"


class TestBounds:
    def test_what_is_cut_is_cut_from_the_longest_part(self) -> None:
        many, few, one = (list(_some(name, count)) for name, count in (("a", 500), ("b", 20), ("c", 1)))
        kept = bounded([many, few, one])
        assert len(kept) == findings.MAX_FINDINGS
        assert [*many[:179], *few, *one] == list(kept)

    def test_nothing_is_cut_below_it(self) -> None:
        parts = [list(_some("a", 3)), [], list(_some("b", 2))]
        assert bounded(parts) == (*parts[0], *parts[2])

    async def test_a_survey_of_too_much(self, airflow: StandIn) -> None:
        airflow.state.ills.silent["scheduler"] = NOW - 5 * MINUTE
        airflow.state.ills.import_faults = [ImportFault(f"{number}.py", TRACE) for number in range(300)]
        found = await airflow.found()
        assert len(found) == 200
        assert [one.type for one in found[:2]] == ["scheduler.unhealthy", "import_error.found"]
        assert airflow.state.calls["import_errors"] == 2


def test_the_engine_knows_every_type() -> None:
    assert {kind for kinds in PARTS.values() for kind in kinds} == set(FINDING_TYPES)


def _some(name: str, count: int) -> Iterator[Finding]:
    return (Finding(name, str(number)) for number in range(count))
