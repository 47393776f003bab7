"""The http.request executor against an endpoint that listens: what it sends, what answers mean, what a kill does."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remediator.actions.http.answer import Answer, outcome_of
from remediator.actions.http.executor import MAX_BODY_BYTES, RequestExecutor
from remediator.actions.http.settings import EndpointAccount
from remediator.actions.retry_after import MOST_S
from remediator.demo.endpoint.app import TAKE, Endpoint
from remediator.demo.receiver import faults
from remediator.demo.receiver.faults import Fault
from remediator.model.action import Action, Guarantee, Request, Survey
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, SECOND
from remediator.web.server import serving
from tests.support.killing import killed_at_each_await
from tests.support.loopback import loopback_client

KEY = "Idempotency-Key"
TOKEN = "hunter2-token"
HEADER = "hunter2-header"


class Rig:
    """An endpoint that listens and an executor that knows it."""

    def __init__(self, endpoint: Endpoint, url: str, **more: Any) -> None:
        self.endpoint = endpoint
        self.url = url
        given: dict[str, Any] = {
            "url": Secret(f"{url}/hook/hunter2-path"),
            "token": Secret(TOKEN),
            "headers": {"X-Api-Key": Secret(HEADER)},
            "timeout": 300 * MILLISECOND,
        }
        self.account = EndpointAccount(**(given | more))
        self.executor = RequestExecutor({"tickets": self.account})

    async def send(self, *, uncertain: bool = False, **more: Any) -> Outcome:
        return await self.executor.perform(action(**more), uncertain=uncertain)

    def fails_with(self, fault: Fault) -> None:
        self.endpoint.trouble.faults.add(TAKE, fault)


@contextlib.asynccontextmanager
async def rig_of(key_header: str = "", **more: Any) -> AsyncIterator[Rig]:
    endpoint = Endpoint(key_header, TOKEN)
    async with serving(endpoint.app()) as running:
        rig = Rig(endpoint, running.url, idempotency_header=key_header, **more)
        yield rig
        await rig.executor.close()
        endpoint.trouble.release()


@pytest.fixture
async def plain() -> AsyncIterator[Rig]:
    """An endpoint that knows no repeat."""
    async with rig_of() as rig:
        yield rig


@pytest.fixture
async def keyed() -> AsyncIterator[Rig]:
    """An endpoint that does each key once."""
    async with rig_of(KEY) as rig:
        yield rig


def action(endpoint: str = "tickets", body: dict[str, Any] | None = None) -> Action:
    params = Request(endpoint, {"title": "load failed", "n": 1} if body is None else body)
    return Action("action-1", "change:x", "dag:prod/orders", "prod", params, 0, 1)


async def test_it_sends_json_as_configured(keyed: Rig) -> None:
    assert await keyed.send() == Delivered(detail="HTTP 201")
    (taken,) = keyed.endpoint.taken
    assert (taken.method, taken.path, taken.body) == ("POST", "/hook/hunter2-path", {"title": "load failed", "n": 1})
    assert taken.headers["content-type"] == "application/json"
    assert taken.headers["x-api-key"] == HEADER
    assert taken.headers[KEY.lower()] == "action-1"


async def test_it_puts_where_told_and_sends_no_key_unless_told() -> None:
    async with rig_of(method="PUT") as rig:
        assert isinstance(await rig.send(), Delivered)
        (taken,) = rig.endpoint.taken
        assert taken.method == "PUT"
        assert KEY.lower() not in taken.headers


@pytest.mark.parametrize("fault", [faults.TIMEOUT_AFTER_ACTING, Fault(status=502, act=True), Fault(status=408)])
async def test_a_lost_answer_is_uncertain_and_a_repeat_with_a_key_is_done_once(keyed: Rig, fault: Fault) -> None:
    keyed.fails_with(fault)
    lost = await keyed.send()
    assert isinstance(lost, RetryAfter)
    assert lost.uncertain
    assert isinstance(await keyed.send(uncertain=True), Delivered)
    assert keyed.endpoint.effects == 1


async def test_without_a_key_a_repeat_is_better_than_silence(plain: Rig) -> None:
    plain.fails_with(faults.TIMEOUT_AFTER_ACTING)
    assert isinstance(await plain.send(), RetryAfter)
    assert isinstance(await plain.send(uncertain=True), Delivered)
    assert plain.endpoint.effects == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 422])
async def test_a_refusal_is_final_unless_an_earlier_call_may_have_acted(plain: Rig, status: int) -> None:
    plain.fails_with(Fault(status=status, error="no"))
    assert await plain.send() == Refused(f'tickets said HTTP {status}: {{"message":"no"}}')
    plain.fails_with(Fault(status=status, error="no"))
    assert isinstance(await plain.send(uncertain=True), Unknown)


@pytest.mark.parametrize("status", [425, 429])
@pytest.mark.parametrize("uncertain", [True, False])
async def test_what_was_not_done_yet_keeps_its_doubt(plain: Rig, status: int, *, uncertain: bool) -> None:
    plain.fails_with(Fault(status=status, retry_after=7))
    assert await plain.send(uncertain=uncertain) == RetryAfter(7 * SECOND, f"tickets said HTTP {status}", uncertain)


@pytest.mark.parametrize("asked", ["999999", "9" * 5_000])
def test_a_long_pause_is_bounded(asked: str) -> None:
    outcome = outcome_of(Answer(503, "", asked), "tickets", uncertain=False)
    assert isinstance(outcome, RetryAfter)
    assert outcome.after == MOST_S * SECOND


@pytest.mark.parametrize("asked", ["", "-1", "1.5", "²", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_nonsense_asks_for_nothing(asked: str) -> None:
    assert outcome_of(Answer(429, "", asked), "x", uncertain=False) == RetryAfter(10 * SECOND, "x said HTTP 429")


async def test_redirects_are_not_followed(plain: Rig) -> None:
    plain.fails_with(Fault(status=307))
    assert await plain.send() == Refused("tickets said HTTP 307: redirects are not followed")
    assert plain.endpoint.trouble.calls == {TAKE: 1}


async def test_an_endpoint_that_is_away_was_asked_nothing() -> None:
    account = EndpointAccount(url=Secret("http://127.0.0.1:1/hunter2"))
    executor = RequestExecutor({"tickets": account})
    outcome = await executor.perform(action(), uncertain=False)
    assert outcome == RetryAfter(10 * SECOND, "cannot reach tickets: ConnectError")
    assert isinstance(await executor.perform(action(), uncertain=True), RetryAfter)
    assert (await executor.perform(action(), uncertain=True)).uncertain  # type: ignore[union-attr]
    await executor.close()


async def test_nothing_larger_than_allowed_is_sent(plain: Rig) -> None:
    outcome = await plain.send(body={"x": "y" * MAX_BODY_BYTES})
    assert isinstance(outcome, Refused)
    assert plain.endpoint.trouble.calls == {}


async def test_no_secret_is_ever_shown(plain: Rig) -> None:
    echo = f"{TOKEN} {HEADER} {plain.account.url.reveal()} " + "x" * 100_000
    plain.fails_with(Fault(status=400, error=echo))
    outcome = await plain.send()
    assert isinstance(outcome, Refused)
    assert len(outcome.reason) < 400
    for text in (repr(outcome), repr(plain.account), repr(plain.executor)):
        assert "hunter2" not in text


@pytest.mark.parametrize("token", ["naïve-tøken", "two\nlines"])
async def test_an_odd_secret_ends_no_daemon(token: str) -> None:
    async with rig_of(token=Secret(token)) as rig:
        outcome = await rig.send()
        assert isinstance(outcome, Refused | RetryAfter)
        assert token not in repr(outcome)


async def test_an_unknown_endpoint_is_refused_and_a_wrong_kind_is_a_bug(plain: Rig) -> None:
    assert await plain.send(endpoint="nobody") == Refused("there is no endpoint named 'nobody'")
    with pytest.raises(TypeError):
        await plain.executor.perform(Action("a", "l", "k", "prod", Survey(), 0, 1), uncertain=False)


def test_the_guarantee_is_the_endpoints_own() -> None:
    assert RequestExecutor.guarantee is Guarantee.AT_LEAST_ONCE
    assert EndpointAccount(url=Secret("x")).guarantee is Guarantee.AT_LEAST_ONCE
    assert EndpointAccount(url=Secret("x"), idempotency_header=KEY).guarantee is Guarantee.KEYED


@pytest.mark.parametrize(("key", "most"), [(KEY, 1), ("", 2)])
async def test_killed_at_each_await_the_target_counts_what_was_promised(key: str, most: int) -> None:
    async with rig_of(key, timeout=5 * SECOND) as rig:
        await _warm(rig)
        counted: list[int] = []

        async def afterwards(outcome: Outcome | None) -> None:
            if outcome is None:
                outcome = await rig.send(uncertain=True)
            assert isinstance(outcome, Delivered)
            counted.append(rig.endpoint.effects)
            rig.endpoint.forget()

        kills = await killed_at_each_await(rig.send, afterwards)
        assert kills >= 3
        assert (min(counted), max(counted)) == (1, most)


async def _warm(rig: Rig) -> None:
    """The endpoint answers before anybody is killed."""
    async with loopback_client() as client:
        assert (await client.post(rig.url, json={})).status_code == 401
