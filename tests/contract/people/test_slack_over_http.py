"""The Slack executor against a Slack that listens: once, whatever goes wrong on the way."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import msgspec
import pytest

from remediator.actions.slack import executor as executor_module
from remediator.actions.slack.client import PAGE, PAGES_MAX, SlackAccount
from remediator.actions.slack.executor import SlackExecutor
from remediator.demo.receiver import faults
from remediator.demo.receiver.app import Receiver
from remediator.demo.receiver.faults import Fault
from remediator.demo.receiver.slack import SlackMessage, action_of
from remediator.model.action import Guarantee
from remediator.model.incident import Phase
from remediator.model.outcome import Delivered, Refused, RetryAfter, Unknown
from remediator.model.secret import Secret
from remediator.model.time import MILLISECOND, SECOND
from remediator.web.server import Running
from tests.contract.people.told import OPEN, message, page

POST, UPDATE, HISTORY, LIST = "chat.postMessage", "chat.update", "conversations.history", "conversations.list"


@pytest.fixture
async def slack(stand_in: Running) -> AsyncIterator[SlackExecutor]:
    executor = executor_at(stand_in.url)
    yield executor
    await executor.close()


def executor_at(url: str, timeout_ms: int = 5_000) -> SlackExecutor:
    account = SlackAccount(token=Secret("xoxb-hunter2"), api_url=f"{url}/api/", timeout=timeout_ms * MILLISECOND)
    return SlackExecutor({"team": account})


@pytest.fixture
async def impatient(stand_in: Running) -> AsyncIterator[SlackExecutor]:
    """Gives up on an answer after 300 ms."""
    executor = executor_at(stand_in.url, 300)
    yield executor
    await executor.close()


async def test_posts_once_and_names_the_message(slack: SlackExecutor, receiver: Receiver) -> None:
    outcome = await slack.perform(message(), uncertain=False)
    posted = receiver.slack.messages[0]
    assert outcome == Delivered(ref=f"{posted.channel}:{posted.ts}")
    assert action_of(posted) == "action-a1"
    assert "connection reset" in posted.text


async def test_edits_in_place(slack: SlackExecutor, receiver: Receiver) -> None:
    first = await slack.perform(message(), uncertain=False)
    assert isinstance(first, Delivered)
    resolved = msgspec.structs.replace(OPEN, phase=Phase.RESOLVED, resolution="helped: retry 1")
    second = await slack.perform(message(resolved, ref=first.ref, name="a2"), uncertain=False)
    assert second == Delivered(ref=first.ref)
    assert (receiver.slack.posts, receiver.slack.edits) == (1, 1)
    assert "RESOLVED" in receiver.slack.messages[0].text
    assert action_of(receiver.slack.messages[0]) == "action-a1"


@pytest.mark.parametrize("fault", [faults.TIMEOUT_AFTER_ACTING, faults.INTERNAL_ERROR_AFTER_ACTING])
async def test_a_post_whose_answer_was_lost_is_found_at_once(
    impatient: SlackExecutor, receiver: Receiver, fault: Fault
) -> None:
    receiver.faults.add(POST, fault)
    outcome = await impatient.perform(message(), uncertain=False)
    assert isinstance(outcome, Delivered)
    assert outcome.ref.endswith(receiver.slack.messages[0].ts)
    assert receiver.slack.posts == 1


@pytest.mark.parametrize("fault", [faults.TIMEOUT, faults.INTERNAL_ERROR, faults.BAD_GATEWAY])
async def test_a_post_that_is_not_there_stays_uncertain(
    impatient: SlackExecutor, receiver: Receiver, fault: Fault
) -> None:
    receiver.faults.add(POST, fault)
    outcome = await impatient.perform(message(), uncertain=False)
    assert isinstance(outcome, RetryAfter)
    assert outcome.uncertain
    assert isinstance(await impatient.perform(message(), uncertain=True), Delivered)
    assert receiver.slack.posts == 1


async def test_uncertain_looks_before_it_posts(slack: SlackExecutor, receiver: Receiver) -> None:
    first = await slack.perform(message(), uncertain=False)
    again = await slack.perform(message(), uncertain=True)
    assert isinstance(first, Delivered)
    assert isinstance(again, Delivered)
    assert again.ref == first.ref
    assert receiver.slack.posts == 1


async def test_a_new_process_finds_it_by_the_channels_name(
    slack: SlackExecutor, stand_in: Running, receiver: Receiver
) -> None:
    await slack.perform(message(), uncertain=False)
    restarted = executor_at(stand_in.url)
    assert isinstance(await restarted.perform(message(), uncertain=True), Delivered)
    await restarted.close()
    assert receiver.calls == {POST: 1, LIST: 1, HISTORY: 1}


async def test_uncertain_posts_what_is_not_there(slack: SlackExecutor, receiver: Receiver) -> None:
    await slack.perform(message(name="other"), uncertain=False)
    assert isinstance(await slack.perform(message(), uncertain=True), Delivered)
    assert receiver.slack.distinct_actions == 2


@pytest.mark.parametrize("fault", [faults.BAD_GATEWAY, faults.RATE_LIMITED, faults.INTERNAL_ERROR])
@pytest.mark.parametrize("method", [HISTORY, LIST])
async def test_nothing_is_posted_while_looking_fails(
    slack: SlackExecutor, receiver: Receiver, fault: Fault, method: str
) -> None:
    receiver.faults.add(method, fault)
    outcome = await slack.perform(message(), uncertain=True)
    assert isinstance(outcome, RetryAfter)
    assert outcome.uncertain
    assert receiver.slack.posts == 0


async def test_looking_that_is_not_allowed_is_unknown(slack: SlackExecutor, receiver: Receiver) -> None:
    receiver.faults.add(LIST, Fault(error="missing_scope"), times=2)
    outcome = await slack.perform(message(), uncertain=True)
    assert isinstance(outcome, Unknown)
    assert "missing_scope" in outcome.reason


async def test_a_token_that_may_list_public_channels_only_is_enough(slack: SlackExecutor, receiver: Receiver) -> None:
    receiver.faults.add(LIST, Fault(error="missing_scope"))
    assert isinstance(await slack.perform(message(), uncertain=True), Delivered)
    assert (receiver.calls[LIST], receiver.slack.posts) == (2, 1)


async def test_looking_is_bounded(slack: SlackExecutor, receiver: Receiver) -> None:
    channel = receiver.slack.channels["alerts"]
    ts = OPEN.opened_at // SECOND
    receiver.slack.messages += [
        SlackMessage(channel, f"{ts}.{n:06d}", "chatter", [], None) for n in range(PAGE * PAGES_MAX + 1)
    ]
    outcome = await slack.perform(message(), uncertain=True)
    assert isinstance(outcome, Unknown)
    assert receiver.calls[HISTORY] == PAGES_MAX


async def test_a_rate_limit_says_when(slack: SlackExecutor, receiver: Receiver) -> None:
    receiver.faults.add(POST, Fault(status=429, error="ratelimited", retry_after=7))
    outcome = await slack.perform(message(), uncertain=False)
    assert outcome == RetryAfter(7 * SECOND, "Slack said ratelimited")
    assert receiver.slack.posts == 0


@pytest.mark.parametrize("error", ["invalid_auth", "not_in_channel", "is_archived", "msg_too_long", "a_new_error"])
async def test_a_refusal_is_final_and_says_why(slack: SlackExecutor, receiver: Receiver, error: str) -> None:
    receiver.faults.add(POST, Fault(error=error))
    assert await slack.perform(message(), uncertain=False) == Refused(f"Slack said {error}")


async def test_an_unknown_channel_is_refused(slack: SlackExecutor) -> None:
    outcome = await slack.perform(message(channel="#nowhere"), uncertain=False)
    assert outcome == Refused("Slack said channel_not_found")


async def test_an_edit_of_a_deleted_message_is_refused(slack: SlackExecutor) -> None:
    outcome = await slack.perform(message(ref="C000000001:1.000000"), uncertain=False)
    assert outcome == Refused("Slack said message_not_found")


async def test_an_edit_without_an_answer_is_simply_repeated(impatient: SlackExecutor, receiver: Receiver) -> None:
    first = await impatient.perform(message(), uncertain=False)
    assert isinstance(first, Delivered)
    receiver.faults.add(UPDATE, faults.TIMEOUT)
    outcome = await impatient.perform(message(ref=first.ref), uncertain=False)
    assert isinstance(outcome, RetryAfter)
    assert not outcome.uncertain


async def test_a_slack_that_is_away_was_not_told() -> None:
    executor = executor_at(f"http://127.0.0.1:{free_port()}")
    outcome = await executor.perform(message(), uncertain=False)
    await executor.close()
    assert isinstance(outcome, RetryAfter)
    assert not outcome.uncertain


async def test_the_token_is_sent_and_never_shown(slack: SlackExecutor, receiver: Receiver) -> None:
    receiver.slack.token = "another"
    outcome = await slack.perform(message(), uncertain=False)
    assert outcome == Refused("Slack said invalid_auth")
    receiver.slack.token = "xoxb-hunter2"
    assert isinstance(await slack.perform(message(), uncertain=False), Delivered)


async def test_hostile_text_is_accepted_by_slacks_limits(slack: SlackExecutor, receiver: Receiver) -> None:
    hostile = "<!channel> @here & `x` ``` \x00 " * 2_000
    incident = msgspec.structs.replace(
        OPEN, title=hostile, error=hostile, status=hostile, task_id=hostile, impact=(hostile,) * 50, log_url=hostile
    )
    assert isinstance(await slack.perform(message(incident), uncertain=False), Delivered)


async def test_an_unknown_receiver_is_refused_and_a_wrong_kind_is_a_bug(slack: SlackExecutor) -> None:
    assert isinstance(await slack.perform(message(target="nobody"), uncertain=False), Refused)
    with pytest.raises(TypeError):
        await slack.perform(page(), uncertain=False)


def test_the_guarantee_is_provable() -> None:
    assert SlackExecutor.guarantee is Guarantee.PROVABLE


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def test_looking_takes_a_bounded_time(
    slack: SlackExecutor, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "LOOK_BUDGET_S", 0.1)
    receiver.faults.add(HISTORY, faults.TIMEOUT)
    outcome = await slack.perform(message(), uncertain=True)
    assert isinstance(outcome, RetryAfter)
    assert outcome.uncertain
    assert receiver.slack.posts == 0
