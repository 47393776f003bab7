"""One deployment's HTTP session: credentials, rates, timeouts, sizes, and the retries inside one read.

Knows no route of the API but the one that gives tokens. Raises only the faults of `errors`.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from remediator.actions.airflow.errors import BUSY, Answered, Lost, NotSent, TooLarge, is_transient
from remediator.actions.airflow.gate import Gate
from remediator.actions.airflow.rows import UNREADABLE, TokenAnswer, error_text
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.retry_after import asked_seconds
from remediator.actions.trust import trust
from remediator.model.secret import Secret

RETRY_AFTER_MAX_S = 5.0
"""The longest that a read waits because the answer said so; the budget of the read bounds it further."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_backoff = wait_random_exponential(multiplier=0.2, max=2.0)

Params = Sequence[tuple[str, str]]
JSON = "application/json"


class Call(msgspec.Struct, frozen=True):
    """One request. keep: how many bytes of the end of the answer are wanted; 0: all of it.

    begin_by: the event loop's time in seconds after which it is not sent any more; None: whenever its turn comes.
    """

    method: str
    path: str
    params: Params = ()
    body: Any = None
    accept: str = JSON
    keep: int = 0
    begin_by: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """A status below 300 with its body, or the end of it. cut: something before it was left out."""

    status: int
    body: bytes
    date: str | None
    cut: bool = False


class Caller(Protocol):
    """What a client needs of a session, whatever version of the API is behind it. Paths are those of API v2."""

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """A call that changes nothing. Raises Fault."""

    async def tail(self, path: str, *, params: Params, accept: str, keep: int) -> Answer:
        """The last `keep` bytes of a long answer. Raises Fault."""

    async def write(
        self, method: str, path: str, *, params: Params = (), body: Any = None, begin_by: float | None = None
    ) -> Answer:
        """A call that changes something. Raises Fault; NotSent after `begin_by` (as Call has it)."""

    async def close(self) -> None:
        """Close the connections. Idempotent."""


