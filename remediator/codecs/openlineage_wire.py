"""OpenLineage run events on the wire, as far as Airflow's provider and this codec go. Undeclared members are skipped.

Every member but the identifying ones may be missing or null; a wrong type is an error with its place.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

Count = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]


class Dag(msgspec.Struct, gc=False):
    dag_id: str | None = None
    owner: str | None = None


class DeadlineAlert(msgspec.Struct, gc=False):
    deadline_time: str | None = None
    missed: bool | None = None


class Deadlines(msgspec.Struct, gc=False):
    alerts: list[DeadlineAlert] | None = None


class DagRun(msgspec.Struct, gc=False):
    dag_id: str | None = None
    run_id: str | None = None
    run_type: str | None = None
    logical_date: datetime | None = None
    run_after: str | None = None
    start_date: datetime | None = None
    end_date: datetime | None = None
    clear_number: Count | None = None
    dag_version_number: Count | None = None
    note: str | None = None
    triggered_by: str | None = None
    triggering_user_name: str | None = None
    conf: msgspec.Raw = msgspec.Raw()
    deadlines: Deadlines | None = None


class TaskGroup(msgspec.Struct, gc=False):
    group_id: str | None = None


class Task(msgspec.Struct, gc=False):
    task_id: str | None = None
    retries: Count | None = None
    operator_class: str | None = None
    owner: str | None = None
    inlets: str | None = None
    outlets: str | None = None
    task_group: TaskGroup | None = None


class TaskInstance(msgspec.Struct, gc=False):
    try_number: Count | None = None
    map_index: Count | None = None
    rendered_map_index: str | None = None
    log_url: str | None = None


class AirflowFacet(msgspec.Struct, gc=False, rename={"dag_run": "dagRun", "task_instance": "taskInstance"}):
    """`airflow` of a task's event and `airflowDagRun` of a dagrun's, which lacks the last two."""

    dag: Dag | None = None
    dag_run: DagRun | None = None
    task: Task | None = None
    task_instance: TaskInstance | None = None


class AirflowState(msgspec.Struct, gc=False, rename="camel"):
    tasks_state: dict[str, str | None] | None = None


class ErrorMessage(msgspec.Struct, gc=False, rename="camel"):
    message: str | None = None
    stack_trace: str | None = None


class Run(msgspec.Struct, gc=False, rename="camel"):
    run_id: str | None = None


class JobName(msgspec.Struct, gc=False):
    name: str | None = None


class Root(msgspec.Struct, gc=False):
    job: JobName | None = None


class Parent(msgspec.Struct, gc=False):
    run: Run | None = None
    job: JobName | None = None
    root: Root | None = None


class Test(msgspec.Struct, gc=False):
    name: str | None = None
    status: str | None = None
    expected: Any = None
    actual: Any = None
    severity: str | None = None
    params: dict[str, Any] | None = None


class TestFacet(msgspec.Struct, gc=False):
    tests: list[Test] | None = None


class MappedTask(msgspec.Struct, gc=False, rename="camel"):
    map_index: Count | None = None


class RunFacets(msgspec.Struct, gc=False):
    airflow: AirflowFacet | None = None
    airflow_dag_run: AirflowFacet | None = msgspec.field(default=None, name="airflowDagRun")
    airflow_state: AirflowState | None = msgspec.field(default=None, name="airflowState")
    mapped_task: MappedTask | None = msgspec.field(default=None, name="airflow_mappedTask")
    error: ErrorMessage | None = msgspec.field(default=None, name="errorMessage")
    parent: Parent | None = None
    test: TestFacet | None = None


class RunPart(msgspec.Struct, gc=False):
    run_id: str = msgspec.field(name="runId")
    facets: RunFacets | None = None


class JobType(msgspec.Struct, gc=False, rename="camel"):
    job_type: str | None = None
    integration: str | None = None


class Owner(msgspec.Struct, gc=False):
    name: str | None = None


class Ownership(msgspec.Struct, gc=False):
    owners: list[Owner] | None = None


class Tag(msgspec.Struct, gc=False):
    key: str | None = None


class Tags(msgspec.Struct, gc=False):
    tags: list[Tag] | None = None


class TaskShape(msgspec.Struct, gc=False):
    downstream_task_ids: list[str] | None = None


class DagShape(msgspec.Struct, gc=False):
    tasks: dict[str, TaskShape] | None = None


class JobFacets(msgspec.Struct, gc=False):
    job_type: JobType | None = msgspec.field(default=None, name="jobType")
    ownership: Ownership | None = None
    tags: Tags | None = None
    airflow: DagShape | None = None


class Job(msgspec.Struct, gc=False):
    namespace: str
    name: str
    facets: JobFacets | None = None


class Assertion(msgspec.Struct, gc=False):
    assertion: str | None = None
    success: bool | None = None
    column: str | None = None
    expected: Any = None
    actual: Any = None
    severity: str | None = None


class Assertions(msgspec.Struct, gc=False):
    assertions: list[Assertion] | None = None


class DatasetFacets(msgspec.Struct, gc=False):
    assertions: Assertions | None = msgspec.field(default=None, name="dataQualityAssertions")


class Dataset(msgspec.Struct, gc=False):
    namespace: str
    name: str
    facets: DatasetFacets | None = None
    input_facets: DatasetFacets | None = msgspec.field(default=None, name="inputFacets")


class RunEvent(msgspec.Struct, gc=False, rename="camel"):
    """`run` and `job` may only be missing in the two other kinds of event, told by the end of `schema_url`.

    specversion: no member of OpenLineage; where it is there, the record is a CloudEvent.
    """

    event_time: datetime
    event_type: str | None = None
    run: RunPart | None = None
    job: Job | None = None
    inputs: list[Dataset] | None = None
    outputs: list[Dataset] | None = None
    schema_url: str | None = msgspec.field(default=None, name="schemaURL")
    specversion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
