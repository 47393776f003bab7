"""Answers whose bytes are no text, or are nested without end: faults like any other, never the end of the daemon."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.airflow import log_text, v1_answers
from remediator.actions.airflow.asked import asked_for
from remediator.actions.airflow.client import AirflowClient
from remediator.actions.airflow.look import LookExecutor
from remediator.actions.airflow.resources import LogRow
from remediator.actions.airflow.retry import RetryExecutor
from remediator.actions.airflow.session import Call
from remediator.actions.airflow.settings import AirflowSettings
from remediator.actions.airflow.sweep import SweepExecutor
from remediator.model.action import Action, Look, Params, Retry, RetryTarget, Sweep
from remediator.model.inputs import Looked, Swept
from remediator.model.outcome import Delivered
from remediator.model.secret import Secret

DEEP = b'{"detail":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
NO_TEXT = b'{"detail":"caf\xe9","dag_run_id":"caf\xe9","dag_runs":[{"dag_run_id":"caf\xe9"}],"version":"\xe9"}'
BODIES = (DEEP, NO_TEXT, b"\xff\xfe<\x00h\x00", b"null", b"[]")


@asynccontextmanager
async def answering(status: int, body: bytes) -> AsyncIterator[str]:
    """A server that answers whatever it is asked with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
        await reader.readexactly(int(length))
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def action(kind: str, params: Params) -> Action:
    return Action("a1", kind, "dag:prod/d", "prod", params, 0, 0)


@pytest.mark.parametrize("version", ["v2", "v1", "auto"])
@pytest.mark.parametrize("status", [200, 401, 403, 500])
@pytest.mark.parametrize("body", BODIES)
async def test_whatever_a_deployment_says_is_an_answer_to_every_question(
    version: str, status: int, body: bytes
) -> None:
    async with answering(status, body) as url:
        settings = AirflowSettings(
            deployment="prod", base_url=url, api_version=version, username="u", password=Secret("p"), read_tries=1
        )
        clients = {"prod": AirflowClient(settings)}
        try:
            (looked,) = await LookExecutor(clients).ask([action("look", Look("d", "r"))], 0)
            (swept,) = await SweepExecutor(clients).ask([action("sweep", Sweep(0))], 0)
            retry = action("retry", Retry("d", "r", (RetryTarget("t", 1),), "why", max_affected=5))
            outcome = await RetryExecutor(clients).perform(retry, uncertain=False)
        finally:
            await clients["prod"].close()
    assert isinstance(looked, Looked)
    assert (looked.truth, bool(looked.error)) == (None, True)
    assert isinstance(swept, Swept)
    assert swept.error
    assert not isinstance(outcome, Delivered)


def test_a_line_of_the_event_log_or_of_a_log_that_is_nested_without_end() -> None:
    assert asked_for(LogRow(when="2027-01-15T08:00:00Z", event="x", extra=DEEP.decode())) == {}
    assert log_text.tail(DEEP, str, cut=False).endswith("]}")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["task_instances", "dag_runs", "dags", "event_logs", "task_id", "event", "extra"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
CALLS = [
    Call("POST", "/api/v2/dags/d/clearTaskInstances", (), {"task_ids": [["t", 1]]}),
    Call("POST", "/api/v2/dags/d/dagRuns/r/clear", (), {}),
    Call("GET", "/api/v2/dags/d/dagRuns/r/taskInstances"),
    Call("PATCH", "/api/v2/dags/d/dagRuns/r/taskInstances/t", (), {}),
    Call("GET", "/api/v2/eventLogs"),
    Call("GET", "/api/v2/pools/p"),
    Call("GET", "/api/v2/dags/d"),
]


@given(json_values, st.sampled_from(CALLS))
def test_any_json_of_an_airflow_2_is_read_or_is_none(said: object, call: Call) -> None:
    v1_answers.as_v2(call, json.dumps(said).encode())
    v1_answers.goes_too_far(CALLS[0], json.dumps(said).encode())
