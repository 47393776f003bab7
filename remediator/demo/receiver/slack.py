"""Slack's Web API as far as remediator uses it: state and answers, no HTTP.

As documented at docs.slack.dev: chat.postMessage takes a channel's name or id, conversations.history an id only and
returns newest first, metadata only with include_all_metadata; chat.update keeps metadata that is not given again;
refusals are HTTP 200 with ok=false, rate limits HTTP 429 with Retry-After.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

Body = dict[str, Any]

TEXT_LIMIT = 3_000
HEADER_LIMIT = 150
FIELD_LIMIT = 2_000
FIELDS_LIMIT = 10
BLOCKS_LIMIT = 50


class SlackMessage(msgspec.Struct):
    """One message in a channel. edits counts chat.update; history holds each text it ever had."""

    channel: str
    ts: str
    text: str
    blocks: list[Body]
    metadata: Body | None
    edits: int = 0
    history: list[str] = []


class SlackState:
    """A workspace: channels by name, messages in order. `clock` gives seconds since 1970 for timestamps."""

    def __init__(
        self, channels: tuple[str, ...] = ("alerts",), token: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        self.token = token
        self.channels = {name: f"C{index:09d}" for index, name in enumerate(channels, start=1)}
        self.messages: list[SlackMessage] = []
        self._clock = clock
        self._last_us = 0

    @property
    def posts(self) -> int:
        """Messages that exist: each chat.postMessage that took effect made one."""
        return len(self.messages)

    @property
    def edits(self) -> int:
        """chat.update calls that took effect."""
        return sum(message.edits for message in self.messages)

    @property
    def distinct_actions(self) -> int:
        """Different action ids that messages carry: fewer than `posts` means that something was told twice."""
        return len({action_of(message) for message in self.messages})

    def call(self, method: str, body: Body, token: str) -> Body:
        """The answer to one call, after its effect."""
        if self.token and token != self.token:
            return refusal("invalid_auth")
        match method:
            case "auth.test":
                return {"ok": True, "team": "stand-in", "user": "remediator", "user_id": "U000000001"}
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                return self._update(body)
            case "conversations.history":
                return self._history(body)
            case "conversations.list":
                return self._list(body)
            case _:
                return refusal("unknown_method")

    def _post(self, body: Body) -> Body:
        channel = self._channel(str(body.get("channel", "")))
        blocks = body.get("blocks") or []
        if channel is None:
            return refusal("channel_not_found")
        if not body.get("text") and not blocks:
            return refusal("no_text")
        if not valid_blocks(blocks):
            return refusal("invalid_blocks")
        text = str(body.get("text", ""))
        message = SlackMessage(channel, self._next_ts(), text, blocks, body.get("metadata"), history=[text])
        self.messages.append(message)
        return {"ok": True, "channel": channel, "ts": message.ts, "message": shown(message, with_metadata=True)}

    def _next_ts(self) -> str:
        """Unique in the workspace, and later than every earlier one."""
        self._last_us = max(int(self._clock() * 1_000_000), self._last_us + 1)
        return f"{self._last_us // 1_000_000}.{self._last_us % 1_000_000:06d}"

    def _update(self, body: Body) -> Body:
        message = self._find(str(body.get("channel", "")), str(body.get("ts", "")))
        if message is None:
            return refusal("message_not_found")
        blocks = body.get("blocks") or []
        if not valid_blocks(blocks):
            return refusal("invalid_blocks")
        message.text, message.blocks = str(body.get("text", "")), blocks
        message.metadata = body.get("metadata") or message.metadata
        message.edits += 1
        message.history.append(message.text)
        return {"ok": True, "channel": message.channel, "ts": message.ts, "text": message.text}

    def _history(self, body: Body) -> Body:
        channel = str(body.get("channel", ""))
        if channel not in self.channels.values():
            return refusal("channel_not_found")
        oldest = float(body.get("oldest") or 0)
        found = [one for one in reversed(self.messages) if one.channel == channel and float(one.ts) > oldest]
        with_metadata = str(body.get("include_all_metadata", "")).lower() in ("1", "true")
        page, cursor = paged(found, body)
        messages = [shown(one, with_metadata=with_metadata) for one in page]
        return {
            "ok": True,
            "messages": messages,
            "has_more": bool(cursor),
            "response_metadata": {"next_cursor": cursor},
        }

    def _list(self, body: Body) -> Body:
        page, cursor = paged(sorted(self.channels.items()), body)
        channels = [{"id": channel_id, "name": name, "is_channel": True} for name, channel_id in page]
        return {"ok": True, "channels": channels, "response_metadata": {"next_cursor": cursor}}

    def _channel(self, named: str) -> str | None:
        return named if named in self.channels.values() else self.channels.get(named.removeprefix("#"))

    def _find(self, channel: str, ts: str) -> SlackMessage | None:
        return next((one for one in self.messages if (one.channel, one.ts) == (channel, ts)), None)


def refusal(error: str) -> Body:
    """How Slack says no."""
    return {"ok": False, "error": error}


def action_of(message: SlackMessage) -> str:
    """The action id that the message carries, '' if none."""
    return str(((message.metadata or {}).get("event_payload") or {}).get("action_id", ""))


def shown(message: SlackMessage, *, with_metadata: bool) -> Body:
    """A message as the API shows it."""
    body: Body = {"type": "message", "ts": message.ts, "text": message.text, "blocks": message.blocks}
    return body | {"metadata": message.metadata} if with_metadata and message.metadata else body


def paged(rows: list[Any], body: Body) -> tuple[list[Any], str]:
    """The page that `limit` and `cursor` ask for, and the next cursor."""
    start, limit = int(body.get("cursor") or 0), int(body.get("limit") or 100)
    following = start + limit
    return rows[start:following], str(following) if following < len(rows) else ""


def valid_blocks(blocks: list[Body]) -> bool:
    """Are the limits of Block Kit kept?"""
    return len(blocks) <= BLOCKS_LIMIT and all(valid_block(block) for block in blocks)


def valid_block(block: Body) -> bool:
    """The limits of one block: header 150, text 3000, at most 10 fields of 2000 characters, none empty."""
    limit = HEADER_LIMIT if block.get("type") == "header" else TEXT_LIMIT
    fields = block.get("fields") or []
    texts = [(block["text"], limit)] if "text" in block else []
    texts += [(field, FIELD_LIMIT) for field in fields]
    texts += [(element, TEXT_LIMIT) for element in block.get("elements") or []]
    return len(fields) <= FIELDS_LIMIT and all(0 < len(text.get("text", "")) <= most for text, most in texts)
