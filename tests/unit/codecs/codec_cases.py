"""What the codec tests share: recorded records, and the smallest event of each format to vary."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from remediator.codecs.mapping import MappingCodec, MappingSpec
from remediator.config.load import load_config
from remediator.config.settings import Feed
from remediator.model.record import Record

TESTS = Path(__file__).parents[2]
CORPUS = TESTS / "data" / "corpus"
SHAPES = CORPUS / "openlineage-shapes.ndjson"
GOLDEN = TESTS / "golden" / "codecs" / "openlineage-shapes.json"
PAYLOADS = TESTS / "data" / "payloads"
RECEIVED = 1_795_331_774_783_000


def record(value: Any) -> Record:
    """A record of these bytes, or of this value as JSON."""
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Record(topic="t", partition=0, offset=7, timestamp=RECEIVED, key=None, value=body)


def recorded(text: str) -> list[Record]:
    rows = map(json.loads, text.splitlines())
    return [
        Record(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["offset"],
            timestamp=row["timestamp_ms"] * 1000,
            key=row["key"].encode(),
            value=row["value"].encode(),
        )
        for row in rows
    ]


def shapes() -> list[Record]:
    """One recorded record for each shape."""
    return recorded(SHAPES.read_text())


def whole_corpus() -> list[Record]:
    """All that was recorded."""
    return recorded(gzip.decompress((CORPUS / "openlineage-airflow-3.3.2.ndjson.gz").read_bytes()).decode())


def task_event(**changes: Any) -> dict[str, Any]:
    """A failure of orders.v2 / load.rows, try 2 of 4; `changes` replace run facets, None removes one."""
    facets: dict[str, Any] = {
        "airflow": {
            "dag": {"dag_id": "orders.v2"},
            "dagRun": {"dag_id": "orders.v2", "run_id": "manual__1", "run_type": "manual", "clear_number": 1},
            "task": {"task_id": "load.rows", "retries": 3, "operator_class": "PythonOperator"},
            "taskInstance": {"try_number": 2, "log_url": "http://airflow.example/dags/orders.v2?try_number=2"},
        },
        "errorMessage": {"message": "boom", "stackTrace": 'Traceback\n  File "x.py"\nValueError: boom\n'},
        "parent": {
            "run": {"runId": "dag-run-uuid"},
            "job": {"namespace": "ns", "name": "orders.v2"},
            "root": {"run": {"runId": "root-uuid"}, "job": {"namespace": "ns", "name": "root_dag"}},
        },
    }
    return ol_event("TASK", "FAIL", "orders.v2.load.rows", facets | changes)


def dag_event(state: str, dag_run: dict[str, Any], **facets: Any) -> dict[str, Any]:
    """An event of a dagrun of orders.v2."""
    run = {"dag_id": "orders.v2", "run_id": "manual__1", "run_type": "manual"} | dag_run
    return ol_event("DAG", state, "orders.v2", {"airflowDagRun": {"dag": {}, "dagRun": run}} | facets)


def ol_event(kind: str, state: str, name: str, facets: dict[str, Any]) -> dict[str, Any]:
    return {
        "eventTime": "2026-11-22T06:51:07.244532+00:00",
        "eventType": state,
        "job": {
            "namespace": "ns",
            "name": name,
            "facets": {"jobType": {"jobType": kind, "integration": "AIRFLOW", "processingType": "BATCH"}},
        },
        "run": {"runId": "run-uuid", "facets": {key: facet for key, facet in facets.items() if facet is not None}},
        "inputs": [],
        "outputs": [],
    }


def cloud_event(data: Any = None, **changes: Any) -> dict[str, Any]:
    """A CloudEvent of type node.not_ready."""
    event = {"specversion": "1.0", "id": "1", "type": "node.not_ready", "source": "k8s/prod", "data": data}
    return event | changes


def payloads(codec: str) -> list[Path]:
    """The recorded payloads of one codec."""
    found = sorted((PAYLOADS / codec).glob("*.json"))
    assert found, codec
    return found


def documented(language: str) -> str:
    """The example of the mapping codec in docs/codecs.md: its record ('json') or its configuration ('toml')."""
    text = (TESTS.parent / "docs" / "codecs.md").read_text()
    (block,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(block)


def documented_feed() -> Feed:
    """The feed of that example, read from a file as the daemon does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "remediator.toml"
        (Path(folder) / "rules").mkdir()
        path.write_text(documented("toml"))
        return load_config(path, {}).feeds[0]


def documented_mapping() -> MappingCodec:
    """The codec of that example."""
    mapping = documented_feed().mapping
    assert mapping is not None
    return MappingCodec(MappingSpec(**msgspec.structs.asdict(mapping)))
