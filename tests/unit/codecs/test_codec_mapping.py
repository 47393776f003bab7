"""The mapping codec: the manual's example, each kind of field and time, what is ignored and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from codec_cases import RECEIVED, documented, documented_feed, documented_mapping, record

from remediator.codecs.mapping import ERRORS, FIELDS, TIMES, MappingCodec, MappingSpec, shown
from remediator.codecs.port import Undecodable
from remediator.config import mapping as config
from remediator.config.settings import Config, EventMapping
from remediator.model.event import ErrorInfo, Event
from remediator.model.policy import Policy
from remediator.runtime.wiring import make_intake


def decode(value: Any, **spec: Any) -> list[Event]:
    return MappingCodec(MappingSpec(**{"type": "job.failed", **spec})).decode(record(value))


def one(value: Any, **spec: Any) -> Event:
    (event,) = decode(value, **spec)
    return event


def test_the_manuals_example_reads_the_manuals_record() -> None:
    assert documented_mapping().decode(record(documented("json").encode())) == [
        Event(
            type="batch.failed",
            time=1_795_331_774_783_000,
            source="mapping",
            subject="load_orders",
            run_id="4711",
            error=ErrorInfo(message='relation "orders" is locked'),
            outputs=("warehouse/orders",),
        )
    ]


def test_the_daemon_reads_it_so_too(tmp_path: Any) -> None:
    feed = documented_feed()
    config_ = Config(base=tmp_path, feeds=(feed,), decisions=Policy())
    found = make_intake(config_, feed).decode(record(documented("json").encode()))
    assert found == documented_mapping().decode(record(documented("json").encode()))


def test_configuration_and_codec_know_the_same_fields() -> None:
    assert set(config.FIELDS) == {*FIELDS, *TIMES, *ERRORS}
    assert EventMapping.__struct_fields__ == MappingSpec.__struct_fields__


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(("a",), 1), (("b", "a"), 1), (("b",), 0), ((True,), 0), ((), 0)],
)
def test_only_records_that_fit_are_read(wanted: tuple[Any, ...], expected: int) -> None:
    assert len(decode({"kind": "a"}, when=((("kind",), wanted),))) == expected


def test_true_is_not_one() -> None:
    assert decode({"x": 1}, when=((("x",), (True,)),)) == []
    assert decode({"x": True}, when=((("x",), (1,)),)) == []
    assert len(decode({"x": 1.0}, when=((("x",), (1,)),))) == 1


def test_all_conditions_must_hold() -> None:
    both = ((("a",), (1,)), (("b", 0), ("x",)))
    assert len(decode({"a": 1, "b": ["x"]}, when=both)) == 1
    assert decode({"a": 1, "b": []}, when=both) == []


def test_a_type_from_the_record_is_listed_or_its_own() -> None:
    path: dict[str, Any] = {"type": "", "type_path": ("state",)}
    assert one({"state": "Job.Failed"}, **path).type == "job.failed"
    assert one({"state": "x y"}, **path, types={"x y": "job.odd"}).type == "job.odd"
    assert one({"state": 3}, **path, types={"3": "job.third"}).type == "job.third"
    assert decode({"state": "other"}, **path, types={"x": "job.odd"}) == []


@pytest.mark.parametrize(
    ("record_", "reason"),
    [
        ({}, r"wrong type: no text at `\$\.state`"),
        ({"state": "x y"}, r"not an event type at `\$\.state`: 'x y'"),
        ({"state": "task.failed_finally"}, r"reserved event type at `\$\.state`"),
    ],
)
def test_a_type_that_is_none_is_refused(record_: Any, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(record_, type="", type_path=("state",))


@pytest.mark.parametrize(
    ("time_format", "value", "expected"),
    [
        ("iso", "2026-11-22T06:50:35.5+02:00", 1_795_323_035_500_000),
        ("iso", "2026-11-22T06:50:35", 1_795_330_235_000_000),
        ("epoch_s", 1_795_330_235, 1_795_330_235_000_000),
        ("epoch_s", 1_795_330_235.25, 1_795_330_235_250_000),
        ("epoch_s", "1795330235", 1_795_330_235_000_000),
        ("epoch_ms", 1_795_330_235_123, 1_795_330_235_123_000),
    ],
)
def test_times(time_format: str, value: Any, expected: int) -> None:
    event = one({"at": value}, time=("at",), time_format=time_format, fields={"started_at": ("at",)})
    assert (event.time, event.started_at) == (expected, expected)


@pytest.mark.parametrize(
    ("time_format", "value", "reason"),
    [
        ("iso", 17, "no ISO 8601 time"),
        ("iso", "soon", "no ISO 8601 time"),
        ("iso", "0001-01-01T00:00:00Z", "out of range"),
        ("iso", None, r"missing: the time at `\$\.at`"),
        ("epoch_s", "nan", "no number since 1970"),
        ("epoch_s", "inf", "no number since 1970"),
        ("epoch_s", True, "no number since 1970"),
        ("epoch_s", [], "no number since 1970"),
        ("epoch_s", 10**30, "out of range"),
        ("epoch_ms", 10**400, "no number since 1970|wrong type"),
    ],
)
def test_times_that_are_none_are_refused(time_format: str, value: Any, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode({"at": value}, time=("at",), time_format=time_format)


def test_without_a_declared_time_the_records_counts() -> None:
    assert one({}).time == RECEIVED


def test_fields_of_every_kind() -> None:
    table = {"a": "x", "n": 3, "s": "2", "l": ["p", 7, ""], "e": {"m": "boom"}, "f": False, "deep": {"k": [1]}}
    fields = {
        "namespace": ("a",), "subject": ("n",), "try_number": ("s",), "map_index": ("n",), "tags": ("l",),
        "inputs": ("a",), "error.message": ("e", "m"), "error.type": ("a",), "owner": ("no", "where"),
        "attributes.flag": ("f",), "attributes.deep": ("deep",), "attributes.first": ("l", 0),
    }  # fmt: skip
    event = one(table, fields=fields)
    assert (event.namespace, event.subject, event.try_number, event.map_index) == ("x", "3", 2, 3)
    assert (event.tags, event.inputs, event.owner) == (("p", "7"), ("x",), None)
    assert event.error == ErrorInfo(type="x", message="boom")
    assert event.attributes == {"flag": False, "deep": {"k": [1]}, "first": "p"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("dag_id", []), ("dag_id", True), ("dag_id", 1.5), ("try_number", "x"), ("try_number", -2), ("retries", 2**31),
     ("tags", [{}]), ("error.message", {}), ("started_at", 5)],
)  # fmt: skip
def test_a_value_that_its_field_cannot_hold_is_refused(field: str, value: Any) -> None:
    with pytest.raises(Undecodable, match=r"wrong type: no .* at `\$\.x`"):
        decode({"x": value}, fields={field: ("x",)})


def test_what_stands_below_a_secret_name_is_masked() -> None:
    fields = {"subject": ("token", "id"), "attributes.x": ("password",), "attributes.y": ("a",)}
    event = one({"token": {"id": "hunter2"}, "password": "hunter2", "a": "password=hunter2"}, fields=fields)
    assert (event.subject, event.attributes) == ("***", {"x": "***", "y": "password=***"})


def test_places_are_shown_as_they_are_written() -> None:
    assert shown(("detail", "job id", 0)) == "$.detail['job id'][0]"
