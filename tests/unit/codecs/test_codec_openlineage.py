"""OpenLineage: what each facet becomes, what is not said stays None, and names are never guessed."""

from __future__ import annotations

import copy
import json

import pytest
from codec_cases import dag_event, ol_event, record, task_event

from remediator.codecs.openlineage import OpenLineageCodec
from remediator.codecs.openlineage_attributes import MAX_TASKS
from remediator.codecs.port import Undecodable
from remediator.codecs.text import MESSAGE_CHARS, TRACE_CHARS
from remediator.model.event import Event
from remediator.model.time import parse_instant

AT = parse_instant("2026-11-22T06:51:07.244532+00:00")


def decode(value: object) -> list[Event]:
    return OpenLineageCodec().decode(record(value))


def test_a_failed_attempt_is_whole() -> None:
    (event,) = decode(task_event())
    assert (event.type, event.time, event.namespace, event.source) == ("task.failed", AT, "ns", "openlineage")
    assert (event.dag_id, event.run_id, event.task_id) == ("orders.v2", "manual__1", "load.rows")
    assert (event.try_number, event.retries, event.map_index, event.clear_number) == (2, 3, -1, 1)
    assert (event.started_at, event.ended_at) == (None, AT)
    assert (event.job, event.lineage_run) == ("orders.v2.load.rows", "run-uuid")
    assert (event.parent_run, event.root_job) == ("dag-run-uuid", "root_dag")
    assert event.error is not None
    assert (event.error.type, event.error.message) == ("ValueError", "boom")
    assert event.error.trace is not None
    assert event.error.trace.endswith("ValueError: boom\n")
    assert event.attributes == {}


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("START", "task.started"),
        ("RUNNING", "task.running"),
        ("COMPLETE", "task.success"),
        ("FAIL", "task.failed"),
        ("ABORT", "task.aborted"),
        ("OTHER", "task.other"),
        (None, "task.other"),
    ],
)
def test_states_become_types(state: str | None, kind: str) -> None:
    assert decode(task_event() | {"eventType": state})[0].type == kind


def test_an_unknown_state_is_undecodable() -> None:
    with pytest.raises(Undecodable, match=r"\$\.eventType`: 'EXPLODED', allowed are START"):
        decode(task_event() | {"eventType": "EXPLODED"})


def test_a_state_set_by_hand_is_joined_by_its_run() -> None:
    (event,) = decode(task_event(airflow=None))
    assert (event.type, event.dag_id, event.task_id, event.run_id) == ("task.failed", "orders.v2", "load.rows", None)
    assert event.lineage_run == "run-uuid"
    assert event.attributes["unresolved"] is True


def test_a_job_name_alone_is_never_split() -> None:
    (event,) = decode(task_event(airflow=None, parent=None))
    assert (event.dag_id, event.task_id, event.job) == (None, None, "orders.v2.load.rows")
    (event,) = decode(task_event(airflow=None, parent={"job": {"name": "orders"}}) | {})
    assert event.dag_id == "orders"
    (event,) = decode(task_event(airflow=None, parent={"job": {"name": "order"}}))
    assert event.task_id is None


def test_a_dagrun_set_by_hand_keeps_its_dag() -> None:
    (event,) = decode(ol_event("DAG", "FAIL", "orders.v2", {}))
    assert (event.type, event.dag_id, event.run_id) == ("dagrun.failed", "orders.v2", None)
    assert event.attributes["unresolved"] is True


def test_another_integrations_task_is_no_task_of_airflow() -> None:
    wire = task_event(airflow=None)
    wire["job"]["facets"]["jobType"]["integration"] = "SPARK"
    (event,) = decode(wire)
    assert (event.type, event.dag_id) == ("job.failed", None)


def test_a_query_names_its_parent() -> None:
    wire = ol_event("QUERY", "FAIL", "d.t.query.1", {"parent": {"job": {"name": "d.t"}, "run": {"runId": "p"}}})
    (event,) = decode(wire)
    assert (event.type, event.dag_id, event.parent_run) == ("query.failed", None, "p")
    assert event.attributes == {"parent_job": "d.t", "unresolved": True}


def test_a_mapped_task_has_its_index() -> None:
    wire = task_event()
    wire["run"]["facets"]["airflow"]["taskInstance"] |= {"map_index": 3, "rendered_map_index": "part-3"}
    (event,) = decode(wire)
    assert event.map_index == 3
    assert event.attributes == {"rendered_map_index": "part-3"}


