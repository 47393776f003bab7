"""Identities must never change: a page that was sent under one must not be sent again under another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remediator.model.ids import dag_key, dagrun_lane, stable_id

CAUSES = st.lists(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.lists(st.text(), max_size=3)), max_size=4)


def test_an_identity_is_the_same_in_every_version() -> None:
    assert stable_id("airflow.retry", "prod", "crm_sync", ["pull", 2], 1) == "07e99d602dc68df410cf093a"


@given(CAUSES, CAUSES)
def test_different_causes_have_different_identities(one: list[object], other: list[object]) -> None:
    assert (stable_id(*one) == stable_id(*other)) == (one == other)


def test_keys_and_lanes_name_what_they_order() -> None:
    assert dag_key("prod", "a") != dag_key("prod", "b")
    assert dagrun_lane("prod", "a", "r1") != dagrun_lane("prod", "a", "r2")
