"""One Slack workspace over slack-sdk. Owns the connection and the channel ids it has learned; decides nothing.

The SDK's own retries are off: they would repeat a post whose answer was lost.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Any

import aiohttp
import msgspec
from slack_sdk.errors import SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from remediator.actions.slack.faults import RETRY, outcome_of
from remediator.model.outcome import Outcome, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import SECOND, Duration

EVENT_TYPE = "remediator_incident"
PAGE = 200
PAGES_MAX = 5
CHANNELS_KEPT = 1_000
MAY_NOT_SEE_PRIVATE = Refused("Slack said missing_scope")
"""Asking for a kind of channel that the token may not list refuses the whole call."""
_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{7,}")


class SlackAccount(msgspec.Struct, frozen=True):
    """A workspace: whose token, and which address."""

    token: Secret
    api_url: str = "https://slack.com/api/"
    timeout: Duration = 10 * SECOND


class Posted(msgspec.Struct, frozen=True):
    """A message at Slack."""

    channel: str
    ts: str

    @property
    def ref(self) -> str:
        """As `Message.ref` has it."""
        return f"{self.channel}:{self.ts}"


class SlackClient:
    """Calls that answer with what was asked for or with the outcome that a failure amounts to."""

    def __init__(self, account: SlackAccount) -> None:
        self._account = account
        self._web: AsyncWebClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._channels: dict[str, str] = {}

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        session, self._session, self._web = self._session, None, None
        if session is not None:
            await session.close()

    async def post(self, channel: str, text: str, blocks: list[dict[str, Any]], action_id: str) -> Posted | Outcome:
        """Post once, marked with the action's id."""
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"action_id": action_id}}
        answer = await self._call(
            self._client().chat_postMessage(
                channel=channel, text=text, blocks=blocks, metadata=metadata, unfurl_links=False, unfurl_media=False
            ),
            repeatable=False,
        )
        if not isinstance(answer, dict):
            return answer
        posted = Posted(channel=str(answer.get("channel", channel)), ts=str(answer.get("ts", "")))
        self._learn(channel, posted.channel)
        return posted

    async def update(self, posted: Posted, text: str, blocks: list[dict[str, Any]]) -> Posted | Outcome:
        """Replace the content of a message; its mark stays."""
        answer = await self._call(
            self._client().chat_update(channel=posted.channel, ts=posted.ts, text=text, blocks=blocks),
            repeatable=True,
        )
        return posted if isinstance(answer, dict) else answer

    async def find(self, channel: str, action_id: str, oldest_s: int) -> Posted | Outcome | None:
        """The message that carries the action's id, None if there is none since `oldest_s`, else why not known."""
        where = await self._channel_id(channel)
        if not isinstance(where, str):
            return where
        cursor = ""
        for _ in range(PAGES_MAX):
            answer = await self._call(
                self._client().conversations_history(
                    channel=where, oldest=str(oldest_s), limit=PAGE, cursor=cursor or None, include_all_metadata=True
                ),
                repeatable=True,
            )
            if not isinstance(answer, dict):
                return answer
            for message in answer.get("messages", ()):
                if is_marked(message, action_id):
                    return Posted(channel=where, ts=str(message["ts"]))
            cursor = next_cursor(answer)
            if not cursor:
                return None
        return Unknown(f"not among the latest {PAGE * PAGES_MAX} messages of {channel}, and there are more")

    async def _channel_id(self, channel: str) -> str | Outcome:
        """History is read by id only; a name is looked up in the lists of channels that the token may see."""
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        if channel in self._channels:
            return self._channels[channel]
        answer = await self._search(channel, "public_channel,private_channel")
        if answer == MAY_NOT_SEE_PRIVATE:
            answer = await self._search(channel, "public_channel")
        if isinstance(answer, str):
            self._learn(channel, answer)
        return answer

    async def _search(self, channel: str, types: str) -> str | Outcome:
        cursor = ""
        for _ in range(PAGES_MAX):
            answer = await self._call(
                self._client().conversations_list(
                    limit=1_000, cursor=cursor or None, types=types, exclude_archived=True
                ),
                repeatable=True,
            )
            if not isinstance(answer, dict):
                return answer
            wanted = channel.removeprefix("#")
            for found in answer.get("channels", ()):
                if found.get("name") == wanted:
                    return str(found["id"])
            cursor = next_cursor(answer)
            if not cursor:
                break
        return Unknown(f"the id of channel {channel} could not be found, so its history cannot be read")

    def _learn(self, channel: str, channel_id: str) -> None:
        if len(self._channels) < CHANNELS_KEPT:
            self._channels[channel] = channel_id

    def _client(self) -> AsyncWebClient:
        if self._web is None:
            seconds = self._account.timeout / SECOND
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds))
            self._web = AsyncWebClient(
                token=self._account.token.reveal(),
                base_url=self._account.api_url,
                session=self._session,
                retry_handlers=[],
            )
        return self._web

    async def _call(self, request: Awaitable[AsyncSlackResponse], *, repeatable: bool) -> dict[str, Any] | Outcome:
        try:
            response = await request
        except SlackClientError as fault:
            return _refusal(fault, repeatable=repeatable)
        except aiohttp.ClientConnectorError as fault:
            return RetryAfter(RETRY, f"Slack cannot be reached: {type(fault).__name__}")
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as fault:
            return RetryAfter(RETRY, f"no answer from Slack: {type(fault).__name__}", uncertain=not repeatable)
        return response.data if isinstance(response.data, dict) else _no_json(repeatable=repeatable)


def is_marked(message: dict[str, Any], action_id: str) -> bool:
    """Does the message's metadata carry this action's id?"""
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    return metadata.get("event_type") == EVENT_TYPE and payload.get("action_id") == action_id


def next_cursor(answer: dict[str, Any]) -> str:
    """Where the next page starts; '' if there is none."""
    return str((answer.get("response_metadata") or {}).get("next_cursor") or "")


def _refusal(fault: SlackClientError, *, repeatable: bool) -> Outcome:
    response: Any = getattr(fault, "response", None)
    data = getattr(response, "data", None)
    error = data.get("error", "") if isinstance(data, dict) else ""
    headers = getattr(response, "headers", None) or {}
    status: int = getattr(response, "status_code", None) or getattr(response, "status", 0) or 0
    return outcome_of(status, str(error)[:200], headers.get("Retry-After"), repeatable=repeatable)


def _no_json(*, repeatable: bool) -> Outcome:
    return RetryAfter(RETRY, "Slack answered with something that is not JSON", uncertain=not repeatable)
