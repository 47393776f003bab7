"""Performs `http.request`: one JSON body to one configured endpoint. Knows no address but the configured ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx
import msgspec

from remediator.actions.http.answer import RETRY, Answer, outcome_of
from remediator.actions.http.settings import EndpointAccount
from remediator.actions.port import Preview
from remediator.actions.trust import usual
from remediator.model.action import Action, Guarantee, Request
from remediator.model.outcome import Outcome, Refused, RetryAfter
from remediator.model.time import SECOND

MAX_BODY_BYTES = 256 * 1024
MAX_ANSWER_BYTES = 8 * 1024
"""What is read of an answer; nothing but its beginning is ever shown."""
SHOWN_BODY = 1_000
"""Characters of a body that a preview shows."""
CONNECT_MAX_S = 5.0
_NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError,
    httpx.InvalidURL,
)  # fmt: skip
_encoder = msgspec.json.Encoder(order="deterministic")


class RequestExecutor:
    """One account per endpoint, by the endpoint's name.

    guarantee: the least of all; an endpoint that knows a repeat by its header is keyed (`EndpointAccount.guarantee`).
    mask: takes what looks like a secret out of what a preview shows.
    """

    guarantee = Guarantee.AT_LEAST_ONCE

    def __init__(self, accounts: Mapping[str, EndpointAccount], mask: Callable[[str], str] = str) -> None:
        self._accounts = dict(accounts)
        self._mask = mask
        # No answer is read beyond its beginning, so that none may unfold into something larger.
        headers = {"User-Agent": "remediator", "Accept-Encoding": "identity"}
        self._http = httpx.AsyncClient(verify=usual(), follow_redirects=False, headers=headers)

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Send it; a repeat is sent too, with the same bytes and the same key. Raises TypeError."""
        params = action.params
        if not isinstance(params, Request):
            raise TypeError(f"not a request: {action.kind}")
        account = self._accounts.get(params.endpoint)
        if account is None:
            return Refused(_no_endpoint(params))
        body = _encoder.encode(params.body)
        if len(body) > MAX_BODY_BYTES:
            return Refused(_too_long(body))
        answer = await self._answered(account, action.id, body)
        if isinstance(answer, Answer):
            return outcome_of(answer, params.endpoint, uncertain=uncertain)
        sent = not isinstance(answer, _NEVER_SENT)
        why = f"{'no answer from' if sent else 'cannot reach'} {params.endpoint}: {type(answer).__name__}"
        return RetryAfter(RETRY, why, uncertain=uncertain or sent)

    async def preview(self, action: Action) -> Preview:
        """What would be sent where. Nothing is sent: an endpoint knows no dry run."""
        params = action.params
        assert isinstance(params, Request)  # noqa: S101  (the dispatcher picks the executor by kind)
        account = self._accounts.get(params.endpoint)
        if account is None:
            return Preview("", error=_no_endpoint(params))
        body = _encoder.encode(params.body)
        shown = self._mask(account.masked(body[:MAX_BODY_BYTES].decode("utf-8", "replace")))
        cut = shown if len(shown) <= SHOWN_BODY else f"{shown[:SHOWN_BODY]}…"
        text = f"sends {account.method} to {account.place} (endpoint {params.endpoint}): {cut}"
        return Preview(text, refused=_too_long(body) if len(body) > MAX_BODY_BYTES else "")

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._http.aclose()

    async def _answered(self, account: EndpointAccount, action_id: str, body: bytes) -> Answer | Exception:
        """The answer, or why there is none: an address can be a secret, so that only the fault's type may be shown."""
        try:
            async with asyncio.timeout(account.timeout / SECOND):
                return await self._send(account, action_id, body)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError) as fault:
            return fault

    async def _send(self, account: EndpointAccount, action_id: str, body: bytes) -> Answer:
        whole_s = account.timeout / SECOND
        request = self._http.build_request(
            account.method,
            account.url.reveal(),
            content=body,
            headers={**account.headers_for(action_id), b"Content-Type": b"application/json"},
            timeout=httpx.Timeout(whole_s, connect=min(CONNECT_MAX_S, whole_s / 2)),
        )
        response = await self._http.send(request, stream=True)
        try:
            text = account.masked(await _beginning(response))
        finally:
            await response.aclose()
        return Answer(response.status_code, text, response.headers.get("retry-after", ""))


def _no_endpoint(params: Request) -> str:
    return f"there is no endpoint named {params.endpoint!r}"


def _too_long(body: bytes) -> str:
    return f"the body has {len(body)} bytes, more than the {MAX_BODY_BYTES} allowed"


async def _beginning(response: httpx.Response) -> str:
    """The first bytes of a refusal, as text; '' of any other answer."""
    if response.status_code < 400:
        return ""
    start = bytearray()
    async for part in response.aiter_raw():
        start += part
        if len(start) >= MAX_ANSWER_BYTES:
            break
    return start[:MAX_ANSWER_BYTES].decode("utf-8", "replace")
