"""Performs `slack.message`. Provable: every post carries its action's id, so looking tells whether it happened."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from remediator.actions.slack.client import Posted, SlackAccount, SlackClient
from remediator.actions.slack.faults import RETRY
from remediator.actions.slack.message import fallback_text, render
from remediator.model.action import Action, Guarantee, Message
from remediator.model.outcome import NOT_DONE, Delivered, Outcome, Refused, RetryAfter, Unknown
from remediator.model.time import HOUR, SECOND

LOOK_BACK = 1 * HOUR
"""Slack's clock and ours may differ, and an action may have waited: look a little further back than it is old."""

LOOK_BUDGET_S = 20.0
"""All pages of one look together. With the account's timeout it stays below what a claim lasts."""


class SlackExecutor:
    """One client per receiver, by the receiver's name."""

    guarantee = Guarantee.PROVABLE

    def __init__(self, accounts: Mapping[str, SlackAccount]) -> None:
        self._clients = {name: SlackClient(account) for name, account in accounts.items()}

    async def perform(self, action: Action, *, uncertain: bool) -> Outcome:
        """Post or edit. Raises TypeError for an action of another kind."""
        params, client = message_of(action), self._clients.get(action.target)
        if client is None:
            return Refused(f"there is no Slack receiver named {action.target!r}")
        if params.ref:
            return await _edit(client, params)
        if uncertain:
            found = await _look(client, action, params)
            if found is not None:
                return found
        return await _post(client, action, params)

    async def prove(self, action: Action) -> Outcome:
        """The action's id is in what was posted. An edit is made: what comes after it edits again."""
        params, client = message_of(action), self._clients.get(action.target)
        if client is None:
            return Unknown(f"there is no Slack receiver named {action.target!r}")
        if params.ref:
            return await _edit(client, params)
        return await _look(client, action, params) or Refused(NOT_DONE)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        for client in self._clients.values():
            await client.close()


def message_of(action: Action) -> Message:
    """What the action says. Raises TypeError if it is of another kind."""
    if not isinstance(action.params, Message):
        raise TypeError(f"not a Slack message: {action.kind}")
    return action.params


async def _edit(client: SlackClient, params: Message) -> Outcome:
    channel, _, ts = params.ref.rpartition(":")
    answer = await client.update(Posted(channel, ts), fallback_text(params.incident), render(params.incident))
    return Delivered(ref=answer.ref) if isinstance(answer, Posted) else answer


async def _post(client: SlackClient, action: Action, params: Message) -> Outcome:
    answer = await client.post(params.channel, fallback_text(params.incident), render(params.incident), action.id)
    if isinstance(answer, Posted):
        return Delivered(ref=answer.ref)
    if isinstance(answer, RetryAfter) and answer.uncertain:
        found = await _look(client, action, params)
        return found if isinstance(found, Delivered) else answer
    return answer


async def _look(client: SlackClient, action: Action, params: Message) -> Outcome | None:
    """Delivered if it is there, None if it is not, else what the failed look amounts to."""
    oldest = min(action.not_before, params.incident.updated_at) - LOOK_BACK
    try:
        async with asyncio.timeout(LOOK_BUDGET_S):
            found = await client.find(params.channel, action.id, max(0, oldest // SECOND))
    except TimeoutError:
        return RetryAfter(RETRY, f"looking took longer than {LOOK_BUDGET_S:.0f} s", uncertain=True)
    if isinstance(found, Posted):
        return Delivered(ref=found.ref, detail="found at Slack")
    return None if found is None else still_unknown(found)


def still_unknown(outcome: Outcome) -> Outcome:
    """A look that failed leaves the post as uncertain as it was; one that cannot succeed is for a person."""
    match outcome:
        case RetryAfter(after=after, reason=reason):
            return RetryAfter(after or RETRY, reason, uncertain=True)
        case Refused(reason=reason):
            return Unknown(f"cannot look whether it was posted: {reason}")
        case _:
            return outcome
