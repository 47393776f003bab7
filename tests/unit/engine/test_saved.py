"""States that an earlier version saved: they decode, and their stories come to an end."""

from __future__ import annotations

from typing import Any

import msgspec

from remediator.engine.ledger_state import LedgerState
from remediator.engine.saved import decode_dag_state, decode_ledger_state, encode_state
from remediator.engine.state import DagState
from remediator.testing.timeline import Timeline
from tests.scenario.test_brakes import RETRY, story

KEY = "dag:prod/sales"


def as_saved_before(line: Timeline, **fields: Any) -> Timeline:
    """The story goes on from its one case as an earlier version has saved it: with these values, and without 'seen'."""
    state = line.core.states[KEY]
    assert isinstance(state, DagState)
    body = msgspec.msgpack.decode(encode_state(state))
    case = body["dagruns"]["r1"]["cases"]["load"]
    case.pop("seen")
    case.update(fields)
    line.core.states[KEY] = decode_dag_state(msgspec.msgpack.encode(body))
    return line


def test_a_case_that_no_look_is_known_to_have_shown_is_looked_at_once_more() -> None:
    line = as_saved_before(story(RETRY).freeze().fails("load").at("10s"))
    line.thaw().at("1m").expect_retry("load").expect_nothing()


def test_a_cleared_task_that_had_not_begun_under_the_former_name_is_told() -> None:
    line = story(RETRY).fails("load").at("30s").expect_retry("load").look_says("load", "queued", 1, dagrun="queued")
    as_saved_before(line.at("30m"), waits={"proof": line.now}).at("50m").expect_page()
    line.at("24h").expect_nothing()


def test_pauses_of_ours_keep_the_name_under_which_they_were_saved() -> None:
    body = msgspec.msgpack.encode({"paused": {"prod/sales": True}})
    ledger = decode_ledger_state(body)
    assert ledger.our_pauses == {"prod/sales": True}
    assert encode_state(ledger) == body
    assert encode_state(LedgerState()) == msgspec.msgpack.encode({})
