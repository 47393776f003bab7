"""Every reason, kind and state has words of its own; no name of the program is left alone."""

from __future__ import annotations

from typing import get_args

import pytest

from remediator.model.action import CancelBackfill, Params, Pause, Pool, Rerun
from remediator.model.reasons import Decision, Reason
from remediator.model.time import SECOND
from remediator.runtime.story_words import KINDS, SENTENCES, WHAT, did, length, plain, result_of, sentence
from tests.contract.people.told import action

TEXT = "the text that a decision has"
NAMELESS = {Reason.UNCLASSIFIED}
"""Whose sentence says all that there is to say."""


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    told = sentence(Decision(1, 0, "k", reason, TEXT, rule="a-rule"))
    assert told != TEXT
    assert (TEXT in told) is (reason not in NAMELESS)
    assert "_" not in told
    assert told.endswith(".")
    assert told[0].isupper()
    assert "''" not in told


def test_no_two_reasons_share_their_sentence() -> None:
    assert len(set(SENTENCES.values())) == len(Reason)


def test_braces_in_a_text_are_only_text() -> None:
    assert "{rule} {0}" in sentence(Decision(1, 0, "k", Reason.HELPED, "{rule} {0}"))


def test_every_kind_of_action_has_words() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(Params)}
    assert kinds == KINDS.keys()
    assert set(get_args(Params)) == WHAT.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("did_not_help: load failed again", "load failed again"),
        ("helped", "helped"),
        ("waits until 2026-11-22T06:50:35.114288Z", "waits until 2026-11-22 06:50:35Z"),
        ("retry 1 of 3 in 29s312ms", "retry 1 of 3 in 29s"),
        ("KeyError: 'x'", "KeyError: 'x'"),
    ],
)
def test_texts_lose_what_only_programs_read(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0s"), (9.9, "9.9s"), (10.4, "10s"), (3_661, "1h1m1s"), (-5, "-5.0s")]
)
def test_lengths(seconds: float, expected: str) -> None:
    assert length(round(seconds * SECOND)) == expected


@pytest.mark.parametrize(
    ("tries", "detail", "expected"),
    [(0, "", "done"), (1, "", "done after 1 failed try"), (2, "cleared 3", "done after 2 failed tries: cleared 3")],
)
def test_results(tries: int, detail: str, expected: str) -> None:
    assert result_of("delivered", tries, detail) == expected


def test_what_was_done_is_told_in_the_past() -> None:
    told = [did(action(one)) for one in (Pause("d"), Pool("p", 3), Rerun("d", "r"), CancelBackfill("d", 1))]
    assert told == ["paused DAG d", "set pool p to 3 slots", "ran all of dagrun r of DAG d again",
                    "cancelled backfill 1 of DAG d"]  # fmt: skip