def test_a_dagrun_has_its_times_states_deadlines_and_masked_words() -> None:
    dag_run = {
        "start_date": "2026-11-22T06:50:00Z",
        "end_date": "2026-11-22T06:51:00Z",
        "run_after": "2026-11-22T06:49:00Z",
        "dag_version_number": 4,
        "note": "password=hunter2",
        "conf": {"region": "us", "db": {"password": "hunter2"}},
        "deadlines": {"alerts": [{"deadline_time": "2026-11-22T06:50:30Z", "missed": True}]},
    }
    (event,) = decode(dag_event("FAIL", dag_run, airflowState={"tasksState": {"a": "failed", "secret_b": "***"}}))
    assert event.type == "dagrun.failed"
    assert event.started_at == parse_instant("2026-11-22T06:50:00+00:00")
    assert event.ended_at == parse_instant("2026-11-22T06:51:00+00:00")
    assert (event.logical_date, event.dag_version) == (None, 4)
    assert event.attributes == {
        "run_after": "2026-11-22T06:49:00Z",
        "note": "password=***",
        "conf": {"region": "us", "db": {"password": "***"}},
        "deadlines": [{"deadline_time": "2026-11-22T06:50:30Z", "missed": True}],
        "deadlines_missed": 1,
        "missed_deadline": "2026-11-22T06:50:30Z",
        "tasks_state": {"a": "failed", "secret_b": "***"},
    }


@pytest.mark.parametrize(
    ("missed", "told"),
    [
        ((None, False), (None, None)),
        ((False, True), (1, "2026-11-22T06:00:00Z")),
        ((True, True), (2, "2026-11-22T05:00:00Z")),
    ],
)
def test_missed_deadlines_are_counted_and_the_earliest_is_named(
    missed: tuple[bool | None, ...], told: tuple[int | None, str | None]
) -> None:
    hours = zip((5, 6), missed, strict=True)
    alerts = [{"deadline_time": f"2026-11-22T0{hour}:00:00Z", "missed": one} for hour, one in hours]
    (event,) = decode(dag_event("COMPLETE", {"deadlines": {"alerts": alerts}}))
    assert (event.attributes.get("deadlines_missed"), event.attributes.get("missed_deadline")) == told
    assert len(event.attributes["deadlines"]) == len(alerts)


def test_a_conf_that_cannot_be_carried_costs_nothing_else() -> None:
    wire = json.dumps(dag_event("START", {"conf": "CONF"}))
    (event,) = decode(wire.replace('"CONF"', '{"x": 1e999}').encode())
    assert event.type == "dagrun.started"
    assert "conf" not in event.attributes


def test_a_dag_start_carries_the_shape() -> None:
    wire = dag_event("START", {"run_after": None})
    wire["job"]["facets"]["airflow"] = {"tasks": {"a": {"downstream_task_ids": ["b"]}, "b": {}}}
    (event,) = decode(wire)
    assert event.attributes == {"tasks": {"a": ["b"], "b": []}}
    wire["job"]["facets"]["airflow"] = {"tasks": {f"t{n}": {} for n in range(MAX_TASKS + 1)}}
    (event,) = decode(wire)
    assert len(event.attributes["tasks"]) == MAX_TASKS
    assert event.attributes["tasks_truncated"] is True


def test_of_too_many_final_states_the_failures_stay() -> None:
    states = {f"t{n}": "success" for n in range(MAX_TASKS + 9)} | {"last": "failed"}
    (event,) = decode(dag_event("FAIL", {}, airflowState={"tasksState": states}))
    assert len(event.attributes["tasks_state"]) == MAX_TASKS
    assert event.attributes["tasks_state"]["last"] == "failed"


def test_owner_and_tags() -> None:
    wire = task_event()
    wire["job"]["facets"]["ownership"] = {"owners": [{"name": "finance"}, {"name": "ops"}]}
    wire["job"]["facets"]["tags"] = {"tags": [{"key": "remediator:never", "value": "x"}, {"key": "tier1"}]}
    (event,) = decode(wire)
    assert (event.owner, event.tags) == ("finance, ops", ("remediator:never", "tier1"))


