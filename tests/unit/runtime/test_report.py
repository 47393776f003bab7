"""The report's arithmetic: what it counts, and what it makes of incidents and the ledger."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from remediator.engine.ledger_state import LedgerState, Rate
from remediator.model.incident import Handling, Incident, Phase, Proposal
from remediator.model.reasons import Decision, Reason
from remediator.model.shares import share
from remediator.runtime.metrics import Metrics
from remediator.runtime.report import Tally, end_of, rates_by_place, rates_by_rule

BEGIN, END = 1_000, 2_000
PROPOSAL = "0123456789abcdef01234567"
ASKED = f"airflow.retry: many; proposal {PROPOSAL} is open until 2026-11-22T06:00:00Z"


def decided(reason: Reason, text: str = "", incident: str = "i", rule: str = "r", at: int = 1_500) -> Decision:
    return Decision(1, at, "dag:d/x", reason, text, incident, rule=rule)


def incident(name: str, phase: Phase = Phase.RESOLVED, updated: int = 1_500, episode: int = 1, **more: Any) -> Incident:
    opened = min(1_100, updated)
    return Incident(name, episode, f"title {name}", "error", "prod", phase, Handling.NONE, opened, updated, **more)


def told(decisions: list[Decision], incidents: list[Incident], ledger: LedgerState | None = None) -> dict[str, Any]:
    tally = Tally(BEGIN, END)
    for one in decisions:
        tally.take(one)
    return tally.view(incidents, ledger or LedgerState())


def test_incidents_count_by_how_they_ended() -> None:
    incidents = [
        incident("a", helped=True),
        incident("b", resolution="recovered"),
        incident("c", Phase.FIRING),
        incident("old", updated=BEGIN - 1, helped=True),
    ]
    view = told([], incidents)
    counts = view["counts"]
    assert (counts["opened"], counts["healed"], counts["open"]) == (3, 1, 1)
    assert counts["ended_otherwise"] == {"recovered": 1}
    assert [one["incident"] for one in view["healed"]] == ["a"]


def test_every_episode_that_ended_counts_and_what_is_open_however_old_it_is() -> None:
    episodes = [
        incident("a", Phase.FIRING, episode=3),
        incident("a", episode=2, helped=True),
        incident("a", episode=1, resolution="recovered"),
        incident("forgotten", Phase.FIRING, updated=BEGIN - 1),
    ]
    counts = told([], episodes)["counts"]
    assert (counts["healed"], counts["ended_otherwise"], counts["open"]) == (1, {"recovered": 1}, 2)


def test_what_was_opened_is_what_ended_or_is_open_remediators_own_incidents_too() -> None:
    digest = msgspec.structs.replace(incident("digest", Phase.FIRING), deployment="", rule="self.page_digest")
    counts = told([decided(Reason.DIGESTED, incident="digest")], [incident("a", helped=True), digest])["counts"]
    assert (counts["opened"], counts["healed"] + counts["open"]) == (2, 2)


def test_what_is_about_no_incident_is_none() -> None:
    decisions = [decided(Reason.FROZEN, "freeze by ada", incident=""), decided(Reason.FROZEN, incident="a")]
    view = told(decisions, [])
    assert view["counts"]["held"] == 1
    assert view["held"] == [{"reason": "frozen", "times": 2, "incidents": 1, "examples": ["a"]}]


def test_an_incident_that_no_rule_knew_counts_once_however_often_it_failed() -> None:
    decisions = [decided(Reason.UNCLASSIFIED, incident=name, rule="") for name in ("a", "b", "a")]
    assert told(decisions, [])["counts"]["unclassified"] == 2


def test_a_page_is_one_however_many_destinations_its_route_has() -> None:
    decisions = [
        decided(Reason.PAGED, f"{kind} by route '{route}'", name, at=at)
        for name, route, at in (
            ("a", "night", 1_500),
            ("b", "night", 1_500),
            ("b", "second", 1_500),
            ("b", "night", 1_600),
        )
        for kind in ("pagerduty.page pager", "slack.message alerts")
    ]
    view = told(decisions, [])
    assert (view["counts"]["pages"], view["pages"]) == (4, {"night": 3, "second": 1})


def test_precision_is_of_what_has_ended() -> None:
    decisions = (
        [decided(Reason.RULE_RESPONDS)] * 4 + [decided(Reason.RETRY_ISSUED)] * 3 + [decided(Reason.CHANGE_ISSUED)]
    )
    decisions += [decided(Reason.HELPED)] * 2 + [
        decided(Reason.DID_NOT_HELP),
        decided(Reason.RULE_YIELDS, rule="other"),
    ]
    ledger = LedgerState(rates={"r/sig/prod": Rate(9, 1), "r/sig2/test": Rate(0, 10), "quiet/s/prod": Rate(1, 0)})
    quiet, rule = told(decisions, [], ledger)["rules"]
    assert rule == {"rule": "r", "answered": 4, "changes": 4, "helped": 2, "in_vain": 1, "precision": 0.667,
                    "ever": {"helped": 9, "in_vain": 11, "precision": 0.45}}  # fmt: skip
    assert (quiet["rule"], quiet["precision"], quiet["ever"]["precision"]) == ("quiet", None, 1.0)


def test_rates_are_summed_by_rule_whatever_its_name() -> None:
    assert rates_by_rule(LedgerState(rates={"team/a/sig/prod": Rate(1, 2)})) == {"team/a": Rate(1, 2)}
    assert share(0, 0) is None


def test_held_and_refused_by_reason_with_their_incidents() -> None:
    decisions = [decided(Reason.FROZEN, incident=name) for name in ("a", "a", "b")] + [
        decided(Reason.CAPPED, incident="a")
    ]
    decisions += [decided(Reason.BUDGET_SPENT, incident="c")]
    view = told(decisions, [])
    assert view["held"] == [
        {"reason": "frozen", "times": 3, "incidents": 2, "examples": ["a", "b"]},
        {"reason": "capped", "times": 1, "incidents": 1, "examples": ["a"]},
    ]
    assert [one["reason"] for one in view["refused"]] == ["budget_spent"]
    assert (view["counts"]["held"], view["counts"]["refused"]) == (2, 1)


def test_unknown_outcomes_are_named_and_pages_counted_by_route() -> None:
    decisions = [
        decided(Reason.OUTCOME_UNKNOWN, "no answer"),
        decided(Reason.PAGED, "pagerduty.page pd by route 'night'"),
    ]
    view = told(decisions, [incident("i")])
    assert (view["unknown"][0]["title"], view["unknown"][0]["text"]) == ("title i", "no answer")
    assert view["pages"] == {"night": 1}


def test_what_an_observing_rule_would_have_done_and_how_it_ended_without() -> None:
    would = "would have done: airflow.retry"
    decisions = [decided(Reason.RULE_OBSERVES, would, name, "trial") for name in ("a", "a", "b", "c", "d", "gone")]
    incidents = [
        incident("a", helped=True),
        incident("b", resolution="recovered", paged=True),
        incident("c", resolution="incident_expired"),
        incident("d", Phase.FIRING, paged=True),
    ]
    [trial] = told(decisions, incidents)["observing"]
    assert (trial["times"], trial["incidents"], trial["paged"]) == (6, 5, 2)
    assert trial["ends"] == {"healed": 1, "recovered": 1, "ended otherwise": 1, "open": 1, "no longer known": 1}
    assert (trial["ended_well"], trial["would_have_done"]) == (0.5, "airflow.retry")


def test_the_end_of_an_incident_that_is_not_known() -> None:
    assert end_of(None) == "no longer known"


def test_a_question_whose_failure_was_over_first_is_not_open() -> None:
    [one] = told([decided(Reason.PROPOSED, ASKED)], [incident("i", resolution="recovered")])["proposals"]
    assert (one["answer"], one["answered_at"]) == ("not needed", None)


@pytest.mark.parametrize(
    ("reason", "text", "answer", "by"),
    [
        (Reason.APPROVED, "by ada (cli): go", "approved", "ada (cli): go"),
        (Reason.REJECTED, "by bob", "rejected", "bob"),
        (Reason.PROPOSAL_EXPIRED, "nobody answered the proposal in time", "expired", ""),
        (Reason.HELPED, "", "open", ""),
    ],
)
def test_proposals_and_who_answered(reason: Reason, text: str, answer: str, by: str) -> None:
    other = decided(Reason.APPROVED, "by eve", incident="other")
    waits = incident("i", Phase.FIRING, proposals=(Proposal(PROPOSAL, "k", "airflow.retry", "many", END),))
    [one] = told([decided(Reason.PROPOSED, ASKED), other, decided(reason, text, at=1_600)], [waits])["proposals"]
    assert (one["proposal"], one["text"]) == (PROPOSAL, "airflow.retry: many")
    assert (one["answer"], one["by"], one["answered_at"] is None) == (answer, by, answer == "open")


def test_rates_are_shown_by_rule_error_and_deployment_the_most_tried_first() -> None:
    ledger = LedgerState(rates={"r/sig/prod": Rate(1, 1), "team/a/sig/prod": Rate(3, 1), "r/sig/test": Rate(0, 1)})
    shown = [tuple(one.values()) for one in told([], [], ledger)["rates"]]
    first, second = ("team/a", "sig", "prod", 3, 1, 0.75), ("r", "sig", "prod", 1, 1, 0.5)
    assert shown == [first, second, ("r", "sig", "test", 0, 1, 0.0)]


def test_metrics_tell_rates_by_rule_and_deployment() -> None:
    ledger = LedgerState(rates={"r/one/prod": Rate(1, 1), "r/two/prod": Rate(3, 0), "r/one/test": Rate(0, 2)})
    metrics = Metrics()
    metrics.rates({place: (rate.helped, rate.in_vain) for place, rate in rates_by_place(ledger).items()})
    text = metrics.exposition().decode()
    assert 'remediator_changes_ended{deployment="prod",helped="yes",rule="r"} 4.0' in text
    assert 'remediator_changes_ended{deployment="test",helped="no",rule="r"} 2.0' in text
