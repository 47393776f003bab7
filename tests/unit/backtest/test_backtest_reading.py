"""The forms of a line, files and the spool."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from remediator.backtest.files import read_lines
from remediator.backtest.reading import LineReader, Read, decoding
from remediator.backtest.spool import BLOCK, Seen, Spool
from remediator.backtest.survey import MAX_LETTERS, Survey
from remediator.codecs.registry import CODECS
from remediator.model.event import Event
from remediator.model.time import HOUR, SECOND, parse_instant

AT = parse_instant("2026-11-22T06:00:00Z")
CLOUD = {"specversion": "1.0", "id": "1", "type": "check.failed", "source": "dq", "time": "2026-11-22T06:00:00Z"}


def read(line: object) -> Read:
    body = line if isinstance(line, bytes) else json.dumps(line).encode()
    return LineReader(decoding(CODECS["auto"]())).line(body)


def recorded(value: object, **more: object) -> dict[str, object]:
    return {"topic": "t", "partition": 0, "offset": 7, "timestamp_ms": AT // 1000 + 5, "value": value, **more}


def test_recorded_records_have_their_values_as_text_or_as_themselves() -> None:
    as_text, as_json = read(recorded(json.dumps(CLOUD), key="k", headers=[])), read(recorded(CLOUD))
    assert as_text == as_json
    assert (as_text.at, as_text.topic, [one.type for one in as_text.events]) == (AT + 5000, "t", ["check.failed"])


def test_a_tombstone_says_nothing() -> None:
    assert read(recorded(None)) == Read(AT + 5000, "t", [])


def test_plain_events_were_received_when_they_happened() -> None:
    assert read(CLOUD).at == AT
    batch = read([CLOUD, {**CLOUD, "time": "2026-11-22T06:00:09Z"}])
    assert (batch.at, len(batch.events)) == (AT + 9 * SECOND, 2)


def test_events_by_our_own_names() -> None:
    line = {"type": "task.failed", "time": "2026-11-22T06:00:00Z", "deployment": "prod", "dag_id": "d"}
    assert read(line).events == [Event("task.failed", AT, deployment="prod", dag_id="d")]
    assert read({**line, "time": AT}).at == AT


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 5_000, "too deeply"),
        (b"{}", "neither OpenLineage"),
        (b'{"type": "x", "time": "yesterday"}', "our field names"),
        (b'{"type": "x", "time": 1, "dag_id": 3}', "dag_id"),
        (recorded("no event"), "not JSON"),
        (recorded(json.dumps({**CLOUD, "specversion": "9"})), "unknown version"),
        ({**recorded("{}"), "offset": "x"}, "$.offset"),
    ],
)
def test_what_cannot_be_read_says_why(line: object, reason: str) -> None:
    found = read(line)
    assert reason in found.reason
    assert found.events == []


def test_a_record_without_a_usable_time_has_its_events() -> None:
    assert read(recorded(CLOUD, timestamp_ms=-1)).at == AT
    assert read(recorded(CLOUD, timestamp_ms=2**60)).at == AT


def test_lines_of_plain_and_packed_files(tmp_path: Path) -> None:
    body = b"one\r\n\n  two  \nthree"
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(body)
    packed.write_bytes(gzip.compress(body))
    told: list[int] = []
    assert list(read_lines(plain, told.append)) == list(read_lines(packed)) == [(1, b"one"), (3, b"two"), (4, b"three")]
    assert told == [len(body)]


def test_a_packed_file_that_was_cut_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(b"line\n" * 1000)[:-12])
    with pytest.raises(EOFError):
        list(read_lines(path))


@pytest.mark.parametrize("in_memory", [1, 1 << 20])
def test_the_spool_gives_back_what_it_was_given(in_memory: int) -> None:
    given = [Seen(number, "prod", [Event("x", number)]) for number in range(BLOCK + 3)]
    with Spool(in_memory) as spool:
        for one in given:
            spool.add(one)
        assert spool.length == len(given)
        for _ in range(2):
            assert [one for block in spool.walk() for one in block] == given


def survey(*reads: Read, since: int = 0) -> Survey:
    spool = Spool()
    found = Survey(lambda event_type: event_type == "wanted", None, spool, since)
    for number, one in enumerate(reads, 1):
        found.take(one, number)
    found.finish()
    return found


def test_the_survey_keeps_what_can_be_decided_on() -> None:
    events = [
        Event("wanted", 5, namespace="a"),
        Event("other", 5, namespace="a"),
        Event("task.success", 5, namespace="b"),
    ]
    found = survey(Read(5, "t", events), Read(6, "t", [], "broken"))
    assert [one for block in found.spool.walk() for one in block] == [
        Seen(5, "a", [events[0]]), Seen(5, "b", [events[2]]),
    ]  # fmt: skip
    counts = found.counts
    assert (counts.records, counts.events, counts.dead_letters) == (2, 3, 1)
    assert [(one.place, one.reason) for one in counts.letters] == [("line 2", "broken")]
    found.spool.close()


def test_letters_are_counted_without_end_and_kept_to_a_bound() -> None:
    found = survey(*(Read(1, "", [], "broken") for _ in range(MAX_LETTERS + 5)))
    assert (found.counts.dead_letters, len(found.counts.letters)) == (MAX_LETTERS + 5, MAX_LETTERS)
    found.spool.close()


def test_time_never_goes_back_and_disorder_is_told() -> None:
    wanted = [Event("wanted", 0)]
    found = survey(Read(HOUR, "", wanted), Read(1, "", wanted), Read(0, "", wanted), since=1)
    assert [one.at for block in found.spool.walk() for one in block] == [HOUR] * 3
    assert (found.counts.disordered, found.counts.furthest_back) == (1, HOUR - 1)
    found.spool.close()


def test_what_is_older_than_since_is_passed_over() -> None:
    found = survey(Read(5, "", []), Read(10, "", []), since=10)
    assert (found.counts.skipped, found.counts.records, found.counts.begin) == (1, 1, 10)
    found.spool.close()
