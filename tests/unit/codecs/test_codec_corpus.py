"""Recorded traffic decodes: every record, to the right counts, and each distinct shape to its golden events.

`UPDATE_GOLDEN=1 pytest tests/unit/codecs` rewrites the golden file.
"""

from __future__ import annotations

import json
import os
from collections import Counter

import msgspec
from codec_cases import GOLDEN, shapes, whole_corpus

from remediator.codecs.auto import AutoCodec
from remediator.codecs.openlineage import OpenLineageCodec
from remediator.model.event import Event


def test_every_recorded_event_decodes() -> None:
    codec = OpenLineageCodec()
    counts = Counter(event.type for record in whole_corpus() for event in codec.decode(record))
    assert counts == {
        "task.started": 289,
        "task.success": 223,
        "task.failed": 62,
        "dagrun.started": 118,
        "dagrun.success": 88,
        "dagrun.failed": 31,
        "query.started": 4,
        "query.success": 2,
        "query.failed": 2,
        "dataset.updated": 18,
        "check.passed": 6,
        "check.failed": 4,
    }


def test_every_task_and_dagrun_is_named_as_its_facet_says() -> None:
    codec = OpenLineageCodec()
    for record in whole_corpus():
        event = codec.decode(record)[0]
        run = json.loads(record.value or b"")["run"]
        facets = run["facets"]
        facet = facets.get("airflow") or facets.get("airflowDagRun")
        assert event.lineage_run == run["runId"]
        if facet is None:
            assert event.attributes["unresolved"] is True
            continue
        assert (event.dag_id, event.run_id) == (facet["dagRun"]["dag_id"], facet["dagRun"]["run_id"])
        assert event.task_id == facet.get("task", {}).get("task_id")
        assert event.try_number == facet.get("taskInstance", {}).get("try_number")
        assert event.map_index == facet.get("taskInstance", {}).get("map_index", -1)
        assert "unresolved" not in event.attributes


def test_auto_decodes_the_same() -> None:
    auto, direct = AutoCodec(), OpenLineageCodec()
    for record in shapes():
        assert auto.decode(record) == direct.decode(record)


def test_events_survive_both_encodings() -> None:
    codec = OpenLineageCodec()
    for record in whole_corpus():
        for event in codec.decode(record):
            assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
            assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_shapes_decode_to_the_golden_events() -> None:
    codec = OpenLineageCodec()
    found = [[msgspec.to_builtins(event) for event in codec.decode(record)] for record in shapes()]
    found = json.loads(json.dumps(found))
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(GOLDEN.read_text())
