"""Performs `pagerduty.page`. Keyed: PagerDuty folds a repeat with the same dedup_key into the same alert."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from remediator.actions.pagerduty.event import enqueue_body
from remediator.actions.retry_after import asked_seconds
from remediator.actions.trust import usual
from remediator.model.action import Action, Guarantee, Page
from remediator.model.outcome import Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Duration

RETRY: Duration = 5 * SECOND
RATE_RETRY: Duration = 30 * SECOND
CALL_MAX_S = 45.0
"""One call with all its attempts: an answer that drips must not outlive the claim."""
ATTEMPTS = 2
ATTEMPT_PAUSE_S = 0.2
REASON_LIMIT = 500


class PagerDutyAccount(msgspec.Struct, frozen=True):
    """A service: whose routing key, and which address."""

    routing_key: Secret
    api_url: str = "https://events.pagerduty.com"
    timeout: Duration = 10 * SECOND


class PagerDutyExecutor:
    """One routing key per receiver, by the receiver's name. `client` is what PagerDuty shows as the sender."""

    guarantee = Guarantee.KEYED

    def __init__(self, accounts: Mapping[str, PagerDutyAccount], client: str = "remediator") -> None:
        self._accounts = dict(accounts)
        self._client_name = client
        self._http = httpx.AsyncClient(verify=usual(), follow_redirects=False)

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Trigger or resolve; `uncertain` changes nothing, since a repeat is harmless. Raises TypeError."""
        params = action.params
        if not isinstance(params, Page):
            raise TypeError(f"not a page: {action.kind}")
        account = self._accounts.get(action.target)
        if account is None:
            return Refused(f"there is no PagerDuty receiver named {action.target!r}")
        try:
            async with asyncio.timeout(CALL_MAX_S):
                response = await self._send(account, params)
        except (httpx.HTTPError, TimeoutError) as fault:
            return RetryAfter(RETRY, f"no answer from PagerDuty: {type(fault).__name__}", uncertain=True)
        return outcome_of(response.status_code, response.text, response.headers.get("Retry-After"), params.dedup_key)

    async def prove(self, action: Action) -> Outcome:
        """PagerDuty cannot be asked. What ends an alert is sent, which cannot harm; what wakes people is not."""
        if isinstance(action.params, Page) and action.params.event_action == "resolve":
            return await self.perform(action, uncertain=True)
        return Unknown("the store is a backup, and PagerDuty cannot be asked whether this was sent")

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._http.aclose()

    async def _send(self, account: PagerDutyAccount, page: Page) -> httpx.Response:
        body = enqueue_body(page, account.routing_key.reveal(), self._client_name)
        url = account.api_url.rstrip("/") + "/v2/enqueue"
        again = AsyncRetrying(
            retry=retry_if_exception_type(httpx.ConnectError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(ATTEMPT_PAUSE_S),
            reraise=True,
        )
        async for attempt in again:
            with attempt:
                response = await self._http.post(url, json=body, timeout=account.timeout / SECOND)
        return response


def outcome_of(status: int, text: str, retry_after: str | None, dedup_key: str) -> Outcome:
    """What PagerDuty's answer amounts to: 202 accepted, 400 invalid event, 429 too many, 5xx its own trouble."""
    if 200 <= status < 300:
        return Delivered(ref=dedup_key)
    if status == 429:
        return RetryAfter(_pause(retry_after, RATE_RETRY), "PagerDuty said too many events (429)")
    if status >= 500 or status == 408:
        return RetryAfter(_pause(retry_after, RETRY), f"PagerDuty said HTTP {status}", uncertain=True)
    return Refused(f"PagerDuty said HTTP {status}: {_errors(text)}")


def _pause(retry_after: str | None, default: Duration) -> Duration:
    asked = asked_seconds(retry_after)
    return default if asked is None else asked * SECOND


class _Invalid(msgspec.Struct):
    message: str = ""
    errors: list[str] = []


def _errors(text: str) -> str:
    """The errors of an 'invalid event' answer, or its text; bounded."""
    try:
        invalid = msgspec.json.decode(text, type=_Invalid)
    except (msgspec.DecodeError, RecursionError):
        return text[:REASON_LIMIT]
    return ("; ".join(invalid.errors) or invalid.message or text)[:REASON_LIMIT]
