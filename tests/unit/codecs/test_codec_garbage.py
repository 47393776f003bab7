"""Bad bytes: every codec answers with a reason and a position, tombstones need nothing, dead letters keep no secret."""

from __future__ import annotations

import pytest
from codec_cases import documented_mapping, record

from remediator.codecs.dead_letters import dead_letter
from remediator.codecs.port import MAX_RECORD_BYTES, REASON_CHARS, Undecodable
from remediator.codecs.registry import CODECS
from remediator.model.record import DEAD_LETTER_HEAD_BYTES

GARBAGE = {
    "empty": (b"", "truncated"),
    "blank": (b"   ", "truncated"),
    "text": (b"hello", r"byte 0"),
    "cut short": (b'{"specversion": "1.0", "type": "a', "truncated"),
    "trailing": (b"{} {}", "byte 4|missing required field"),
    "not UTF-8": (b'{"a": "\xff\xfe"}', r"not UTF-8.*byte 7 of 11"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "NaN": (b'{"eventTime": NaN}', "not JSON|wrong type"),
    "brackets": (b"[" * 100_000, "nested too deeply|got `array`"),
    "objects": (b'{"a":' * 100_000, "nested too deeply"),
    "deep member": (b'{"x":' + b"[" * 100_000, "nested too deeply"),
    "huge": (b" " * (MAX_RECORD_BYTES + 1), "too large: 4194305 bytes, at most 4194304 are read"),
    "just not too large": (b" " * MAX_RECORD_BYTES, "truncated"),
    "number": (b"17", "wrong type"),
    "null": (b"null", "wrong type"),
    "string": (b'"x"', "wrong type"),
    "integer of 5,000 digits": (b'{"specversion": ' + b"9" * 5_000 + b"}", "wrong type|missing member"),
}


ALL = {name: factory() for name, factory in CODECS.items()} | {"mapping": documented_mapping()}


@pytest.mark.parametrize("codec", sorted(ALL))
@pytest.mark.parametrize("name", sorted(GARBAGE))
def test_garbage_is_undecodable_with_a_reason(codec: str, name: str) -> None:
    value, reason = GARBAGE[name]
    with pytest.raises(Undecodable, match=reason) as caught:
        ALL[codec].decode(record(value))
    assert len(caught.value.reason) <= REASON_CHARS


@pytest.mark.parametrize("codec", sorted(ALL))
def test_a_tombstone_needs_nothing(codec: str) -> None:
    assert ALL[codec].decode(record(None)) == []


def test_a_dead_letter_keeps_place_size_and_a_masked_head() -> None:
    value = b'{"password": "hunter2", "x": "\xff' + b"." * 9_000
    letter = dead_letter("prod", record(value), "not UTF-8, token=abc123")
    assert (letter.feed, letter.topic, letter.partition, letter.offset) == ("prod", "t", 0, 7)
    assert letter.reason == "not UTF-8, token=***"
    assert letter.size == len(value)
    assert letter.head.startswith(b'{"password": ***, "x": "\xff')
    assert len(letter.head) == DEAD_LETTER_HEAD_BYTES


def test_a_secret_at_the_edge_of_the_head_is_masked_too() -> None:
    value = b" " * (DEAD_LETTER_HEAD_BYTES - 10) + b"AKIAIOSFODNN7EXAMPLE"
    assert b"AKIA" not in dead_letter("prod", record(value), "no").head
