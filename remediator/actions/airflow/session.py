"""One deployment's HTTP session: token, concurrency, timeouts, sizes, and the retries inside one read.

Knows no route of the API. Raises only the faults of `errors`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from remediator.actions.airflow.errors import BUSY, Answered, Lost, NotSent, TooLarge, is_transient
from remediator.actions.airflow.rows import TokenAnswer, error_text
from remediator.actions.airflow.settings import AirflowSettings
from remediator.model.secret import Secret

RETRY_AFTER_MAX_S = 5.0
"""The longest that a read waits because the answer said so; the budget of the read bounds it further."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_backoff = wait_random_exponential(multiplier=0.2, max=2.0)

Params = Sequence[tuple[str, str]]


class Answer(msgspec.Struct, frozen=True):
    """A status below 300 with its whole body."""

    status: int
    body: bytes
    date: str | None


class Session:
    """Sends calls of one deployment. At most `concurrency` are in flight; a waiting retry keeps its place."""

    def __init__(self, settings: AirflowSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._renewal = asyncio.Lock()
        self._token = settings.token
        self._http = httpx.AsyncClient(
            base_url=settings.base_url,
            verify=_trust(settings.ca_file),
            timeout=httpx.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s),
            limits=httpx.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency),
            headers={"Accept": "application/json", "User-Agent": "remediator"},
        )

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def read(self, method: str, path: str, *, params: Params = (), body: Any = None) -> Answer:
        """A call that changes nothing: tried again while the fault is transient, within the read budget."""
        tries = AsyncRetrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(self._settings.read_tries),
            wait=_pause,
            reraise=True,
        )
        async with self._slots, _bounded(self._settings.read_budget_s):
            return await tries(self._authorised, method, path, params, body)

    async def write(self, method: str, path: str, *, body: Any) -> Answer:
        """A call that changes something: sent once, and once more only if its token was refused."""
        async with self._slots, _bounded(self._settings.read_timeout_s + self._settings.connect_timeout_s):
            return await self._authorised(method, path, (), body)

    async def _authorised(self, method: str, path: str, params: Params, body: Any) -> Answer:
        token = self._token or await self._renewed(self._token)
        try:
            return await self._send(method, path, params, body, token)
        except Answered as refusal:
            if not self._is_stale_token(refusal):
                raise
        return await self._send(method, path, params, body, await self._renewed(token))

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
        try:
            answer = await self._send("POST", "/auth/token", (), body, Secret())
            return Secret(msgspec.json.decode(answer.body, type=TokenAnswer).access_token)
        except msgspec.MsgspecError:
            raise NotSent("no token: /auth/token did not answer with one") from None
        except (Lost, Answered) as fault:
            if isinstance(fault, Answered) and fault.status not in BUSY and fault.status < 500:
                raise
            raise NotSent(f"no token: {fault}") from None

    async def _send(self, method: str, path: str, params: Params, body: Any, token: Secret) -> Answer:
        request = self._http.build_request(
            method, path, params=list(params) or None, json=body, headers=_authorization(token)
        )
        try:
            response = await self._http.send(request, stream=True)
            try:
                content = await self._whole_body(response)
            finally:
                await response.aclose()
        except _NEVER_SENT as fault:
            raise NotSent(f"not reachable: {_short(fault)}") from None
        except (httpx.HTTPError, httpx.StreamError) as fault:
            raise Lost(f"no whole answer: {_short(fault)}") from None
        return self._judged(response, content)

    async def _whole_body(self, response: httpx.Response) -> bytes:
        parts = bytearray()
        async for part in response.aiter_bytes():
            parts += part
            if len(parts) > self._settings.max_response_bytes:
                raise TooLarge(f"the answer is larger than {self._settings.max_response_bytes} bytes")
        return bytes(parts)

    def _judged(self, response: httpx.Response, content: bytes) -> Answer:
        if response.status_code < 300:
            return Answer(response.status_code, content, response.headers.get("date"))
        text = self._masked(error_text(content) or response.reason_phrase)
        raise Answered(response.status_code, text, _retry_after(response.headers))

    def _masked(self, text: str) -> str:
        for secret in (self._settings.password, self._settings.token, self._token):
            text = secret.masked_in(text)
        return text


def _trust(ca_file: str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=ca_file) if ca_file else True


def _authorization(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"} if token else {}


def _short(fault: Exception) -> str:
    text = str(fault)[:120]
    return f"{type(fault).__name__} {text}" if text else type(fault).__name__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the answer asks for; a date or nonsense counts as nothing said."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() else None


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
