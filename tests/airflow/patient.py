"""The suites' own calls of a real Airflow: asked again while it is in trouble. What is under test never comes by here.

A 5xx is trouble of Airflow's own, such as a database that is busy. Callers choose calls that may be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import httpx

from remediator.actions.airflow.errors import Fault, is_about_deployment
from remediator.model.action import Action
from remediator.model.inputs import Answer
from remediator.model.outcome import Outcome, RetryAfter
from remediator.model.time import Instant
from tests.airflow.eventually import PATIENCE_SECONDS, eventually

T = TypeVar("T")
TEXT_LIMIT = 300


class Performs(Protocol):
    """An Executor."""

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome: ...


class Answers(Protocol):
    """A Questioner."""

    async def ask(self, actions: Sequence[Action], now: Instant) -> list[Answer]: ...


class Patient(httpx.AsyncBaseTransport):
    """Sends a request again after a 5xx or a lost connection. Raises AssertionError if that lasts."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path} answered"
        answer = await eventually(lambda: self._answer(request), _is_answer, seconds=self._seconds, what=what)
        assert isinstance(answer, httpx.Response)
        return answer

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _answer(self, request: httpx.Request) -> httpx.Response | str:
        """Its text instead, if it is one of trouble."""
        try:
            answer = await self._inner.handle_async_request(request)
            if answer.status_code < 500:
                return answer
            text = (await answer.aread()).decode(errors="replace")
            await answer.aclose()
            return f"{answer.status_code}: {text[:TEXT_LIMIT]}"
        except httpx.TransportError as fault:
            return repr(fault)


def connected(
    url: str, token: str = "", *, auth: tuple[str, str] | None = None, seconds: float = PATIENCE_SECONDS
) -> httpx.AsyncClient:
    """An HTTP client that is patient for so long. auth: basic credentials instead of a token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers=headers, auth=auth, timeout=30, transport=Patient(seconds))


async def admitted(url: str, username: str, password: str) -> httpx.AsyncClient:
    """A patient client with this user's token. Close it when done."""
    async with connected(url) as http:
        answer = await http.post("/auth/token", json={"username": username, "password": password})
        assert answer.status_code == 201, answer.text
        return connected(url, str(answer.json()["access_token"]))


async def found(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """What a call of AirflowClient gives once Airflow is not in trouble. Raises the Fault that is about the call."""

    async def once() -> T | Fault:
        try:
            return await ask()
        except Fault as fault:
            if is_about_deployment(fault):
                return fault
            raise

    answer = await eventually(once, lambda got: not isinstance(got, Fault), what=what)
    assert not isinstance(answer, Fault)
    return answer


async def performed(executor: Performs, action: Action, *, uncertain: bool = False) -> Outcome:
    """Performed as the dispatcher does it: again while the outcome says so, but without its waits."""

    async def once() -> Outcome:
        nonlocal uncertain
        outcome = await executor.perform(action, uncertain=uncertain)
        uncertain = uncertain or (isinstance(outcome, RetryAfter) and outcome.uncertain)
        return outcome

    return await eventually(once, lambda outcome: not isinstance(outcome, RetryAfter), what=f"{action.id} performed")


async def answered(questioner: Answers, actions: Sequence[Action], now: Callable[[], Instant]) -> list[Answer]:
    """One answer for each action, asked again as the dispatcher does until none is an error."""
    return await eventually(
        lambda: questioner.ask(actions, now()),
        lambda answers: not any(answer.error for answer in answers),
        what=f"{[action.id for action in actions]} answered",
    )


def _is_answer(got: httpx.Response | str) -> bool:
    return isinstance(got, httpx.Response)
