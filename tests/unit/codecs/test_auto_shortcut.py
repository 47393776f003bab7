"""The shortcut of the mixed codec: reading at once as OpenLineage must change no answer."""

from __future__ import annotations

import json

import pytest

from remediator.codecs.auto import AutoCodec
from remediator.codecs.port import Undecodable
from remediator.model.record import Record

RUN = {
    "eventType": "START",
    "eventTime": "2026-11-22T06:50:35Z",
    "run": {"runId": "01a2008d-7400-7672-9be1-24c79cf59622"},
    "job": {"namespace": "prod", "name": "loader"},
}
CLOUD = {"specversion": "1.0", "type": "loader.done", "source": "loader"}


def decode(value: str) -> list[str]:
    return [event.type for event in AutoCodec().decode(Record("t", 0, 0, 0, None, value.encode()))]


def test_an_openlineage_event_is_read() -> None:
    assert decode(json.dumps(RUN)) == ["job.started"]


def test_one_that_only_mentions_a_version_stays_openlineage() -> None:
    assert decode(json.dumps({**RUN, "producer": "specversion"})) == ["job.started"]


@pytest.mark.parametrize("name", ["specversion", r"\u0073pecversion"])
def test_a_version_wins_however_its_name_is_written(name: str) -> None:
    assert decode(json.dumps({**RUN, **CLOUD}).replace("specversion", name)) == ["loader.done"]


@pytest.mark.parametrize(
    ("mark", "expected"),
    [({"involvedObject": {}}, "job.started"), ({"alerts": [], "groupKey": "", "version": "4"}, "job.started")],
)
def test_the_marks_of_other_formats_change_nothing(mark: dict[str, object], expected: str) -> None:
    assert decode(json.dumps({**mark, **RUN})) == [expected]
    assert decode(json.dumps({**mark, **CLOUD})) == ["loader.done"]


@pytest.mark.parametrize(
    "value", [{"type": "ADDED"}, {"verb": "ADDED"}, {"event": {}}, {"object": {}}, {"alerts": []}, {"groupKey": ""}]
)
def test_half_a_mark_is_none(value: dict[str, object]) -> None:
    with pytest.raises(Undecodable, match="neither OpenLineage"):
        decode(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (json.dumps({"eventType": 1}), "neither OpenLineage"),
        (json.dumps({**RUN, "run": {"runId": 1}}), r"wrong type: .*`\$\.run\.runId`"),
        (json.dumps({**RUN, "eventType": "WHAT"}), r"unknown value at `\$\.eventType`"),
        ('{"eventType": "START", "run"', "not JSON"),
        ("[]]", "not JSON"),
    ],
)
def test_what_cannot_be_read_says_the_same_as_without_it(value: str, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(value)
