"""CloudEvents: fields where types fit, attributes for the rest, and a place for what is wrong."""

from __future__ import annotations

import pytest
from codec_cases import RECEIVED, cloud_event, record, task_event

from remediator.codecs.attributes import MAX_VALUES
from remediator.codecs.auto import AutoCodec
from remediator.codecs.cloudevents import MAX_BATCH, CloudEventsCodec
from remediator.codecs.port import Undecodable
from remediator.codecs.registry import CODECS
from remediator.model.event import ErrorInfo, Event
from remediator.model.time import parse_instant


def decode(value: object) -> list[Event]:
    return CloudEventsCodec().decode(record(value))


def test_fields_and_attributes() -> None:
    data = {
        "dag_id": "orders",
        "run_id": "r1",
        "task_id": "load",
        "map_index": 2,
        "try_number": 1,
        "retries": 3,
        "started_at": "2026-11-22T06:00:00Z",
        "error": {"type": "OSError", "message": "token=abc123", "trace": "Traceback"},
        "owner": "ops",
        "tags": ["a", "b"],
        "outputs": ["s3://lake/x"],
        "log_url": "https://user:pw@logs.example/1",
        "node": "n1",
        "pool": {"free": 0, "api_key": "abc"},
    }
    (event,) = decode(cloud_event(data, type="Task.Failed", time="2026-11-22T07:00:00+01:00", subject="orders/load"))
    assert event == Event(
        type="task.failed",
        time=parse_instant("2026-11-22T06:00:00+00:00"),
        source="k8s/prod",
        namespace="k8s/prod",
        subject="orders/load",
        dag_id="orders",
        run_id="r1",
        task_id="load",
        map_index=2,
        try_number=1,
        retries=3,
        started_at=parse_instant("2026-11-22T06:00:00+00:00"),
        error=ErrorInfo(type="OSError", message="token=***", trace="Traceback"),
        owner="ops",
        tags=("a", "b"),
        outputs=("s3://lake/x",),
        log_url="https://***@logs.example/1",
        attributes={"node": "n1", "pool": {"free": 0, "api_key": "***"}},
    )


def test_a_missing_time_is_the_records() -> None:
    assert decode(cloud_event())[0].time == RECEIVED


@pytest.mark.parametrize("data", ["text", [1, 2], 5, True])
def test_data_of_another_type_is_kept(data: object) -> None:
    assert decode(cloud_event(data))[0].attributes == {"data": data}


def test_a_batch_is_all_its_events_or_a_dead_letter() -> None:
    assert [event.type for event in decode([cloud_event(), cloud_event(type="node.ready")])] == [
        "node.not_ready",
        "node.ready",
    ]
    assert decode([]) == []
    with pytest.raises(Undecodable, match=r"at `\$\[1\]\.data\.dag_id`"):
        decode([cloud_event(), cloud_event({"dag_id": 5})])
    with pytest.raises(Undecodable, match="too many events"):
        decode(b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (cloud_event({"try_number": "1"}), r"got `str` - at `\$\.data\.try_number`"),
        (cloud_event({"try_number": 2**40}), r"`\$\.data\.try_number`"),
        (cloud_event({"tags": "a"}), r"`\$\.data\.tags`"),
        (cloud_event({"error": "boom"}), r"`\$\.data\.error`"),
        (cloud_event({"started_at": "yesterday"}), r"`\$\.data\.started_at`"),
        (cloud_event({"ended_at": "0001-01-01T00:00:00+14:00"}), r"out of range.*`\$\.data\.ended_at`"),
        (cloud_event(time="soon"), r"`\$\.time`"),
        (cloud_event(type="two words"), r"`\$\.type`: 'two words', allowed are words"),
        (cloud_event(type="a" * 200), r"at most 128"),
        (cloud_event(type="task.failed_finally"), "reserved"),
        (cloud_event(specversion="0.3"), r"`\$\.specversion`: '0.3', allowed is 1.x"),
        ({"specversion": "1.0", "type": "a"}, "missing required field `source`"),
        ([5], r"got `int` - at `\$\[0\]`"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(event: object, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(event)


def test_attributes_are_bounded() -> None:
    (event,) = decode(cloud_event({f"k{n}": n for n in range(2_000)}))
    assert len(event.attributes) == MAX_VALUES
    (event,) = decode(cloud_event({"a": "x" * 100_000, "deep": [[[[[[[[1]]]]]]]], "big": 2**70}))
    assert len(event.attributes["a"]) == 2_048
    assert event.attributes["deep"] == [[[[["…"]]]]]
    assert event.attributes["big"] == str(2**70)


def test_auto_tells_the_formats_apart() -> None:
    auto = AutoCodec()
    assert auto.decode(record(task_event()))[0].type == "task.failed"
    assert auto.decode(record(cloud_event()))[0].type == "node.not_ready"
    assert len(auto.decode(record([cloud_event(), cloud_event()]))) == 2
    assert auto.decode(record(None)) == []
    with pytest.raises(Undecodable, match="neither OpenLineage"):
        auto.decode(record({"hello": 1}))


def test_every_codec_has_a_name() -> None:
    assert set(CODECS) == {"openlineage", "cloudevents", "kubernetes", "alertmanager", "eventbridge", "auto"}
