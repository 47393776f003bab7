"""The end of a log as people see it: lines as recorded from Airflow 3.3.2, and what has no business in a message."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from airflow_stand_in import NOW, RUN, StandIn, stand_in

from remediator.actions.airflow.log_tail import LogTailExecutor
from remediator.actions.airflow.log_text import MAX_BYTES, MAX_LINES, tail
from remediator.codecs.masking import mask
from remediator.demo.fleet.faults import Fault, Kind
from remediator.model.action import Action, LogTail

CALLS = {
    call["label"]: call["answer"]
    for call in map(
        json.loads,
        (Path(__file__).parents[2] / "data/airflow/survey_calls_3_3_2.ndjson").read_text().splitlines(),
    )
}


@pytest.fixture(params=["v2", "v1"])
async def airflow(request: pytest.FixtureRequest) -> AsyncIterator[StandIn]:
    async with stand_in(request.param) as made:
        made.state.runs["crm_sync", RUN].tasks["pull", -1].try_number = 1
        yield made


@pytest.fixture
async def airflow3() -> AsyncIterator[StandIn]:
    async with stand_in("v2") as made:
        made.state.runs["crm_sync", RUN].tasks["pull", -1].try_number = 1
        yield made


def line(event: str, **more: Any) -> dict[str, Any]:
    return {"timestamp": "2026-11-22T06:56:10.695156Z", "event": event, "level": "info", **more}


def ndjson(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


def logged(airflow: StandIn, *lines: dict[str, Any]) -> None:
    airflow.state.ills.logs["pull", 1] = list(lines)


class TestRecorded:
    def test_a_failure_with_its_exception_and_where_it_came_from(self) -> None:
        text = tail(ndjson(*CALLS["get_log"]["content"]), mask, cut=False)
        assert "::group::" not in text
        assert "attempt=2.log" not in text
        assert (
            "06:56:11 ERROR Task failed with exception\n"
            '  File "/opt/venv/lib/python3.11/site-packages/airflow/providers/standard/operators/python.py", line 254, '
            "in execute_callable\n"
            '  File "/opt/venv/lib/python3.11/site-packages/airflow/sdk/execution_time/callback_runner.py", line 97, '
            "in run\n"
            '  File "/opt/airflow/dags/d03_conn_reset.py", line 13, in pull\n'
            "ConnectionError: connection reset by peer\n"
        ) in text

    def test_a_killed_task(self) -> None:
        text = tail(CALLS["log_ndjson"].encode(), mask, cut=False)
        assert text == tail(ndjson(*CALLS["log_sigkill"]["content"]), mask, cut=False)
        assert text.splitlines()[-1].startswith("07:13:11 CRITICAL Process terminated by signal. Likely out of memory")
        assert text.endswith("SIGKILL")


class TestText:
    def test_the_last_lines(self) -> None:
        text = tail(ndjson(*(line(f"line {number}") for number in range(200))), mask, cut=False)
        assert text.splitlines() == [f"06:56:10 INFO line {number}" for number in range(200 - MAX_LINES, 200)]

    def test_a_line_that_is_too_long_keeps_its_end(self) -> None:
        text = tail(ndjson(line("é" * 100_000 + "the end")), mask, cut=False)
        assert text.endswith("the end")
        assert len(text.encode()) <= MAX_BYTES

    def test_secrets_are_masked_even_over_several_lines(self) -> None:
        key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"
        lines = (line("connecting with password=hunter2"), line("postgres://me:s3cret@db/x"), line(key))
        text = tail(ndjson(*lines), mask, cut=False)
        assert not any(secret in text for secret in ("hunter2", "s3cret", "MIIEow"))

    def test_a_secret_that_is_coloured(self) -> None:
        text = tail(ndjson(line("password=\x1b[31mhunter2\x1b[0m")), mask, cut=False)
        assert text == "06:56:10 INFO password=***"

    def test_control_characters_go(self) -> None:
        text = tail(ndjson(line("a\x00b\x07c\x1b]0;title\x07d\u202ee\rf\ttab")), mask, cut=False)
        assert text == "06:56:10 INFO abcde\nf\ttab"

    @pytest.mark.parametrize("raw", ['{"event": 5}', '{"event"', "[1]", "plain text"])
    def test_a_line_of_another_shape_is_shown_as_it_is(self, raw: str) -> None:
        assert tail(f"{raw}\n".encode(), mask, cut=False) == raw

    def test_half_a_line_at_the_beginning_is_left_out(self) -> None:
        assert tail(b'te", "level": "info"}\n' + ndjson(line("whole")), mask, cut=True) == "06:56:10 INFO whole"

    def test_half_a_line_that_is_all_there_is(self) -> None:
        assert tail(b"x" * 10 + b" end", mask, cut=True).endswith(" end")

    def test_bytes_that_are_no_text(self) -> None:
        assert tail(b"\xff\xfe end", mask, cut=False) == "\ufffd\ufffd end"

    def test_exceptions_come_after_their_causes(self) -> None:
        chain = [{"exc_type": "LoadError", "exc_value": "x"}, {"exc_type": "OSError", "exc_value": "y"}]
        text = tail(ndjson(line("failed", error_detail=chain)), mask, cut=False)
        assert text.splitlines()[1:] == ["OSError: y", "LoadError: x"]


class TestQuestion:
    async def test_the_end_of_a_tries_log(self, airflow: StandIn) -> None:
        logged(airflow, line("token=abcdef123"), line("the end"))
        answer = await airflow.tail()
        assert (answer.action_id, answer.key, answer.error) == ("t1", "key", "")
        assert "token=***" in answer.text
        assert answer.text.endswith("the end")

    async def test_a_long_log_is_read_to_its_end_and_not_kept(self, airflow: StandIn) -> None:
        logged(airflow, *(line(f"{number} {'x' * 1000}") for number in range(4000)), line("the end"))
        answer = await airflow.tail()
        assert answer.text.endswith("the end")
        assert len(answer.text.encode()) <= MAX_BYTES

    async def test_a_log_that_is_too_long_has_no_end_to_show(self, airflow: StandIn) -> None:
        logged(airflow, *(line("x" * 1000) for _ in range(200)))
        answer = await airflow.tail(max_log_bytes=100_000)
        assert (answer.text, answer.error) == ("", "the answer is larger than 100000 bytes")
        assert airflow.state.calls["task_log"] == 1

    async def test_a_try_that_is_not_known(self, airflow3: StandIn) -> None:
        answer = await airflow3.tail(try_number=7)
        assert (answer.text, answer.error) == ("", "HTTP 404: TaskInstance not found")

    async def test_an_empty_log(self, airflow3: StandIn) -> None:
        assert (await airflow3.tail()).error == "the log is empty"

    async def test_a_fault_for_a_moment_is_survived(self, airflow: StandIn) -> None:
        logged(airflow, line("the end"))
        airflow.api.faults.add(Fault(Kind.STATUS, "task_log", times=1, status=503))
        assert (await airflow.tail(read_tries=2)).text.endswith("the end")

    async def test_a_deployment_that_is_away(self, airflow: StandIn) -> None:
        airflow.fails("task_log", 502)
        assert (await airflow.tail()).error == "HTTP 502: fault injected"

    async def test_a_hanging_server(self, airflow: StandIn) -> None:
        airflow.api.faults.add(Fault(Kind.HANG, "task_log"))
        assert "no whole answer" in (await airflow.tail()).error

    async def test_an_unknown_deployment(self) -> None:
        action = Action("t1", "l", "key", "prod", LogTail("d", "r", "t", 1), 0, 0)
        (answer,) = await LogTailExecutor({}, mask).ask([action], NOW)
        assert answer.error == "no API is configured for deployment 'prod'"
