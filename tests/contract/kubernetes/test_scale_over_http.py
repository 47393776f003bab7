"""The kubernetes.scale executor against an API server that listens: within bounds, once, and undone to what it was."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from remediator.actions.kubernetes.client import ClusterClient
from remediator.actions.kubernetes.executor import CONFLICTS, ScaleExecutor
from remediator.actions.kubernetes.settings import ClusterAccount
from remediator.demo.cluster.app import GET_OBJECT, GET_SCALE, PATCH_SCALE, Cluster
from remediator.demo.cluster.state import Workload
from remediator.demo.receiver import faults
from remediator.demo.receiver.faults import Fault
from remediator.model.action import Action, Guarantee, Scale, Survey
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, SECOND, Duration
from remediator.web.server import serving
from tests.support.killing import killed_at_each_await
from tests.support.loopback import loopback_client

TOKEN = "hunter2-token"
WORKER = "Deployment airflow/worker"


class Rig:
    """An API server that listens, a workload of two replicas, and an executor that knows it."""

    def __init__(self, cluster: Cluster, url: str, timeout: Duration) -> None:
        self.cluster = cluster
        self.url = url
        self.workload: Workload = cluster.state.add("airflow", "deployments", "worker", 2)
        self.client = ClusterClient(ClusterAccount(url=url, token=Secret(TOKEN), timeout=timeout))
        self.executor = ScaleExecutor({"prod": self.client})

    async def scale(self, *, uncertain: bool = False, **more: Any) -> Outcome:
        return await self.executor.perform(action(**more), uncertain=uncertain)

    def fails_with(self, route: str, fault: Fault, times: int = 1) -> None:
        self.cluster.trouble.faults.add(route, fault, times)

    @property
    def calls(self) -> dict[str, int]:
        return self.cluster.trouble.calls


@contextlib.asynccontextmanager
async def rig_of(patience: Duration = 300 * MILLISECOND) -> AsyncIterator[Rig]:
    cluster = Cluster(TOKEN)
    async with serving(cluster.app()) as running:
        rig = Rig(cluster, running.url, patience)
        yield rig
        await rig.client.close()
        cluster.trouble.release()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rig_of() as made:
        yield made


def action(replicas: int = 5, name: str = "worker", action_id: str = "a" * 24, **more: Any) -> Action:
    given = {"namespace": "airflow", "kind": "Deployment", "name": name, "replicas": replicas}
    return Action(action_id, "change:x", "dag:prod/orders", "prod", Scale(**(given | more)), 0, 1)


async def test_it_scales_and_says_what_was_there_before(rig: Rig) -> None:
    assert await rig.scale() == Delivered(ref=WORKER, detail="5 replicas", before="2")
    assert rig.workload.history == [2, 5]
    assert rig.calls == {GET_SCALE: 1, PATCH_SCALE: 1}


async def test_a_stateful_set_to_zero_and_back(rig: Rig) -> None:
    made = rig.cluster.state.add("airflow", "statefulsets", "triggerer", 1)
    given = {"kind": "StatefulSet", "name": "triggerer"}
    assert await rig.scale(replicas=0, **given) == Delivered("StatefulSet airflow/triggerer", "0 replicas", "1")
    assert await rig.scale(replicas=1, only_if=0, **given) == Delivered(
        "StatefulSet airflow/triggerer", "1 replicas", "0"
    )
    assert made.history == [1, 0, 1]


async def test_what_is_so_already_is_left_alone(rig: Rig) -> None:
    assert await rig.scale(replicas=2) == Delivered(ref=WORKER, detail="already", before="2")
    assert rig.calls == {GET_SCALE: 1}


async def test_only_if_it_has_so_many(rig: Rig) -> None:
    assert await rig.scale(only_if=3) == Refused(f"{WORKER} has 2 replicas, not 3")
    assert isinstance(await rig.scale(only_if=2), Delivered)
    assert rig.workload.history == [2, 5]


async def test_somebody_who_was_faster_is_seen(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and our call a person scales to 3: the call is refused by its version, the next look decides."""
    interfere(rig, monkeypatch, lambda: rig.cluster.state.set(rig.workload, 3, "kubectl"))
    assert await rig.scale(only_if=2) == Refused(f"{WORKER} has 3 replicas, not 2")
    assert rig.workload.history == [2, 3]


