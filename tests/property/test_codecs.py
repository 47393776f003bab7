"""Codecs under any bytes: only Undecodable or events come out, events encode again, and no planted secret survives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.codecs.dead_letters import dead_letter
from remediator.codecs.mapping import MappingCodec, MappingSpec
from remediator.codecs.masking import mask
from remediator.codecs.port import Codec, Undecodable
from remediator.codecs.registry import CODECS
from remediator.codecs.text import MESSAGE_CHARS, TRACE_CHARS
from remediator.model.event import Event
from remediator.model.record import Record

SHAPES = Path(__file__).parents[1] / "data" / "corpus" / "openlineage-shapes.ndjson"
VALUES = [json.loads(line)["value"] for line in SHAPES.read_text().splitlines()]
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

CLOUD_EVENT = {
    "specversion": "1.0",
    "type": "task.failed",
    "source": "s",
    "time": "2026-11-22T06:51:07Z",
    "data": {"dag_id": "d", "try_number": 1, "tags": ["a"], "error": {"message": "m"}, "pool": {"a": [1, None]}},
}
PAYLOADS = [path.read_text() for path in sorted((SHAPES.parents[1] / "payloads").rglob("*.json"))]
DOCUMENTS: list[Any] = [*map(json.loads, VALUES), CLOUD_EVENT, [CLOUD_EVENT, CLOUD_EVENT], *map(json.loads, PAYLOADS)]
MAPPING = MappingSpec(
    type_path=("kind",),
    time=("detail", "finished"),
    time_format="epoch_ms",
    fields={
        "subject": ("detail", "job", "name"),
        "run_id": ("detail", "job", "run"),
        "try_number": ("schema",),
        "started_at": ("detail", "job", "run"),
        "outputs": ("detail", "tables"),
        "error.message": ("detail", "error"),
        "attributes.detail": ("detail",),
        "attributes.first": ("detail", "tables", 0),
    },
)
ALL: dict[str, Codec] = {name: factory() for name, factory in CODECS.items()}
ALL |= {
    "mapping": MappingCodec(MAPPING),
    "mapping, iso": MappingCodec(msgspec.structs.replace(MAPPING, time_format="iso")),
}

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
odd_values = any_json | st.sampled_from(
    [10**30, -(10**30), 2**63, "\ud800", "\x00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x" * 5_000]
)


def check(value: bytes) -> None:
    """What every codec promises for these bytes."""
    record = Record(topic="t", partition=0, offset=0, timestamp=0, key=None, value=value)
    for codec in ALL.values():
        try:
            events = codec.decode(record)
        except Undecodable as error:
            msgspec.msgpack.encode(dead_letter("f", record, error.reason))
            continue
        for event in events:
            check_event(event)


def check_event(event: Event) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event) == event
    encoded = msgspec.json.encode(event)
    assert b"\\u0000" not in encoded
    assert len(event.tags) <= 64
    assert len(event.inputs) <= 256
    assert 0 < len(event.type) <= 128
    scope = event.condition.scope if event.condition else None
    names = (event.dag_id, event.run_id, event.task_id, event.job, event.subject, event.namespace, scope)
    assert all(len(text) <= 512 for text in names if text)
    if event.error:
        assert len(event.error.message or "") <= MESSAGE_CHARS
        assert len(event.error.trace or "") <= TRACE_CHARS


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document where a value stands."""
    found = [path] if path else []
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in items:
            found += places(value, (*path, key))
    return found


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at one place."""
    copy = json.loads(json.dumps(document))
    *parents, last = path
    at = copy
    for key in parents:
        at = at[key]
    at[last] = value
    return copy


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(value: bytes) -> None:
    check(value)


@QUICK
@given(any_json)
def test_any_json(document: Any) -> None:
    check(json.dumps(document).encode())


@QUICK
@given(st.data())
def test_any_value_at_any_place(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(DOCUMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.sampled_from(places(document)))
        document = replaced(document, where, data.draw(odd_values))
        if not places(document):
            break
    check(json.dumps(document).encode())


@QUICK
@given(st.data())
def test_damaged_bytes(data: st.DataObject) -> None:
    value = bytearray(data.draw(st.sampled_from(VALUES + PAYLOADS)).encode())
    for _ in range(data.draw(st.integers(0, 8))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(value[: data.draw(st.integers(0, len(value)) | st.just(len(value)))]))


SECRETS = [
    "password=hunter2-{}",
    "'api_key': 'hunter2-{}'",
    '{{"token": "hunter2-{} and more"}}',
    "Authorization: Bearer hunter2-{}",
    "postgres://user:hunter2-{}@db.example/x",
    "postgres://user:hunter2-{}/@db.example/x",
    "--password hunter2-{}",
    "DB_PASSWORD=hunter2-{}",
    "-----BEGIN PRIVATE KEY-----\nhunter2-{}\n-----END PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2-{}",
    "xoxb-hunter2-{}",
    "client_secret: hunter2-{}",
]
prose = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=80).map(lambda text: text + " ")
unique = st.text(alphabet="abcdef0123456789", min_size=4, max_size=12)


@QUICK
@given(prose, st.sampled_from(SECRETS), unique, prose)
def test_no_secret_survives_in_text(before: str, shape: str, tail: str, after: str) -> None:
    assert "hunter2" not in mask(before + shape.format(tail) + " " + after)


@QUICK
@given(st.data(), prose, st.sampled_from(SECRETS), unique)
def test_no_secret_survives_where_masking_is_promised(data: st.DataObject, before: str, shape: str, tail: str) -> None:
    secret = before + shape.format(tail)
    document = DOCUMENTS[data.draw(st.sampled_from(WITH_ERROR))]
    facets = document["run"]["facets"]
    error = facets["errorMessage"] | {"message": secret, "stackTrace": f"Traceback\n{secret}\nValueError: {secret}"}
    document = replaced(document, ("run", "facets", "errorMessage"), error)
    for name in ("airflow", "airflowDagRun"):
        if name in facets:
            run = facets[name]["dagRun"] | {"note": secret, "conf": {"a": [secret], "password": {"b": "hunter2"}}}
            document = replaced(document, ("run", "facets", name, "dagRun"), run)
    assert_without(document, "openlineage")
    data_part = {"error": {"message": secret, "trace": secret}, "log_url": secret, "x": [{"y": secret}]}
    assert_without(CLOUD_EVENT | {"data": data_part, "subject": secret}, "cloudevents")
    assert_without(with_secret_texts(data.draw(st.sampled_from(KUBERNETES)), secret), "kubernetes")
    assert_without(with_secret_texts(data.draw(st.sampled_from(ALERTS)), secret), "alertmanager")
    assert_without(with_secret_texts(data.draw(st.sampled_from(CLOUD)), secret), "eventbridge")
    assert_without(
        {"kind": "a", "schema": 2, "detail": {"finished": 1, "error": secret, "tables": [secret]}}, "mapping"
    )


FREE_TEXT = frozenset({
    "message", "note", "reason", "name", "namespace", "host", "clusterName", "reportingInstance", "summary",
    "fieldPath", "description", "instance", "generatorURL", "externalURL", "groupKey", "receiver", "instance-id",
    "stoppedReason", "statusReason", "group", "startedBy", "account", "region", "jobName", "jobId",
})  # fmt: skip


def with_secret_texts(document: Any, secret: str) -> Any:
    """The document with the secret in every member that holds free text. Named values keep the name that tells."""
    if isinstance(document, list):
        return [with_secret_texts(one, secret) for one in document]
    if not isinstance(document, dict) or "value" in document:
        return document
    return {
        key: secret if key in FREE_TEXT and isinstance(value, str) else with_secret_texts(value, secret)
        for key, value in document.items()
    }


def documents_of(codec: str) -> list[Any]:
    folder = SHAPES.parents[1] / "payloads" / codec
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


KUBERNETES = [document for document in documents_of("kubernetes") if "involvedObject" in document]
ALERTS, CLOUD = documents_of("alertmanager"), documents_of("eventbridge")
WITH_ERROR = [n for n, document in enumerate(DOCUMENTS[: len(VALUES)]) if "errorMessage" in document["run"]["facets"]]


def assert_without(document: Any, codec: str) -> None:
    record = Record(topic="t", partition=0, offset=0, timestamp=0, key=None, value=json.dumps(document).encode())
    for event in ALL[codec].decode(record):
        assert b"hunter2" not in msgspec.json.encode(event)


@pytest.mark.parametrize("cut_at", range(40, 80, 3))
def test_a_dead_letter_of_a_cut_record_holds_no_secret(cut_at: int) -> None:
    value = b'{"specversion": "1.0", "data": {"password": "hunter2hunter2hunter2", "a": 1}}'[:cut_at]
    record = Record(topic="t", partition=0, offset=0, timestamp=0, key=None, value=value)
    assert b"hunter2" not in dead_letter("f", record, "cut").head