class Session:
    """Sends calls of one deployment, within its rates; a waiting retry keeps its place.

    basic: send username and password with every call instead of a token in exchange for them.
    """

    def __init__(self, settings: AirflowSettings, gate: Gate | None = None, *, basic: bool = False) -> None:
        self._settings = settings
        self._basic = basic and bool(settings.username)
        self._gate = gate or gate_of(settings)
        self._renewal = asyncio.Lock()
        self._token = settings.token
        self._http = httpx.AsyncClient(
            base_url=settings.base_url,
            verify=trust(settings.ca_file),
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
            headers={"User-Agent": "remediator"},
        )

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """A call that changes nothing: tried again while the fault is transient, within the read budget."""
        return await self._again(Call(method, path, params, body))

    async def tail(self, path: str, *, params: Params, accept: str, keep: int) -> Answer:
        """As a read, but of an answer of any length up to `max_log_bytes` only the end is kept."""
        return await self._again(Call("GET", path, params, None, accept, keep))

    async def write(
        self, method: str, path: str, *, params: Params = (), body: Any = None, begin_by: float | None = None
    ) -> Answer:
        """A call that changes something: sent once, and once more only if its token was refused."""
        async with self._gate.turn(), _bounded(self._settings.read_timeout_s + self._settings.connect_timeout_s):
            return await self._authorised(Call(method, path, params, body, begin_by=begin_by))

    async def _again(self, call: Call) -> Answer:
        tries = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(self._settings.read_tries),
            wait=_pause,
            before_sleep=lambda _: self._gate.another(),
            reraise=True,
        )
        async with self._gate.turn(), _bounded(self._settings.read_budget_s):
            return await tries(self._authorised, call)

    async def _authorised(self, call: Call) -> Answer:
        if self._basic:
            return await self._send(call, _basic(self._settings.username, self._settings.password))
        token = self._token or await self._renewed(self._token)
        try:
            return await self._send(call, _bearer(token))
        except Answered as refusal:
            if not self._is_stale_token(refusal):
                raise
        self._gate.another()
        return await self._send(call, _bearer(await self._renewed(token)))

    def _is_stale_token(self, refusal: Answered) -> bool:
        stale = refusal.status == 401 or (refusal.status == 403 and "Invalid JWT token" in refusal.text)
        return stale and bool(self._settings.username)

    async def _renewed(self, refused: Secret) -> Secret:
        """A token other than `refused`: another call's renewal, or a new one. Raises NotSent: nothing was asked yet."""
        if not self._settings.username:
            return self._settings.token
        async with self._renewal:
            if self._token == refused:
                self._token = await self._new_token()
            return self._token

    async def _new_token(self) -> Secret:
        body = {"username": self._settings.username, "password": self._settings.password.reveal()}
        self._gate.another()
        try:
            answer = await self._send(Call("POST", "/auth/token", (), body), {})
            return Secret(msgspec.json.decode(answer.body, type=TokenAnswer).access_token)
        except UNREADABLE:
            raise NotSent("no token: /auth/token did not answer with one") from None
        except (Lost, Answered) as fault:
            if isinstance(fault, Answered) and fault.status not in BUSY and fault.status < 500:
                raise
            raise NotSent(f"no token: {fault}") from None

    async def _send(self, call: Call, authorization: Mapping[str, str]) -> Answer:
        headers = {"Accept": call.accept, **authorization}
        request = self._http.build_request(
            call.method, call.path, params=list(call.params) or None, json=call.body, headers=headers
        )
        if call.begin_by is not None and asyncio.get_running_loop().time() > call.begin_by:
            raise NotSent("it stood still, or waited too long for its turn: what was seen before is too old")
        try:
            response = await self._http.send(request, stream=True)
            try:
                content, cut = await (self._end_of_body(response, call.keep) if call.keep else self._body(response))
            finally:
                await response.aclose()
        except _NEVER_SENT as fault:
            raise NotSent(f"not reachable: {_short(fault)}") from None
        except (httpx.HTTPError, httpx.StreamError) as fault:
            raise Lost(f"no whole answer: {_short(fault)}") from None
        return self._judged(response, content, cut=cut)

    async def _body(self, response: httpx.Response) -> tuple[bytes, bool]:
        parts = bytearray()
        async for part in response.aiter_bytes():
            parts += part
            if len(parts) > self._settings.max_response_bytes:
                raise TooLarge(f"the answer is larger than {self._settings.max_response_bytes} bytes")
        return bytes(parts), False

    async def _end_of_body(self, response: httpx.Response, keep: int) -> tuple[bytes, bool]:
        end, seen = bytearray(), 0
        async for part in response.aiter_bytes():
            seen += len(part)
            if seen > self._settings.max_log_bytes:
                raise TooLarge(f"the answer is larger than {self._settings.max_log_bytes} bytes")
            end += part
            if len(end) > 2 * keep:
                del end[:-keep]
        return bytes(end[-keep:]), seen > keep

    def _judged(self, response: httpx.Response, content: bytes, *, cut: bool) -> Answer:
        if response.status_code < 300:
            return Answer(response.status_code, content, response.headers.get("date"), cut)
        text = self._masked(error_text(content) or response.reason_phrase)
        raise Answered(response.status_code, text, asked_seconds(response.headers.get("retry-after")))

    def _masked(self, text: str) -> str:
        for secret in (self._settings.password, self._settings.token, self._token):
            text = secret.masked_in(text)
        return text


def gate_of(settings: AirflowSettings) -> Gate:
    """The gate of one deployment; what shares it shares its rates."""
    return Gate(settings.concurrency, settings.requests_per_second, settings.wait_s)


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"} if token else {}


def _basic(username: str, password: Secret) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{username}:{password.reveal()}'.encode()).decode()}"}


def _short(fault: Exception) -> str:
    text = str(fault)[:120]
    return f"{type(fault).__name__} {text}" if text else type(fault).__name__


def _pause(state: RetryCallState) -> float:
    fault = state.outcome.exception() if state.outcome else None
    asked = fault.retry_after_s if isinstance(fault, Answered) else None
    return min(asked, RETRY_AFTER_MAX_S) if asked is not None else _backoff(state)


@asynccontextmanager
async def _bounded(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Lost(f"no answer within {seconds:g} s") from None
