"""The stand-in itself: it must be as strict as what it plays, or tests against it prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.demo.receiver.app import Receiver
from remediator.demo.receiver.faults import Fault
from remediator.demo.receiver.pagerduty import PagerDutyState
from remediator.demo.receiver.slack import SlackState
from remediator.web.server import Running
from tests.support.loopback import loopback_client

MARK = {"event_type": "x", "event_payload": {"action_id": "a1"}}


def trigger(key: str, **payload: Any) -> dict[str, Any]:
    body = {"summary": "s", "source": "x", "severity": "error", **payload}
    return {"routing_key": "k", "event_action": "trigger", "dedup_key": key, "payload": body}


def posted(slack: SlackState, **more: Any) -> dict[str, Any]:
    return slack.call("chat.postMessage", {"channel": "#alerts", "text": "t", "metadata": MARK, **more}, "")


def test_metadata_is_shown_only_when_asked_for() -> None:
    slack = SlackState()
    channel = posted(slack)["channel"]
    plain = slack.call("conversations.history", {"channel": channel}, "")
    whole = slack.call("conversations.history", {"channel": channel, "include_all_metadata": "1"}, "")
    assert "metadata" not in plain["messages"][0]
    assert whole["messages"][0]["metadata"] == MARK


def test_history_takes_ids_only_newest_first_in_pages() -> None:
    slack = SlackState(clock=lambda: 1_700_000_000.0)
    stamps = [posted(slack)["ts"] for _ in range(5)]
    assert slack.call("conversations.history", {"channel": "#alerts"}, "") == {
        "ok": False,
        "error": "channel_not_found",
    }
    channel = slack.channels["alerts"]
    first = slack.call("conversations.history", {"channel": channel, "limit": "2"}, "")
    assert [one["ts"] for one in first["messages"]] == stamps[:2:-1]
    cursor = first["response_metadata"]["next_cursor"]
    second = slack.call("conversations.history", {"channel": channel, "limit": "3", "cursor": cursor}, "")
    assert [one["ts"] for one in second["messages"]] == stamps[2::-1]
    assert second["response_metadata"]["next_cursor"] == ""
    later = slack.call("conversations.history", {"channel": channel, "oldest": stamps[3]}, "")
    assert [one["ts"] for one in later["messages"]] == stamps[4:]


def test_an_update_keeps_the_metadata() -> None:
    slack = SlackState()
    first = posted(slack)
    slack.call("chat.update", {"channel": first["channel"], "ts": first["ts"], "text": "u"}, "")
    assert slack.messages[0].metadata == MARK
    assert slack.messages[0].history == ["t", "u"]


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}],
        [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x"}] * 11}],
        [{"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * 2_001}]}],
        [{"type": "divider"}] * 51,
    ],
)
def test_blocks_beyond_the_limits_are_refused(blocks: list[dict[str, Any]]) -> None:
    assert posted(SlackState(), blocks=blocks) == {"ok": False, "error": "invalid_blocks"}


def test_a_wrong_token_and_an_unknown_method() -> None:
    slack = SlackState(token="right")
    assert slack.call("auth.test", {}, "wrong")["error"] == "invalid_auth"
    assert slack.call("auth.test", {}, "right")["ok"] is True
    assert slack.call("chat.delete", {}, "right")["error"] == "unknown_method"


def test_repeats_fold_into_the_open_alert_and_open_a_new_one_after_it_is_resolved() -> None:
    pagerduty = PagerDutyState()
    for body in (trigger("a"), trigger("a"), trigger("b")):
        assert pagerduty.enqueue(body)[0] == 202
    assert (pagerduty.triggers, pagerduty.pages, pagerduty.distinct_keys) == (3, 2, 2)
    assert pagerduty.enqueue({"routing_key": "k", "event_action": "resolve", "dedup_key": "a"})[0] == 202
    pagerduty.enqueue(trigger("a"))
    assert (pagerduty.pages, pagerduty.distinct_keys, pagerduty.open_alerts, pagerduty.resolves) == (3, 2, 2, 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        trigger("a", severity="odd"),
        trigger("a", summary=""),
        trigger("a", summary="x" * 1_025),
        trigger("k" * 256),
        {"routing_key": "k", "event_action": "resolve"},
        {"routing_key": "k", "event_action": "trigger"},
    ],
)
def test_invalid_events_are_refused(body: dict[str, Any]) -> None:
    status, answer = PagerDutyState().enqueue(body)
    assert status == 400
    assert answer["errors"]


async def test_over_http_with_faults_and_counters(stand_in: Running, receiver: Receiver) -> None:
    receiver.faults.add("chat.postMessage", Fault(status=429, error="ratelimited", retry_after=3))
    async with loopback_client(stand_in.url) as client:
        limited = await client.post("/api/chat.postMessage", json={"channel": "#alerts", "text": "t"})
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
        form = {"channel": "#alerts", "text": "t", "metadata": '{"event_type": "x", "event_payload": {}}'}
        assert (await client.post("/api/chat.postMessage", data=form)).json()["ok"] is True
        assert (await client.post("/v2/enqueue", json=trigger("a"))).status_code == 202
    counters = receiver.counters()
    assert (counters["slack_posts"], counters["pagerduty_pages"]) == (1, 1)
    assert receiver.calls == {"chat.postMessage": 2, "enqueue": 1}