def test_datasets_and_printed_assets_are_one_list() -> None:
    wire = task_event(errorMessage=None) | {"eventType": "COMPLETE"}
    wire["outputs"] = [{"namespace": "postgres://dwh.example:5432", "name": "shop.public.stock"}]
    wire["run"]["facets"]["airflow"]["task"] |= {
        "inlets": "[{'uri': 's3://lake/raw', 'extra': {}, 'type': 'asset'}, {'uri': 'file:///data/in.csv'}]",
        "outlets": "[{'uri': 'postgres://dwh.example:5432/shop/public/stock'}, {'uri': 's3://lake/out'}]",
    }
    event, *updates = decode(wire)
    assert event.inputs == ("s3://lake/raw", "file//data/in.csv")
    assert event.outputs == ("postgres://dwh.example:5432/shop.public.stock", "s3://lake/out")
    assert [(update.type, update.subject) for update in updates] == [
        ("dataset.updated", "postgres://dwh.example:5432/shop.public.stock"),
        ("dataset.updated", "s3://lake/out"),
    ]
    assert all((update.dag_id, update.run_id, update.time) == ("orders.v2", "manual__1", AT) for update in updates)


@pytest.mark.parametrize("printed", ["[", "[1, 2]", "{'uri': 'x'}", "__import__('os')", "[" * 9000, "-" * 16_000])
def test_assets_that_are_not_a_list_of_assets_are_absent(printed: str) -> None:
    wire = task_event()
    wire["run"]["facets"]["airflow"]["task"]["outlets"] = printed
    assert decode(wire)[0].outputs == ()


def test_a_failed_task_updates_no_dataset() -> None:
    wire = task_event()
    wire["outputs"] = [{"namespace": "s3://lake", "name": "out"}]
    assert [event.type for event in decode(wire)] == ["task.failed"]


def test_each_assertion_is_a_check() -> None:
    tests = [
        {"name": "id.unique", "status": "pass", "expected": "0", "actual": "0"},
        {
            "name": "amount.null",
            "status": "fail",
            "expected": "0",
            "actual": "2",
            "params": {"tested_table": "orders", "tested_column": "amount"},
        },
    ]
    wire = task_event(test={"tests": tests})
    assertions = [{"assertion": "row_count", "success": False, "column": "id"}, {"assertion": "undecided"}]
    facet = {"dataQualityAssertions": {"assertions": assertions}}
    wire["inputs"] = [{"namespace": "sqlite", "name": "main.orders", "inputFacets": facet}]
    _, passed, failed, asserted = decode(wire)
    assert (passed.type, passed.subject) == ("check.passed", "id.unique")
    assert (failed.type, failed.subject, failed.task_id, failed.error) == ("check.failed", "orders", "load.rows", None)
    assert failed.attributes == {
        "name": "amount.null",
        "expected": "0",
        "actual": "2",
        "dataset": "orders",
        "column": "amount",
    }
    assert (asserted.type, asserted.subject) == ("check.failed", "sqlite/main.orders")
    assert asserted.attributes["column"] == "id"


def test_long_texts_are_cut_where_they_matter_least() -> None:
    said = {"message": "m" * 9_000, "stackTrace": "Traceback\n" + "t" * 90_000 + "\nValueError: end"}
    (event,) = decode(task_event(errorMessage=said))
    assert event.error is not None
    assert len(event.error.message or "") == MESSAGE_CHARS
    assert len(event.error.trace or "") == TRACE_CHARS
    assert (event.error.trace or "").endswith("ValueError: end")


def test_unprintable_characters_are_made_safe() -> None:
    wire = json.dumps(task_event()).replace("boom", r"a\u0000b\ud800c\ud83d\ude00d\\u0000")
    (event,) = decode(wire.encode())
    assert event.error is not None
    assert event.error.message == "a\ufffdb\ufffdc\U0001f600d\\u0000"


@pytest.mark.parametrize("facet", ["airflow", "errorMessage", "parent"])
def test_null_facets_are_absent(facet: str) -> None:
    wire = task_event()
    wire["run"]["facets"][facet] = None
    assert decode(wire)[0].type == "task.failed"


def test_a_wrong_type_names_its_place() -> None:
    wire = copy.deepcopy(task_event())
    wire["run"]["facets"]["airflow"]["taskInstance"]["try_number"] = "two"
    with pytest.raises(Undecodable, match=r"got `str` - at `\$\.run\.facets\.airflow\.taskInstance\.try_number`"):
        decode(wire)


def test_an_event_without_a_run_is_undecodable_unless_it_describes() -> None:
    wire = {"eventTime": "2026-11-22T06:51:07Z", "job": {"namespace": "n", "name": "j"}}
    with pytest.raises(Undecodable, match=r"missing member: `\$\.run`"):
        decode(wire)
    assert decode(wire | {"schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"}) == []
