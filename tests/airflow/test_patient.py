"""The suites' own calls outlast a server in trouble, and say what the trouble was if they cannot. Needs no Airflow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from remediator.web.server import serving
from tests.airflow import patient


def troubled(statuses: Iterator[int]) -> Starlette:
    """An Airflow that answers with these statuses, one after the other, and with what it was sent."""

    async def answer(request: Request) -> JSONResponse:
        return JSONResponse({"sent": await request.json()}, status_code=next(statuses))

    return Starlette(routes=[Route("/dagRuns", answer, methods=["POST"])])


@pytest.mark.parametrize("last", [200, 409, 422])
async def test_a_call_is_made_again_until_it_is_answered(last: int) -> None:
    async with serving(troubled(iter([500, 503, last]))) as running, patient.connected(running.url) as http:
        answer = await http.post("/dagRuns", json={"dag_run_id": "one"})
    assert (answer.status_code, answer.json()) == (last, {"sent": {"dag_run_id": "one"}})


async def test_a_lasting_trouble_is_named() -> None:
    app = troubled(itertools.repeat(500))
    async with serving(app) as running, patient.connected(running.url, seconds=0.6) as http:
        with pytest.raises(AssertionError, match=r"POST /dagRuns answered; the last answer: \['500: "):
            await http.post("/dagRuns", json={})
