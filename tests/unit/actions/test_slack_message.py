"""What Slack is given: nothing from an event can become markup, and every limit is kept."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.slack.escape import as_code, as_link, as_plain, as_text
from remediator.actions.slack.faults import outcome_of
from remediator.actions.slack.message import fallback_text, headline, render
from remediator.demo.receiver.slack import valid_blocks
from remediator.model.incident import Handling, Incident, Phase, Proposal
from remediator.model.outcome import Refused, RetryAfter
from remediator.model.time import SECOND

INCIDENT = Incident(
    id="i1",
    episode=2,
    title="load failed",
    severity="critical",
    deployment="prod",
    phase=Phase.FIRING,
    handling=Handling.NONE,
    opened_at=1_700_000_000 * SECOND,
    updated_at=1_700_000_060 * SECOND,
)
HOSTILE = [
    "<!channel>",
    "<!here|here>",
    "<@U123>",
    "<https://evil.example|airflow>",
    "@here",
    "@channel",
    "``` *out* ```",
    "&lt;!channel&gt;",
]
texts = st.text(max_size=400) | st.sampled_from(HOSTILE) | st.sampled_from(HOSTILE).map(lambda text: text * 400)


@given(texts)
def test_no_rendering_leaves_an_angle_bracket_or_a_mention(text: str) -> None:
    for made in (as_text(text, 500), as_code(text, 500), as_plain(text, 500)):
        assert "<" not in made
        assert ">" not in made
        assert not re.search(r"@(here|channel|everyone)", made)
        assert not re.search(r"&(?!(amp|lt|gt);)", made)


@given(texts)
def test_nothing_ends_a_code_block(text: str) -> None:
    assert "`" not in as_code(text, 500)


@given(texts, st.integers(10, 500))
def test_the_bound_holds_for_what_is_sent(text: str, limit: int) -> None:
    assert len(as_text(text, limit)) <= limit
    assert len(as_code(text, limit)) <= limit
    assert len(as_plain(text, limit)) <= limit


def test_short_text_is_whole_and_long_text_says_that_it_was_cut() -> None:
    assert as_text("a < b", 8) == "a &lt; b"
    assert as_text("a < b!", 8) == "a &lt; …"
    assert as_code("connection reset", 100) == "connection reset"


@given(texts, texts, texts, st.lists(texts, max_size=30))
def test_every_message_keeps_slacks_limits(title: str, error: str, status: str, names: list[str]) -> None:
    incident = msgspec.structs.replace(
        INCIDENT,
        title=title,
        error=error,
        status=status,
        impact=tuple(names),
        dagruns=tuple(names),
        task_id=title,
        text=status,
        log_tail=error,
        runbook=title,
        labels=dict.fromkeys(names, title),
        proposals=tuple(Proposal(name, "k", "airflow.retry", title, 1) for name in names),
    )
    assert valid_blocks(render(incident))
    assert "<!" not in json.dumps(render(incident))
    assert fallback_text(incident)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "", "https://" + "x" * 3_000, "ftp://host/log"])
def test_only_plain_addresses_become_links(url: str) -> None:
    assert as_link(url, "log") == ""


def test_a_link_cannot_be_ended_early() -> None:
    assert as_link("https://a/?x=1&y=|2>", "log") == "<https://a/?x=1&amp;y=%7C2&gt;|log>"


def test_a_proposal_says_how_to_answer_it() -> None:
    asked = msgspec.structs.replace(INCIDENT, proposals=(Proposal("p1", "k", "airflow.retry", "load: 80 tasks", 1),))
    assert "remediator approvals approve p1" in json.dumps(render(asked))


def test_a_question_shows_its_preview_within_slacks_limits() -> None:
    proposal = Proposal("p1", "k", "airflow.retry", "load: " + "&" * 3_000, 1, preview="a yes clears <!here> " * 500)
    blocks = render(msgspec.structs.replace(INCIDENT, proposals=(proposal,)))
    assert valid_blocks(blocks)
    (shown,) = (one["text"]["text"] for one in blocks if "*Approve?*" in str(one))
    assert "*Preview:* a yes clears" in shown
    assert "<!" not in shown
    assert "remediator approvals approve p1" in shown


def test_a_resolved_incident_says_so() -> None:
    resolved = msgspec.structs.replace(INCIDENT, phase=Phase.RESOLVED, resolution="the task succeeded")
    assert headline(resolved) == "🟢 RESOLVED · load failed"
    assert "the task succeeded" in json.dumps(render(resolved))
    assert headline(INCIDENT) == "🔴 CRITICAL · load failed"


@pytest.mark.parametrize(
    ("status", "error", "repeatable", "expected"),
    [
        (200, "invalid_auth", False, Refused("Slack said invalid_auth")),
        (200, "fatal_error", False, RetryAfter(5 * SECOND, "Slack said fatal_error", uncertain=True)),
        (200, "fatal_error", True, RetryAfter(5 * SECOND, "Slack said fatal_error")),
        (503, "", False, RetryAfter(5 * SECOND, "Slack said HTTP 503", uncertain=True)),
        (429, "", False, RetryAfter(30 * SECOND, "Slack said HTTP 429")),
        (200, "message_limit_exceeded", False, RetryAfter(30 * SECOND, "Slack said message_limit_exceeded")),
    ],
)
def test_refusals_mean_what_slack_documents(
    status: int, error: str, repeatable: bool, expected: Refused | RetryAfter
) -> None:
    header = "30" if isinstance(expected, RetryAfter) and expected.after == 30 * SECOND else None
    assert outcome_of(status, error, header, repeatable=repeatable) == expected


def test_a_retry_after_is_bounded() -> None:
    outcome = outcome_of(429, "ratelimited", "99999999", repeatable=False)
    assert isinstance(outcome, RetryAfter)
    assert outcome.after == 3_600 * SECOND