async def test_a_rollout_in_between_only_costs_another_look(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    interfere(rig, monkeypatch, lambda: rig.cluster.state.touch(rig.workload))
    assert await rig.scale(only_if=2) == Delivered(ref=WORKER, detail="5 replicas", before="2")
    assert rig.calls == {GET_SCALE: 2, PATCH_SCALE: 2}


async def test_what_keeps_changing_is_tried_later(rig: Rig) -> None:
    rig.fails_with(PATCH_SCALE, Fault(status=409), times=CONFLICTS)
    assert await rig.scale() == RetryAfter(SECOND, f"{WORKER} keeps changing")
    assert rig.workload.history == [2]


@pytest.mark.parametrize("fault", [faults.TIMEOUT_AFTER_ACTING, Fault(status=502, act=True)])
@pytest.mark.parametrize("readable", [True, False])
async def test_a_call_whose_answer_was_lost_is_found_at_once(rig: Rig, fault: Fault, *, readable: bool) -> None:
    rig.cluster.forbidden |= set() if readable else {GET_OBJECT}
    rig.fails_with(PATCH_SCALE, fault)
    outcome = await rig.scale()
    assert isinstance(outcome, Delivered)
    assert outcome.before == "2"
    assert rig.workload.history == [2, 5]


@pytest.mark.parametrize("fault", [faults.TIMEOUT, faults.BAD_GATEWAY])
async def test_a_call_that_did_nothing_stays_uncertain(rig: Rig, fault: Fault) -> None:
    rig.fails_with(PATCH_SCALE, fault)
    outcome = await rig.scale()
    assert isinstance(outcome, RetryAfter)
    assert outcome.uncertain
    assert await rig.scale(uncertain=True) == Delivered(ref=WORKER, detail="5 replicas", before="2")
    assert rig.workload.history == [2, 5]


async def test_after_a_crash_it_still_knows_what_to_go_back_to(rig: Rig) -> None:
    await rig.scale()
    assert await rig.scale(uncertain=True) == Delivered(ref=WORKER, detail="found by its mark", before="2")
    assert rig.workload.history == [2, 5]


async def test_after_a_crash_a_person_who_wants_the_same_is_not_undone(rig: Rig) -> None:
    rig.cluster.state.set(rig.workload, 5, "kubectl")
    assert await rig.scale(uncertain=True) == Delivered(ref=WORKER, detail="already", before="5")


async def test_after_a_crash_another_action_proves_nothing(rig: Rig) -> None:
    await rig.scale(action_id="b" * 24)
    assert await rig.scale(uncertain=True) == Delivered(ref=WORKER, detail="already", before="5")


@pytest.mark.parametrize(("only_if", "before"), [(None, ""), (2, "2")])
async def test_without_the_right_to_read_marks_the_precondition_tells(
    rig: Rig, only_if: int | None, before: str
) -> None:
    rig.cluster.forbidden.add(GET_OBJECT)
    await rig.scale(only_if=only_if)
    outcome = await rig.scale(uncertain=True, only_if=only_if)
    assert outcome == Delivered(ref=WORKER, detail="already", before=before)


async def test_after_a_crash_another_number_than_both_is_for_a_person(rig: Rig) -> None:
    await rig.scale(only_if=2)
    rig.cluster.state.set(rig.workload, 9, "kubectl")
    assert isinstance(await rig.scale(uncertain=True, only_if=2), Unknown)
    assert rig.workload.history == [2, 5, 9]


@pytest.mark.parametrize("route", [GET_SCALE, PATCH_SCALE])
async def test_what_the_account_may_not_do_is_refused(rig: Rig, route: str) -> None:
    rig.cluster.forbidden.add(route)
    outcome = await rig.scale()
    assert isinstance(outcome, Refused)
    assert 'HTTP 403: deployments.apps "worker" is forbidden: User "remediator" cannot' in outcome.reason
    assert rig.workload.history == [2]


async def test_what_is_not_there_is_refused(rig: Rig) -> None:
    assert await rig.scale(name="gone") == Refused(
        'Deployment airflow/gone: HTTP 404: deployments.apps "gone" not found'
    )


@pytest.mark.parametrize("status", [401, 422])
async def test_a_refused_look_after_a_crash_is_unknown(rig: Rig, status: int) -> None:
    rig.fails_with(GET_SCALE, Fault(status=status))
    assert isinstance(await rig.scale(uncertain=True), Unknown)


@pytest.mark.parametrize("route", [GET_SCALE, GET_OBJECT])
@pytest.mark.parametrize("fault", [faults.BAD_GATEWAY, faults.TIMEOUT, Fault(status=429, retry_after=2)])
async def test_nothing_is_sent_while_looking_fails(rig: Rig, route: str, fault: Fault) -> None:
    rig.fails_with(route, fault)
    outcome = await rig.scale(uncertain=True)
    assert isinstance(outcome, RetryAfter)
    assert outcome.uncertain
    assert PATCH_SCALE not in rig.calls


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../secrets/x"},
        {"name": ""},
        {"name": "x?y"},
        {"namespace": "a/b"},
        {"namespace": "a.b"},
        {"kind": "DaemonSet"},
    ],
)
async def test_what_cannot_be_a_workload_is_asked_nowhere(rig: Rig, wrong: dict[str, str]) -> None:
    assert isinstance(await rig.scale(**wrong), Refused)
    assert rig.calls == {}


