"""What waits for a person or a probe, as status and metrics count it: after real decisions, and as text."""

from __future__ import annotations

from typing import Any

from remediator.cli.status import approvals_text, breaker_lines
from remediator.config.settings import StoreSettings
from remediator.demo.scripts import CHAT, POLICY, RETRY, fails, limits, line_of, well
from remediator.engine.breakers import alert_id
from remediator.engine.ledger_state import Breaker, LedgerState
from remediator.engine.saved import decode_ledger_state, encode_state
from remediator.model.incident import Handling, Incident, Phase, Proposal
from remediator.model.policy import Policy
from remediator.model.time import HOUR, MINUTE, SECOND
from remediator.runtime.controller import Controller
from remediator.runtime.housekeeping import Housekeeper
from remediator.runtime.metrics import Metrics
from remediator.runtime.standing import (
    BREAKERS_SHOWN,
    approvals_view,
    breakers_by_rule,
    breakers_view,
    oldest_wait,
    open_proposals,
)
from remediator.store.memory import MemoryStore
from remediator.store.port import StepCommit
from remediator.testing.timeline import START, Timeline
from tests.unit.runtime.test_audit_retention import Log

STRICT = limits(breaker_sample=3)
NOW = START


def in_vain(rounds: int = 3) -> Timeline:
    """A rule whose changes did not help: its breaker is open since the last round's second minute."""
    line = line_of(RETRY, policy=STRICT)
    for number in range(rounds):
        fails(line, run_id=f"manual__{number}").at(f"{10 * number + 1}m")
        fails(line, 2, run_id=f"manual__{number}").at(f"{10 * number + 5}m")
    return line


def test_questions_count_from_when_they_were_asked_until_they_expire() -> None:
    line = fails(line_of(CHAT, RETRY).at("10s"), deployment="careful").at("12m")
    found = open_proposals(line.incidents.values(), line.now)
    view = approvals_view(found, line.now)
    assert view["waiting"] == 1
    assert 11 * 60 < view["oldest_s"] < 12 * 60
    assert view["oldest_s"] + view["next_expiry_s"] == POLICY.proposal_expiry / SECOND
    assert approvals_text(view).startswith("1 waits for a person, the oldest for 11m")
    assert open_proposals(line.incidents.values(), line.now + HOUR) == []


def test_of_several_questions_the_oldest_counts_and_an_unknown_age_is_not_made_up() -> None:
    asked = [Proposal(f"p{age}", "k", "a", "t", NOW + HOUR - age, NOW - age if age else 0) for age in (0, 5, 9)]
    incident = Incident("i", 1, "t", "error", "prod", Phase.FIRING, Handling.NONE, NOW, NOW, proposals=tuple(asked))
    found = open_proposals([incident], NOW)
    assert [one.id for _, one in found] == ["p9", "p5", "p0"]
    assert oldest_wait(found, NOW) == 9
    unknown = approvals_view(found[2:], NOW)
    assert (unknown["waiting"], unknown["oldest_s"]) == (1, None)
    assert approvals_text(unknown) == "1 waits for a person, the next expires in 1h; see remediator approvals list"
    assert approvals_text(approvals_view([], NOW)) == "none waits"


def test_an_open_breaker_is_named_with_since_when_and_its_next_probe() -> None:
    line = fails(in_vain(), run_id="manual__3").at("25m30s")
    view = breakers_view(line.core.ledger, STRICT, line.now)
    (one,) = view["listed"]
    since, probe = one["open_s"], one["next_probe_s"]
    assert (view["open"], one["rule"], one["waiting"], one["probing"]) == (1, "lost-connection", 1, False)
    assert since + probe == STRICT.breaker_rest / SECOND
    assert alert_id(f"{one['rule']}/{one['signature']}") == one["incident"]
    assert one["incident"] in line.incidents
    (text,) = breaker_lines(view)
    assert text.startswith(f"BREAKER OPEN     lost-connection/{one['signature']}: for 4m")
    assert "1 failure has waited; the next probe in " in text
    assert breakers_by_rule(line.core.ledger) == {"lost-connection": 1}


def test_a_probe_in_vain_does_not_make_the_breaker_younger() -> None:
    line = in_vain()
    before = breakers_view(line.core.ledger, STRICT, line.now)["listed"][0]["since"]
    fails(line, run_id="manual__3").at("31m")
    assert breakers_view(line.core.ledger, STRICT, line.now)["listed"][0]["probing"]
    assert "a probe is under way" in next(breaker_lines(breakers_view(line.core.ledger, STRICT, line.now)))
    fails(line, 2, run_id="manual__3").at("35m")
    (one,) = breakers_view(line.core.ledger, STRICT, line.now)["listed"]
    assert (one["since"], one["probing"]) == (before, False)
    assert 5 * 60 < one["next_probe_s"] < 10 * 60


def test_a_breaker_that_is_closed_again_is_not_listed() -> None:
    line = fails(in_vain(), run_id="manual__3").at("31m")
    well(line, 2, run_id="manual__3").at("40m")
    assert breakers_view(line.core.ledger, STRICT, line.now) == {"open": 0, "listed": []}
    assert list(breaker_lines({"open": 0, "listed": []})) == []


def test_more_breakers_than_are_listed_are_counted() -> None:
    ledger = LedgerState(breakers={f"a/b/{number}": Breaker(opened_at=NOW) for number in range(BREAKERS_SHOWN + 2)})
    view = breakers_view(ledger, Policy(), NOW + HOUR)
    assert (view["open"], len(view["listed"]), view["listed"][0]["rule"]) == (BREAKERS_SHOWN + 2, BREAKERS_SHOWN, "a/b")
    assert list(breaker_lines(view))[-1] == "BREAKER OPEN     and 2 more"
    assert "the next probe with the next failure" in next(breaker_lines(view))


def test_a_breaker_that_was_saved_before_is_read_and_its_age_is_not_made_up() -> None:
    saved = encode_state(LedgerState(breakers={"a/1": Breaker(opened_at=NOW)}))
    assert b"since" not in saved
    (one,) = breakers_view(decode_ledger_state(saved), Policy(), NOW + MINUTE)["listed"]
    assert (one["since"], one["open_s"], one["next_probe_s"]) == (None, None, 240.0)


async def test_the_gauges_say_the_same() -> None:
    line = fails(line_of(CHAT, RETRY).at("10s"), deployment="careful").at("12m")
    breakers = {"ledger": encode_state(LedgerState(breakers={"reset/1": Breaker(opened_at=NOW)}))}
    store = MemoryStore(clock=lambda: line.now)
    lease = await store.acquire_lease("test", HOUR)
    assert lease is not None
    found: list[Any] = list(line.incidents.values())
    await store.commit_step(lease, StepCommit(0, line.now, breakers, incidents=found))
    metrics = Metrics("9")
    controller = Controller("one", store, lambda: line.now)
    keeper = Housekeeper(store, StoreSettings(), controller, {}, Policy, metrics, lambda: line.now, Log())  # type: ignore[arg-type]
    await keeper.measure()
    sample = metrics.registry.get_sample_value
    assert sample("remediator_approvals_waiting") == 1
    assert 11 * 60 < (sample("remediator_approvals_oldest_seconds") or 0) < 12 * 60
    assert sample("remediator_breakers_open", {"rule": "reset"}) == 1