async def test_a_server_that_is_away_and_a_server_that_is_another() -> None:
    away = ClusterClient(ClusterAccount(url="http://127.0.0.1:1", token=Secret(TOKEN)))
    outcome = await ScaleExecutor({"prod": away}).perform(action(), uncertain=False)
    assert outcome == RetryAfter(15 * SECOND, f"{WORKER}: not reachable: ConnectError")
    await away.close()

    async def garbage(scope: Any, receive: Any, send: Any) -> None:
        response: Response = JSONResponse([1, 2])
        await response(scope, receive, send)

    async with serving(garbage) as running:
        other = ClusterClient(ClusterAccount(url=running.url, token=Secret(TOKEN)))
        outcome = await ScaleExecutor({"prod": other}).perform(action(), uncertain=False)
        assert outcome == RetryAfter(15 * SECOND, f"{WORKER}: the answer is not what was asked for, a Scale")
        await other.close()


async def test_no_secret_is_ever_shown(rig: Rig) -> None:
    rig.fails_with(GET_SCALE, Fault(status=400, error=f"{TOKEN} " * 10_000))
    outcome = await rig.scale()
    assert isinstance(outcome, Refused)
    assert "hunter2" not in repr(outcome)
    assert len(outcome.reason) < 400


async def test_an_unserved_deployment_is_refused_and_a_wrong_kind_is_a_bug(rig: Rig) -> None:
    assert isinstance(await ScaleExecutor({}).perform(action(), uncertain=False), Refused)
    with pytest.raises(TypeError):
        await rig.executor.perform(Action("a", "l", "k", "prod", Survey(), 0, 1), uncertain=False)
    assert ScaleExecutor.guarantee is Guarantee.PROVABLE


@pytest.mark.parametrize("only_if", [None, 2])
async def test_killed_at_each_await_the_target_counts_one_scaling(only_if: int | None) -> None:
    async with rig_of(5 * SECOND) as rig:
        async with loopback_client() as client:
            assert (await client.get(f"{rig.url}/apis/apps/v1/namespaces/a/deployments/b/scale")).status_code == 401
        numbers = names()

        async def afterwards(outcome: Outcome | None) -> None:
            if outcome is None:
                outcome = await rig.scale(uncertain=True, only_if=only_if, name=rig.workload.name)
            assert isinstance(outcome, Delivered)
            assert outcome.before == "2"
            assert rig.workload.history == [2, 5]
            rig.workload = rig.cluster.state.add("airflow", "deployments", next(numbers), 2)

        kills = await killed_at_each_await(lambda: rig.scale(only_if=only_if, name=rig.workload.name), afterwards)
        assert kills >= 5


def names() -> Iterator[str]:
    """A workload for each kill: what a killed call has sent may still arrive."""
    return (f"worker-{number}" for number in range(1_000))


def interfere(rig: Rig, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let something happen at the target right before the first call that changes something."""
    send = rig.client.set_scale
    waiting = [act]

    async def late(*args: Any) -> Any:
        if waiting:
            waiting.pop()()
        return await send(*args)

    monkeypatch.setattr(rig.client, "set_scale", late)
